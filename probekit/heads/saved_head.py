"""A saved probe as a head: it scores what its own features were made of, as it was judged when it was trained.

With s the decisions (n,) of two classes or the logits (n, k) of more, and a, b the slope and offset of its calibration
(1 and 0 without one):

    two classes    log-odds = a s + b
    more           z = a s + b,  log-odds of fake = log(1 - p(real)) - log p(real) = log Σ_{j > 0} exp(z_j) - z_0
    llr            log-odds - log(n_fake / n_real), with the numbers of samples that the probabilities are of

Logits of a probe that is not probabilistic are only compared: z of the best generator less z_0.
"""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from probekit import heads
from probekit.arrays import Features, Float, Scores, Shaped
from probekit.errors import ProbeError
from probekit.fingerprint import JSONValue, plain
from probekit.heads.saved import Block, SavedProbe, paths, read_probe
from probekit.models import ModelCard
from probekit.probes.calibration import Calibration
from probekit.probes.classifier import probabilities
from probekit.store import StoreSettings
from probekit.views import Normalize, View

PARTS = ("condition.", "classifier.")


@dataclass(frozen=True, eq=False, kw_only=True)
class SavedHead(heads.Head):
    """A saved probe beside the one model that it needs."""

    probe: SavedProbe

    @property
    def settings(self) -> StoreSettings:
        """Of the store that the probe learned from."""
        return self.probe.blocks[0].settings

    @property
    def view_name(self) -> str:
        """Of the view, for people."""
        return self.settings.view_name

    @property
    def view_fields(self) -> Mapping[str, Any]:
        """The view as stores record it."""
        return self.settings.view

    @property
    def cut(self) -> float:
        """The score above which an image is called fake, unless asked otherwise."""
        return self.probe.threshold

    @property
    def notes(self) -> tuple[str, ...]:
        """Why there are no probabilities, where there are none."""
        if self.probe.probabilistic:
            return ()
        return (
            f"scores of {self.probe.probe} are no log-odds and it was saved without calibration: there are verdicts, "
            "but no probabilities.",
        )

    def as_stored(self, features: Mapping[str, Features]) -> Mapping[str, Features]:
        """Rounded as in the store, whose features the probe learned from; averaged over crops where it learned so."""
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is found
            stored = {tap: rows.astype(self.settings.dtype).astype(np.float32) for tap, rows in features.items()}
        if self.crops == "all" or len(next(iter(stored.values()))) == 1:
            return stored
        return {
            tap: rows.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32) for tap, rows in stored.items()
        }

    def collapse(self, outputs: heads.Outputs) -> Scores:
        """Log-odds of fake (of one-vs-rest: of the class looked for); of other probes, decisions."""
        logits = calibrated(self.probe.calibration, outputs)
        if logits.ndim == 1:
            return logits
        fakes = logits[:, 1:]
        best = np.logaddexp.reduce(fakes, axis=1) if self.probe.probabilistic else fakes.max(axis=1)
        scores: Scores = best - logits[:, 0]
        return scores

    def probabilities(self, scores: Scores) -> Scores:
        """The logistic function of the scores; NaN where these are no log-odds."""
        return super().probabilities(scores) if self.probe.probabilistic else np.full(len(scores), np.nan)

    def seen(self, manifest_sha256: str) -> tuple[str, ...]:
        """Splits of that manifest that it learned or was chosen from, as far as it knows."""
        return self.probe.seen if manifest_sha256 == self.probe.manifest_sha256 else ()

    def doubt(self, manifest_sha256: str) -> str:
        """What cannot be known of samples of that manifest: whether it learned from them; empty where it can."""
        if manifest_sha256 == self.probe.manifest_sha256:
            return ""
        return (
            f"the probe learned from another manifest, {self.probe.manifest} (or this one before it changed): images "
            "that both hold are judged as if it had not seen them."
        )

    def more_columns(self, outputs: heads.Outputs, top: int) -> Mapping[str, Shaped[np.ndarray, " n"]]:
        """`llr`; of attribution also the predicted class and the likeliest generators: `top1`, `p_top1` and so on.

        Their probabilities are shares of all classes, real ones included, and NaN where there are none.
        """
        columns: dict[str, Shaped[np.ndarray, " n"]] = {}
        if self.probe.probabilistic:
            n_real, n_fake = self.probe.prior
            columns["llr"] = self.collapse(outputs) - np.log(n_fake / n_real)
        if self.probe.task != "attribution":
            return columns
        shares: Float[np.ndarray, "n c"] = probabilities(calibrated(self.probe.calibration, outputs))
        names = np.array(self.probe.class_names, dtype=object)
        columns["predicted"] = names[shares.argmax(axis=1)]
        order = 1 + np.argsort(-shares[:, 1:], axis=1, kind="stable")
        for place in range(min(top, order.shape[1])):
            chosen = np.take_along_axis(shares, order[:, place : place + 1], axis=1)[:, 0]
            columns[f"top{place + 1}"] = names[order[:, place]]
            columns[f"p_top{place + 1}"] = chosen if self.probe.probabilistic else np.full(len(chosen), np.nan)
        return columns

    def refusal(self, settings: StoreSettings, taps: Mapping[str, heads.Shape]) -> str | None:
        """Why the features of a store with these taps (their shapes) do not fit; None where they do."""
        own = self.settings
        differ = {
            "weights": (_short(settings.weights_sha256), _short(own.weights_sha256)),
            "precision": (settings.precision, own.precision),
            "number format": (settings.dtype, own.dtype),
            "model settings": (plain(settings.model_settings), plain(own.model_settings)),
        }
        first = next(
            (f"{what} {given} is not {needed}" for what, (given, needed) in differ.items() if given != needed), None
        )
        return super().refusal(settings, taps) or first

    def check_model(self, card: ModelCard, weights_sha256: str | None = None) -> None:
        """Nothing, if it is the model that the probe learned from, with the same weights.

        Raises:
            ProbeError: it is not.
        """
        super().check_model(card, weights_sha256)
        if weights_sha256 != self.settings.weights_sha256:
            raise ProbeError(
                f"{self.path}: learned from {card.name} with weights {_short(self.settings.weights_sha256)}, these are "
                f"{_short(weights_sha256)}. Give the same with --weights {card.name}=FILE."
            )
        needed = {name: value for name, value in self.settings.model_settings.items() if name != "compiled"}
        if (given := plain(dict(card.settings))) != plain(needed):
            raise ProbeError(
                f"{self.path}: learned from {card.name} with the settings {needed}, this probekit's has {given}: train "
                "it again on new features, or use the probekit that they were extracted with."
            )

    def extract_command(self, manifest: str) -> str:
        """The command that fills a store with what the head needs."""
        own = self.settings
        if own.view.get("imported"):
            return f"probekit cache import FILE --model {own.model} --manifest {manifest}"
        words = shlex.join(["--taps", self.taps_option, *own.words()])
        return f"probekit extract --model {own.model} {words} --manifest {manifest}"

    def to_json(self) -> dict[str, JSONValue]:
        """What it is, what it needs, what it learned from and where it came from."""
        probe = self.probe
        return super().to_json() | {
            "probe": probe.probe,
            "parameter": probe.parameter,
            "value": probe.value,
            "task": probe.task,
            "classes": list(probe.class_names),
            "train": probe.train,
            "manifest": {"name": probe.manifest, "sha256": probe.manifest_sha256},
            "evaluation": probe.evaluation,
            "calibration": probe.calibration.kind if probe.calibration else None,
            "threshold_by": probe.threshold_by,
            "precision": self.settings.precision,
            "weights_sha256": self.settings.weights_sha256,
            "store": self.settings.address,
        }


def calibrated(calibration: Calibration | None, outputs: heads.Outputs) -> heads.Outputs:
    """Outputs times slope plus offset; as they are without a calibration."""
    return outputs if calibration is None else calibration.slope * outputs + calibration.offset


@heads.add("probekit")
class Saved(heads.Format):
    """The tensors of a probe that `probekit probe` saved, with its description beside them."""

    needs = "condition.shift, condition.scale, classifier.classes … and a .json of the same name beside it"

    def recognises(self, names: Collection[str]) -> bool:
        """By the prefixes of all names."""
        return bool(names) and all(name.startswith(PARTS) for name in names)

    def read(self, file: heads.ProbeFile) -> heads.Head:
        """The probe beside the model that it needs."""
        arrays = {name: tensor.numpy() for name, tensor in file.tensors.items()}
        probe = read_probe(paths(file.path)[1], file.sha256, arrays)
        settings = _one_model(file, probe)
        widths = {block.tap: block.width for block in probe.blocks}
        return SavedHead(
            name="probekit",
            title=f"{probe.probe} on {probe.references}, {probe.task} of {probe.train} ({probe.manifest})",
            models=(settings.model,),
            widths=widths,
            taps_option=",".join(widths),
            view=view_of(settings),
            condition=probe.condition.name,
            kind="logit" if probe.probabilistic else None,
            path=file.path,
            sha256=file.sha256,
            score=lambda features: probe.decisions(np.hstack([features[block.tap] for block in probe.blocks])),
            threshold=float(probabilities(np.array([probe.threshold]))[0, 1]) if probe.probabilistic else None,
            verdicts=_verdicts(probe),
            precision=settings.precision,  # type: ignore[arg-type]  # as extraction wrote it
            compiled=bool(settings.model_settings.get("compiled")),
            crops=probe.crops,
            probe=probe,
        )


def _one_model(file: heads.ProbeFile, probe: SavedProbe) -> StoreSettings:
    """The settings that all blocks share."""
    first, *others = (block.settings for block in probe.blocks)
    if any(settings.address != first.address for settings in others):
        raise ProbeError(
            f"{file.path}: learned from {probe.references} side by side, from {_stores(probe.blocks)}, and "
            "predict runs one model in one view: save a probe of each part."
        )
    return first


def _stores(blocks: Collection[Block]) -> str:
    return " and ".join(dict.fromkeys(block.settings.folder_name for block in blocks))


def view_of(settings: StoreSettings) -> View | None:
    """The view of a record; None of features that were imported."""
    fields = dict(settings.view)
    if fields.pop("imported", False):
        return None
    if given := fields.pop("normalize", None):
        fields["normalize"] = Normalize(tuple(given["mean"]), tuple(given["std"]))
    return View(**fields)


def _verdicts(probe: SavedProbe) -> tuple[str, str]:
    names = probe.class_names
    return (names[0], names[1]) if probe.task == "one-vs-rest" else ("real", "fake")


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "none"
