"""The matrix where each training set has features of its own: those of a network that was trained on it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from probekit.errors import ProbeError
from probekit.features import FeatureSet, Source
from probekit.fingerprint import plain
from probekit.manifest.columns import IDENTITY
from probekit.pairs.result import PairResult
from probekit.pairs.scoring import Question, answer
from probekit.pairs.settings import PairSettings
from probekit.probes.trained import TrainedProbe
from probekit.protocols import describe, require_finite
from probekit.trials import Trial, given_trial, run_trials


def score_own_features(
    features: Mapping[str, FeatureSet],
    settings: PairSettings,
    *,
    given: Mapping[str, TrainedProbe] | None = None,
    device: str = "cpu",
) -> PairResult:
    """Every pair of a training and a test set, as `score_pairs`; the record says whose features each probe has.

    Args:
        features: of the same samples, by the name of the training set.
        settings: what is trained, tested, and how; one seed.
        given: the probe of each training set, where it was trained with its features; None trains them.
        device: where to compute.

    Raises:
        ProbeError: features of a training set are missing, or of other samples than the others.
        ModelError: a feature is not finite.
        UnknownNameError: a generator that does not exist.
    """
    first = next(iter(features.values()))
    _require_alike(features)
    question = Question.of(first.samples, settings)
    trials: dict[str, Trial] = {}
    for asked in question.training_sets():
        if asked.name not in features:
            raise ProbeError(f"{asked.name}: there are no features of a network that was trained on it.")
        own = features[asked.name]
        require_finite(own.samples, own.blocks)
        if given is not None:
            trials[asked.name] = given_trial(asked, given[asked.name], own, question.units.rows, settings)
        else:
            (trials[asked.name],) = run_trials(
                [asked],
                own,
                question.divided,
                question.units.rows,
                settings,
                needs_threshold=settings.threshold != "0.5",
                device=device,
            )
    sources = [features[name].sources[0] for name in trials]
    found = answer(question, trials, describe([together(sources)]))
    networks = plain({name: features[name].sources[0].model for name in trials})
    return replace(found, selection=found.selection | {"networks": networks})


def together(sources: Sequence[Source]) -> Source:
    """One source that stands for all: `tuned:xception41-*` for `tuned:xception41-lama` and `tuned:xception41-ldm`."""
    models = list(dict.fromkeys(source.model for source in sources))
    name = models[0] if len(models) == 1 else f"{_beginning(models)}*"
    return replace(sources[0], model=name)


def _beginning(names: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(names), max(names)
    same = [number for number, letter in enumerate(first) if last[number : number + 1] != letter]
    return first[: same[0]] if same else first


def _require_alike(features: Mapping[str, FeatureSet]) -> None:
    """Nothing, if all are of the same samples.

    Raises:
        ProbeError: they are not.
    """
    first = next(iter(features.values()))
    own = [name for name in IDENTITY if name in first.samples]
    for name, found in features.items():
        if not found.samples[own].equals(first.samples[own]):
            raise ProbeError(
                f"{name}: its features are of {len(found.samples)} samples, those of the others of "
                f"{len(first.samples)}, or of different ones: extract them all again."
            )
