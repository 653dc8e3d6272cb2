"""The probes themselves, kept in the run's folder for `probekit predict`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from probekit_cli import output
from probekit_cli.probe.asked import BINARY
from probekit_cli.where import Where

if TYPE_CHECKING:
    from probekit.attribution import AttributionResult
    from probekit.features import FeatureSet
    from probekit.pairs import PairResult
    from probekit.probes.trained import TrainedProbe
    from probekit.trials import Trial
    from probekit_cli.questions import Session

MUCH = 64 << 20  # bytes: probes that hold their training features are kept only when asked


class Kept(Protocol):
    """The options that say what is kept of an answer."""

    @property
    def where(self) -> Where:
        """Which features of which manifest."""
        ...

    @property
    def threshold(self) -> str:
        """Name of the rule."""
        ...

    @property
    def save(self) -> bool | None:
        """Whether probes are kept; None: unless they hold much."""
        ...

    @property
    def curves(self) -> bool:
        """Whether curves of scores are drawn."""
        ...


def keep(session: "Session", asked: Kept, features: "FeatureSet", result: "PairResult | AttributionResult") -> None:
    """Write every probe of an answer to `probes/` in the run's folder, one file a training set and partition."""
    from probekit.fingerprint import plain_object
    from probekit.heads.saved import SavedProbe, blocks_of, save_probe

    every = [(trial, part, probe) for trial in result.trials.values() for part, probe in enumerate(trial.probes)]
    if not every or asked.save is False:
        return
    size = sum(_size(probe) for _, _, probe in every)
    if size > MUCH and asked.save is None:
        output.remark(
            f"note: {len(every)} probes hold {size >> 20} MiB of training features: not kept; --save keeps them."
        )
        return
    manifest, settings = asked.where.manifest, result.settings
    if getattr(settings, "seeds", 1) > 1:
        session.remark("note: the probes of the first seed are kept; the numbers above are means over all.")
    task = getattr(settings, "task", BINARY)
    blocks = blocks_of(features.sources, features.widths, asked.where.cache)
    domains = [getattr(settings, name, None) for name in ("train_domain", "test_domain")]
    domain = f"@{domains[0]}" if domains[0] else ""
    for trial, part, probe in every:
        parts = len(trial.probes) > 1
        saved = SavedProbe(
            probe=probe.probe,
            condition=probe.condition,
            classifier=probe.classifier,
            task=task,  # type: ignore[arg-type]  # a name in `attribution.TASKS`, or binary
            class_names=_class_names(result, trial, task),
            blocks=blocks,
            prior=(probe.prior[0], sum(probe.prior[1:])),
            train=trial.name + domain,
            evaluation=str(result.selection["evaluation"]),
            manifest=manifest.name,
            manifest_sha256=manifest.sha256,
            parameter=probe.selection.parameter,
            value=probe.value,
            crops=asked.where.selector.crops,
            calibration=probe.calibration,
            threshold=_threshold(result, trial.name, part),
            threshold_by=asked.threshold + _of_videos(settings.aggregate),
            seen=("train", "val", "test") if parts or probe.selection.oracle else ("train", "val"),
            selection=probe.record(),
            settings=plain_object(settings),
        )
        words = [
            saved.train,
            f"to-{domains[1]}" if domains[1] else "",
            task if task != BINARY else "",
            probe.probe,
            settings.project,
        ]
        name = session.probe_name("-".join(filter(None, words)), features, f"fold{part}" if parts else "")
        save_probe(session.run.path / "probes" / name, saved)


def _class_names(result: "PairResult | AttributionResult", trial: "Trial", task: str) -> tuple[str, ...]:
    names: Mapping[str, tuple[str, ...]] = {
        BINARY: ("real", "fake"),
        "attribution": getattr(result, "classes", ()),
        "one-vs-real": ("real", trial.name),
        "one-vs-rest": ("rest", trial.name),
    }
    return names[task]


def _threshold(result: "PairResult | AttributionResult", train: str, part: int) -> float:
    """Log-odds above which an image is called fake."""
    record = result.selection.get("threshold")
    return float(record["values"][train][part]) if isinstance(record, dict) else 0.0


def _of_videos(aggregate: str | None) -> str:
    """What a threshold is of, where it is not of single images."""
    return f", of videos by {aggregate} of their frames" if aggregate else ""


def _size(probe: "TrainedProbe") -> int:
    """Bytes of all arrays of the classifier."""
    return sum(getattr(value, "nbytes", 0) for value in vars(probe.classifier).values())
