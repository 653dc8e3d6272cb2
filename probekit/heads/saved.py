"""Saved probes: what `probekit probe` learned, in a file of tensors and a description beside it.

    NAME.safetensors   every array of the fitted condition and classifier
    NAME.json          all else: what it learned from, what features it needs, how its scores are to be read

docs/heads.md describes both for other programs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

import probekit
from probekit.arrays import Features, Float, Shaped
from probekit.errors import ProbeError, StoreError, UnknownNameError
from probekit.files import whole
from probekit.fingerprint import JSONValue, hash_file, plain
from probekit.paths import AnyPath
from probekit.probes import saving
from probekit.probes.calibration import Calibration
from probekit.probes.classifier import Classifier
from probekit.probes.conditions import Condition
from probekit.projections import Fitted
from probekit.store import StoreSettings, find_stores

KIND = "probekit saved probe"
FORMAT = 1
ENDING = ".safetensors"

Task = Literal["binary", "attribution", "one-vs-real", "one-vs-rest"]
Crops = Literal["mean", "all"]


class Origin(Protocol):
    """A tap of a store: `features.Source` is one."""

    @property
    def tap(self) -> str:
        """Where the features left the model."""
        ...

    @property
    def address(self) -> str:
        """Of the store."""
        ...


@dataclass(frozen=True)
class Block:
    """One block of the features that a probe learned from: a tap, and everything that decides its numbers."""

    tap: str
    width: int
    settings: StoreSettings

    @property
    def name(self) -> str:
        """`clip#cls@20`."""
        return f"{self.settings.model}#{self.tap}"


@dataclass(frozen=True, eq=False)
class SavedProbe:
    """A fitted probe with all that is needed to use it again and to trust what it says."""

    probe: str
    """Its registered name: `logistic`."""
    condition: Condition
    classifier: Classifier
    task: Task
    class_names: tuple[str, ...]
    """In the order of `classifier.classes`; `real` first, of one-vs-rest the class that is looked for last."""
    blocks: tuple[Block, ...]
    """In the order of the columns; see `blocks_of`."""
    prior: tuple[int, ...]
    """Samples of the first class and of all others that its probabilities are of: of the calibration, without one of
    the training."""
    train: str
    """What it learned from, as tables call it: `lama+ldm`."""
    evaluation: str
    """How the numbers that it was judged by came about: `train → test split`."""
    manifest: str
    manifest_sha256: str
    parameter: str | None = None
    value: float | None = None
    """Of the parameter."""
    crops: Crops = "mean"
    """Of a view with several crops an image: whether it learned from their mean or from each."""
    calibration: Calibration | None = None
    threshold: float = 0.0
    """The score above which an image is called fake: log-odds, after the calibration where there is one."""
    threshold_by: str = "0.5"
    """What set it."""
    seen: tuple[str, ...] = ("train", "val")
    """Splits of the manifest that any of it was learned or chosen from: no evidence of how good it is."""
    selection: Mapping[str, JSONValue] = field(default_factory=dict)
    """What chose condition and parameter, and how the fit converged."""
    settings: Mapping[str, JSONValue] = field(default_factory=dict)
    """Of the question that it was trained for: shots, folds, seed and all else that decided its numbers."""

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise ProbeError(f"task {self.task!r} of a saved probe: expected one of {', '.join(get_args(Task))}.")
        if len(self.class_names) != len(self.classifier.classes) or len(self.class_names) < 2:
            raise ProbeError(f"{len(self.classifier.classes)} classes with the names {', '.join(self.class_names)}.")
        if self.task != "attribution" and len(self.class_names) != 2:
            raise ProbeError(f"a {self.task} probe tells two classes apart, not {len(self.class_names)}.")
        if self.task != "one-vs-rest" and self.class_names[0] != "real":
            raise ProbeError(f"the first class of a {self.task} probe is real, not {self.class_names[0]}.")
        if len(self.prior) != 2 or min(self.prior) < 1:
            raise ProbeError(
                f"prior {self.prior}: expected the numbers of samples of the first class and of the others."
            )
        if self.crops not in get_args(Crops):
            raise ProbeError(f"crops {self.crops!r}: expected mean or all.")
        if not self.blocks or self.condition.widths != tuple(block.width for block in self.blocks):
            raise ProbeError(f"its condition is for widths {self.condition.widths}, its features have others.")

    @property
    def probabilistic(self) -> bool:
        """Whether scores are log-odds, so that probabilities mean something."""
        return self.classifier.probabilistic or (self.calibration is not None and self.calibration.kind != "none")

    @property
    def references(self) -> str:
        """`clip#cls@20`, several blocks joined by `+`."""
        return "+".join(block.name for block in self.blocks)

    def decisions(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """Of raw features, blocks side by side; as the classifier's `decision_function`, before any calibration."""
        return self.classifier.decision_function(self.condition.apply(features))


def blocks_of(sources: Sequence[Origin], widths: Sequence[int], cache: AnyPath) -> tuple[Block, ...]:
    """The blocks of a `FeatureSet` with their stores' settings: `blocks_of(found.sources, found.widths, cache)`.

    Raises:
        StoreError: a store is no longer there.
    """
    settings = {store.settings.address: store.settings for store in find_stores(cache)[0]}
    if gone := [source.address for source in sources if source.address not in settings]:
        raise StoreError(f"{cache}: store {gone[0][:12]}, from which a probe was trained, is gone: extract again.")
    return tuple(
        Block(source.tap, width, settings[source.address]) for source, width in zip(sources, widths, strict=True)
    )


def save_probe(path: Path, probe: SavedProbe) -> Path:
    """Write both files, in place of earlier ones of that name; returns the path of the tensors.

    Args:
        path: of either file, or without an ending.
        probe: what to save; it must score a row of its own features.

    Raises:
        ProbeError: something in it cannot be saved or used again, or the files cannot be written.
    """
    from safetensors.numpy import save

    tensors = paths(path)[0] if path.suffix in (ENDING, ".json") else path.with_name(path.name + ENDING)
    condition, condition_fields = saving.pack(probe.condition, "condition")
    classifier, classifier_fields = saving.pack(probe.classifier, "classifier")
    try:
        require_usable(probe)
        tensors.parent.mkdir(parents=True, exist_ok=True)
        with whole(tensors) as draft:
            draft.write_bytes(save(condition | classifier))
        record = _record(probe, condition_fields, classifier_fields) | {"sha256": hash_file(tensors)}
        with whole(paths(tensors)[1]) as draft:
            text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False)
            draft.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ProbeError(f"{tensors}: cannot be written ({error.strerror or error}).") from error
    except ValueError as error:  # what JSON cannot hold
        raise ProbeError(f"{tensors}: its record holds a number that is not finite ({error}).") from error
    return tensors


def paths(path: Path) -> tuple[Path, Path]:
    """The files of tensors and of the description, from either."""
    return path.with_suffix(ENDING), path.with_suffix(".json")


def read_probe(description: Path, sha256: str, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> SavedProbe:
    """The probe of a description and the tensors beside it.

    Args:
        description: the JSON file.
        sha256: of the file of tensors as it is.
        arrays: the tensors.

    Raises:
        ProbeError: the description is missing, damaged, newer than this probekit or of other tensors.
    """
    record = _read_record(description)
    if record["sha256"] != sha256:
        raise ProbeError(
            f"{description.with_suffix(ENDING)}: not the tensors that {description.name} was written with (their "
            "SHA-256 differs): one of the two is damaged or was swapped, copy both again."
        )
    try:
        probe = _probe(record, arrays)
        require_usable(probe)
    except UnknownNameError as error:
        raise ProbeError(f"{description}: {error} Install the plug-in that brings it, or update probekit.") from error
    except ProbeError as error:
        raise ProbeError(f"{description}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProbeError(
            f"{description}: damaged ({type(error).__name__}: {error}): copy it or save the probe again."
        ) from error
    return probe


def require_usable(probe: SavedProbe) -> None:
    """Nothing, if the probe gives a row of features as many decisions as it has classes (one for two).

    Raises:
        ProbeError: its arrays do not fit each other, or its numbers are of no use.
    """
    width, classes = sum(probe.condition.widths), len(probe.class_names)
    try:
        found = probe.decisions(np.linspace(-1, 1, width, dtype=np.float32)[None])
    except (ValueError, IndexError, RuntimeError) as error:  # NumPy's and torch's, of shapes that do not fit
        raise ProbeError(
            f"its arrays have wrong shapes for {width} features ({error}): save the probe again."
        ) from error
    expected = (1,) if classes == 2 else (1, classes)
    if found.shape != expected:
        raise ProbeError(f"its arrays have wrong shapes: a row of features gives {found.shape}, expected {expected}.")
    numbers = [probe.threshold, *found.ravel()]
    if probe.calibration is not None:
        numbers += [probe.calibration.slope, probe.calibration.offset]
    if not np.isfinite(numbers).all():
        raise ProbeError("its threshold, calibration or scores are not finite: train it again.")


def _record(
    probe: SavedProbe, condition: dict[str, JSONValue], classifier: dict[str, JSONValue]
) -> dict[str, JSONValue]:
    fitted = probe.calibration
    calibration: JSONValue = None
    if fitted is not None and fitted.kind != "none":
        calibration = {"kind": fitted.kind, "slope": float(fitted.slope), "offset": float(fitted.offset)}
    return {
        "kind": KIND,
        "format": FORMAT,
        "probekit": probekit.__version__,
        "probe": {"name": probe.probe, "parameter": probe.parameter, "value": probe.value},
        "task": probe.task,
        "classes": list(probe.class_names),
        "features": [_block_record(block) for block in probe.blocks],
        "crops": probe.crops,
        "condition": condition,
        "classifier": {"class": type(probe.classifier).__name__, "fields": classifier},
        "calibration": calibration,
        "threshold": {"log_odds": float(probe.threshold), "by": probe.threshold_by},
        "prior": {"n_real": int(probe.prior[0]), "n_fake": int(probe.prior[1])},
        "train": probe.train,
        "evaluation": probe.evaluation,
        "seen": list(probe.seen),
        "manifest": {"name": probe.manifest, "sha256": probe.manifest_sha256},
        "selection": plain(probe.selection),
        "settings": plain(probe.settings),
    }


def _block_record(block: Block) -> dict[str, JSONValue]:
    settings = plain(block.settings)
    assert isinstance(settings, dict)  # a dataclass becomes an object
    return {"tap": block.tap, "width": block.width, **settings, "store": block.settings.address}


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise ProbeError(
            f"{path}: missing; a saved probe is two files, {path.name} belongs beside {path.stem}{ENDING}."
        ) from None
    except OSError as error:
        raise ProbeError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise ProbeError(f"{path}: damaged, not JSON ({error}): copy it or save the probe again.") from error
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise ProbeError(f"{path}: not the description of a saved probe (it has no kind {KIND!r}).")
    version = record.get("format")
    if not isinstance(version, int) or version > FORMAT:
        raise ProbeError(
            f"{path}: of format {version}, saved by probekit {record.get('probekit')}; this one reads up to format "
            f"{FORMAT}: update probekit."
        )
    return {"sha256": None} | record


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a finite number")


def _probe(record: Mapping[str, Any], arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> SavedProbe:
    kind = saving.find_classifier(record["probe"]["name"], record["classifier"]["class"])
    calibration = record["calibration"]
    return SavedProbe(
        probe=record["probe"]["name"],
        condition=saving.unpack(Condition, record["condition"], arrays, {"projection": Fitted}),
        classifier=saving.unpack(kind, record["classifier"]["fields"], arrays),
        task=record["task"],
        class_names=tuple(record["classes"]),
        blocks=tuple(_block(entry) for entry in record["features"]),
        prior=(record["prior"]["n_real"], record["prior"]["n_fake"]),
        train=record["train"],
        evaluation=record["evaluation"],
        manifest=record["manifest"]["name"],
        manifest_sha256=record["manifest"]["sha256"],
        parameter=record["probe"]["parameter"],
        value=record["probe"]["value"],
        crops=record["crops"],
        calibration=Calibration(**calibration) if calibration else None,
        threshold=record["threshold"]["log_odds"],
        threshold_by=record["threshold"]["by"],
        seen=tuple(record["seen"]),
        selection=record["selection"],
        settings=record["settings"],
    )


def _block(entry: Mapping[str, Any]) -> Block:
    settings = StoreSettings(**{name: value for name, value in entry.items() if name not in ("tap", "width", "store")})
    if settings.address != entry["store"]:
        raise ProbeError(f"what it says of {settings.model} does not give the address of its store: it was changed.")
    return Block(entry["tap"], entry["width"], settings)
