"""Heads: detectors published as a small file on top of a frozen model; one file a format, found by scanning.

A head is read from its file, never unpickled, and says what it needs: the model, its taps and their widths, the view.
It scores features of that kind and refuses all others: a head on the features of another view gives numbers, but not
its own.

Scores are log-odds of fake, whatever the authors print: positive is fake, and `probabilities` of them is what a
detector with a sigmoid at its end puts out.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from probekit import images
from probekit.arrays import Features, Float, Scores
from probekit.errors import ImageError, ProbeError
from probekit.fingerprint import JSONValue, hash_file, plain
from probekit.models import ModelCard, weights
from probekit.probes.classifier import probabilities
from probekit.registry import Registry
from probekit.views import View

if TYPE_CHECKING:
    from torch import Tensor

LISTED = 4  # tensors that an error about an unknown file shows

Shape = tuple[int, ...]

Kind = Literal["logit", "llr"]
"""What the authors call a score: the logit of a probability, or the logarithm of a likelihood ratio."""


@dataclass(frozen=True, eq=False)
class Head:
    """A published detector without its frozen model: what it needs, and how it scores."""

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
    view: View
    """How pixels must reach the model."""
    condition: str
    """What it does to raw features: a name in `probes.conditions.CONDITIONS`."""
    kind: Kind
    path: Path
    sha256: str
    """Of the file."""
    score: Callable[[Mapping[str, Features]], Scores]
    """Raw features per tap → log-odds of fake; `scores` checks them first."""
    threshold: float = 0.5
    """Probability above which its authors call an image fake; for a likelihood ratio, that of equal priors."""

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps that it needs."""
        return tuple(self.widths)

    def scores(self, features: Mapping[str, Features]) -> Scores:
        """Log-odds of fake, one a row, float64.

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

    def probabilities(self, scores: Scores) -> Scores:
        """The logistic function of the scores: what the authors print, or the posterior under equal priors."""
        shares: Scores = probabilities(scores)[:, 1]
        return shares

    def refusal(self, model: str, view: Mapping[str, Any], taps: Mapping[str, Shape]) -> str | None:
        """Why features of that model, view (its fields) and taps (their shapes) do not fit; None where they do."""
        if model not in self.models:
            return f"model {model} is not {self.models[0]}"
        if not _same_view(view, self.view):
            return f"view {_view_name(view)} is not {self.view.name}"
        for tap, width in self.widths.items():
            if tap not in taps:
                return f"tap {tap} is missing"
            if taps[tap] != (width,):
                return f"tap {tap} is {' × '.join(map(str, taps[tap]))} wide, not {width}"
        return None

    def check_model(self, card: ModelCard) -> None:
        """Nothing, if the model gives what the head needs.

        Raises:
            ProbeError: it is another model, lacks a tap, has another width or another normalisation.
        """
        if card.name not in self.models:
            raise ProbeError(f"{self.path}: needs {' or '.join(self.models)}, not {card.name}.")
        for tap, width in self.widths.items():
            if tap not in card.taps:
                raise ProbeError(f"{self.path}: needs tap {tap}, which {card.name} does not have.")
            shape = np.atleast_1d(card.taps[tap] or width).tolist()  # a width or a shape; None: not known yet
            if shape != [width]:
                raise ProbeError(f"{self.path}: needs {width} numbers of {card.name}#{tap}, which has {_spell(shape)}.")
        if card.view.normalize != self.view.normalize:
            raise ProbeError(f"{self.path}: {card.name} normalises pixels otherwise than its authors did.")

    def extract_command(self, manifest: str) -> str:
        """The command that fills a store with what the head needs."""
        return (
            f"probekit extract --model {self.models[0]} --taps {self.taps_option} --view {self.view.policy} "
            f"--manifest {manifest}"
        )

    def to_json(self) -> dict[str, JSONValue]:
        """What it is, what it needs and where it came from, for `--json` and run records."""
        return {
            "format": self.name,
            "title": self.title,
            "model": self.models[0],
            "taps": list(self.taps),
            "view": self.view.name,
            "condition": self.condition,
            "kind": self.kind,
            "polarity": "positive is fake",
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
    """How heads of one kind are saved. A subclass is one file of this folder."""

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

    Raises:
        ProbeError: there is no such file, or it is of no known format or of another shape.
        WeightsError: the file holds no tensors, or code.
    """
    _require_file(path)
    file = ProbeFile(path, weights.read(path))
    for name in names():
        form = get(name)()
        if form.recognises(file.tensors.keys()):
            return form.read(file)
    known = "; ".join(f"{name}: {get(name).needs}" for name in names())
    raise ProbeError(f"{path}: of no known probe format, it holds {_contents(file)}. Known formats: {known}.")


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


def _same_view(given: Mapping[str, Any], needed: View) -> bool:
    """Whether both show the same pixels: fields that the policy does not use may differ.

    A field that is empty and one that an older store lacks are the same.
    """
    wanted: Mapping[str, Any] = plain(needed)  # type: ignore[assignment]  # a dataclass becomes an object
    unused = {"resize", "interpolation"} if needed.policy == "center" else set()
    differ = {name for name in given.keys() | wanted.keys() if (given.get(name) or None) != (wanted.get(name) or None)}
    return not differ - unused


def _view_name(fields: Mapping[str, Any]) -> str:
    sizes = [str(fields[name]) for name in ("resize", "crop", "perturb") if fields.get(name)]
    return f"{fields.get('policy')} ({', '.join(sizes)})" if sizes else str(fields.get("policy"))
