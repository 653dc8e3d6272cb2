"""Heads: detectors that are a small file on top of a frozen model; one file a format, found by scanning.

Most are published; a probe that `probekit probe` saved is another (saved.py, saved_head.py). A head is read from its
file, never unpickled, and says what it needs: the model, its taps and their widths, the view. It scores features of
that kind and refuses all others: a head on the features of another view gives numbers, but not its own.

Scores are log-odds of fake, whatever the authors print: positive is fake, and `probabilities` of them is what a
detector with a sigmoid at its end puts out.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from probekit import images
from probekit.arrays import Features, Float, Scores, Shaped
from probekit.errors import ImageError, ProbeError
from probekit.fingerprint import JSONValue, hash_file, plain_object
from probekit.models import ModelCard, weights
from probekit.probes.classifier import probabilities
from probekit.registry import Registry
from probekit.store import StoreSettings
from probekit.store.settings import Precision
from probekit.views import View

if TYPE_CHECKING:
    from torch import Tensor

LISTED = 4  # tensors that an error about an unknown file shows

Shape = tuple[int, ...]

Kind = Literal["logit", "llr"]
"""What the authors call a score: the logit of a probability, or the logarithm of a likelihood ratio."""

Outputs = Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]
"""What a head computes of each row, before anything is read from it; several crops of an image are averaged here."""


@dataclass(frozen=True, eq=False)
class Head:
    """A detector without its frozen model: what it needs, and how it scores."""

    name: str
    """Of the format: `ufd`."""
    title: str
    """Whose detector it is, for people."""
    models: tuple[str, ...]
    """Names of the one frozen model that it stands on; the first is the one that is loaded."""
    widths: Mapping[str, int]
    """Tap → width, every tap that it needs."""
    taps_option: str
    """The same taps as `extract --taps` takes them."""
    view: View | None
    """How pixels must reach the model; None where nobody knows, so that no image can be shown to it."""
    condition: str
    """What it does to raw features: a name in `probes.conditions.CONDITIONS`."""
    kind: Kind | None
    """None of scores that are neither."""
    path: Path
    sha256: str
    """Of the file."""
    score: Callable[[Mapping[str, Features]], Outputs]
    """Raw features per tap → outputs, log-odds of fake for most heads; `outputs` checks them first."""
    threshold: float | None = 0.5
    """Probability above which its authors call an image fake; for a likelihood ratio, that of equal priors."""
    verdicts: tuple[str, str] = ("real", "fake")
    """What an image is called below the threshold and above it."""
    precision: Precision = "float32"
    """Of the model's computation, for images."""
    compiled: bool = False
    """Whether the model is translated by torch.compile, which rounds the last bits in another way."""
    crops: Literal["mean", "all"] = "all"
    """Of a view with several crops an image: whether features are averaged, or outputs."""

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps that it needs."""
        return tuple(self.widths)

    @property
    def view_name(self) -> str:
        """Of the view, for people."""
        return self.view.name if self.view else "unknown"

    @property
    def view_fields(self) -> Mapping[str, Any]:
        """The view as stores record it."""
        return plain_object(self.view)

    @property
    def cut(self) -> float:
        """The score above which an image is called fake, unless asked otherwise."""
        assert self.threshold is not None  # else a subclass knows better
        return float(np.log(self.threshold) - np.log1p(-self.threshold))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its scores must know."""
        return ()

    def outputs(self, features: Mapping[str, Features]) -> Outputs:
        """What `collapse` makes scores of, one row an image or crop, float64.

        Args:
            features: raw features of each tap, row i of sample i in all of them.

        Raises:
            ProbeError: a tap is missing, has another width, or holds a number that is not finite.
        """
        if lacking := [tap for tap in self.taps if tap not in features]:
            got = ", ".join(features) or "none"
            raise ProbeError(f"{self.path}: needs tap {lacking[0]} of {self.models[0]}, got {got}. {self._remedy()}")
        rows = len(features[self.taps[0]])
        for tap, width in self.widths.items():
            found = features[tap]
            if found.shape != (rows, width):
                raise ProbeError(
                    f"{self.path}: needs {rows} rows of {tap}, {width} wide as {self.models[0]} gives them, "
                    f"got {found.shape}. {self._remedy()}"
                )
            finite = np.isfinite(found).all(axis=1)
            if not finite.all():
                row = int(np.argmin(finite))
                raise ProbeError(f"{self.path}: row {row} of {tap} is not finite: extract that image again.")
        return np.asarray(self.score({tap: features[tap] for tap in self.taps}), dtype=np.float64)

    def scores(self, features: Mapping[str, Features]) -> Scores:
        """Log-odds of fake, one a row, float64.

        Raises:
            ProbeError: as `outputs`.
        """
        return self.collapse(self.outputs(features))

    def as_stored(self, features: Mapping[str, Features]) -> Mapping[str, Features]:
        """The features of all crops of one image as the head learned from them; one row where crops are averaged."""
        return features

    def collapse(self, outputs: Outputs) -> Scores:
        """Log-odds of fake from outputs."""
        return outputs

    def seen(self, manifest_sha256: str) -> tuple[str, ...]:
        """Splits of that manifest that it learned or was chosen from, as far as it knows."""
        return ()

    def doubt(self, manifest_sha256: str) -> str:
        """What cannot be known of samples of that manifest: whether it learned from them; empty where it can."""
        return ""

    def more_columns(self, outputs: Outputs, top: int) -> Mapping[str, Shaped[np.ndarray, " n"]]:
        """What else stands in a table beside score, probability and label; `top` generators at most."""
        return {}

    def probabilities(self, scores: Scores) -> Scores:
        """The logistic function of the scores: what the authors print, or the posterior under equal priors."""
        shares: Scores = probabilities(scores)[:, 1]
        return shares

    def refusal(self, settings: StoreSettings, taps: Mapping[str, Shape]) -> str | None:
        """Why the features of a store with these taps (their shapes) do not fit; None where they do."""
        if settings.model not in self.models:
            return f"model {settings.model} is not {self.models[0]}"
        if not _same_view(settings.view, self.view_fields):
            return f"view {_view_name(settings.view)} is not {self.view_name}"
        for tap, width in self.widths.items():
            if tap not in taps:
                return f"tap {tap} is missing"
            if taps[tap] != (width,):
                return f"tap {tap} is {' × '.join(map(str, taps[tap]))} wide, not {width}"
        return None

    def check_model(self, card: ModelCard, weights_sha256: str | None = None) -> None:
        """Nothing, if the model gives what the head needs.

        Raises:
            ProbeError: it is another model, lacks a tap, has another width or another normalisation; or other
                weights or settings, where the head knows which it needs.
        """
        if card.name not in self.models:
            raise ProbeError(f"{self.path}: needs {' or '.join(self.models)}, not {card.name}.")
        for tap, width in self.widths.items():
            if tap not in card.taps:
                raise ProbeError(f"{self.path}: needs tap {tap}, which {card.name} does not have.")
            shape = np.atleast_1d(card.taps[tap] or width).tolist()  # a width or a shape; None: not known yet
            if shape != [width]:
                raise ProbeError(f"{self.path}: needs {width} numbers of {card.name}#{tap}, which has {_spell(shape)}.")
        if self.view and card.view.normalize != self.view.normalize:
            raise ProbeError(f"{self.path}: {card.name} normalises pixels otherwise than its authors did.")

    def extract_command(self, manifest: str) -> str:
        """The command that fills a store with what the head needs."""
        return (
            f"probekit extract --model {self.models[0]} --taps {self.taps_option} --view {self.view_fields['policy']} "
            f"--manifest {manifest}"
        )

    def to_json(self) -> dict[str, JSONValue]:
        """What it is, what it needs and where it came from, for `--json` and run records."""
        return {
            "format": self.name,
            "title": self.title,
            "model": self.models[0],
            "taps": list(self.taps),
            "view": self.view_name,
            "condition": self.condition,
            "kind": self.kind,
            "polarity": f"positive is {self.verdicts[1]}",
            "threshold": self.threshold,
            "path": str(self.path),
            "sha256": self.sha256,
        }

    def _remedy(self) -> str:
        return f"Run: {self.extract_command('MANIFEST')}"


@dataclass(frozen=True, eq=False)
class ProbeFile:
    """The tensors of a probe file, by name; what lies beside it is the reader's to find."""

    path: Path
    tensors: "Mapping[str, Tensor]"

    @cached_property
    def sha256(self) -> str:
        """Of the file."""
        return hash_file(self.path)

    def array(self, name: str, shape: Shape) -> Float[np.ndarray, "..."]:
        """A tensor as float64.

        Raises:
            ProbeError: it has another shape, or holds a number that is not finite.
        """
        found = tuple(self.tensors[name].shape)
        if found != shape:
            raise ProbeError(
                f"{self.path}: {name} is {_spell(found)}, expected {_spell(shape)}: a head of another model."
            )
        values: Float[np.ndarray, "..."] = self.tensors[name].detach().double().numpy()
        if not np.isfinite(values).all():
            raise ProbeError(
                f"{self.path}: {name} holds a number that is not finite: the file is damaged, fetch it again."
            )
        return values


class Format(ABC):
    """How heads of one kind are written to files. A subclass is one file of this folder."""

    needs = ""
    """Names and shapes of its tensors, for people."""

    @abstractmethod
    def recognises(self, names: Collection[str]) -> bool:
        """Whether tensors of these names are of this format."""

    @abstractmethod
    def read(self, file: ProbeFile) -> Head:
        """The head in the file.

        Raises:
            ProbeError: a tensor has another shape than the format says.
        """


_formats = Registry[type[Format]]("probe format", package=__name__, entry_points="probekit.heads")

add = _formats.add
get = _formats.get
names = _formats.names


def read(path: Path) -> Head:
    """The head in a file, its format told by the names of its tensors.

    Args:
        path: the file; of a saved probe either of its two, or a run's folder that holds one probe.

    Raises:
        ProbeError: there is no such file, or it is of no known format or of another shape.
        WeightsError: the file holds no tensors, or code.
    """
    path = _tensor_file(path)
    _require_file(path)
    file = ProbeFile(path, weights.read(path))
    for name in names():
        form = get(name)()
        if form.recognises(file.tensors.keys()):
            return form.read(file)
    known = "; ".join(f"{name}: {get(name).needs}" for name in names())
    raise ProbeError(f"{path}: of no known probe format, it holds {_contents(file)}. Known formats: {known}.")


def _tensor_file(path: Path) -> Path:
    """The file of tensors that is meant by a saved probe's description, or by the folder of a run."""
    if os.path.isdir(path / "probes"):  # noqa: PTH112  # Path.is_dir raises for a name that is too long
        saved = sorted((path / "probes").rglob("*.json"))
        if len(saved) > 1:
            listed = ", ".join(str(file) for file in saved[:LISTED]) + (" …" if len(saved) > LISTED else "")
            raise ProbeError(f"{path}: holds {len(saved)} saved probes: give one of {listed}.")
        if not saved:
            raise ProbeError(
                f"{path}: its folder probes holds no saved probe. Give the probe's file with --probe FILE."
            )
        path = saved[0]
    if path.suffix != ".json" or not os.path.isfile(path):  # noqa: PTH113  # the same
        return path
    tensors = path.with_suffix(".safetensors")
    if not tensors.is_file():
        raise ProbeError(
            f"{path}: no saved probe, or half of one: its tensors {tensors.name} are missing beside it. Copy both."
        )
    return tensors


def _require_file(path: Path) -> None:
    """Nothing, unless it is plain without reading tensors that this is no probe file."""
    try:
        header = images.inspect(path)
    except ImageError:  # as it should be, unless there is nothing at all
        if not path.is_file():
            what = "a folder, not a probe file" if path.is_dir() else "there is no such probe file"
            raise ProbeError(f"{path}: {what}. Give the head's weights with --probe FILE.") from None
        if path.stat().st_size == 0:
            raise ProbeError(f"{path}: the file is empty (0 bytes). Fetch it again.") from None
        return
    raise ProbeError(f"{path}: a {header.format} image, not a probe file. Give the head's weights with --probe FILE.")


def _contents(file: ProbeFile) -> str:
    listed = [f"{name} {_spell(tuple(tensor.shape))}" for name, tensor in list(file.tensors.items())[:LISTED]]
    more = len(file.tensors) - len(listed)
    return ", ".join(listed) + (f" and {more} more tensors" if more else "")


def _spell(shape: Sequence[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _same_view(given: Mapping[str, Any], needed: Mapping[str, Any]) -> bool:
    """Whether both show the same pixels: fields that the policy does not use may differ.

    A field that is empty and one that an older store lacks are the same.
    """
    unused = {"resize", "interpolation"} if needed["policy"] == "center" else set()
    differ = {name for name in given.keys() | needed.keys() if (given.get(name) or None) != (needed.get(name) or None)}
    return not differ - unused


def _view_name(fields: Mapping[str, Any]) -> str:
    sizes = [str(fields[name]) for name in ("resize", "crop", "perturb") if fields.get(name)]
    return f"{fields.get('policy')} ({', '.join(sizes)})" if sizes else str(fields.get("policy"))
