"""A trained probe: raw features in, scores out, with the record of how it was made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float
from probekit.fingerprint import JSONValue, plain
from probekit.probes.calibration import Calibration
from probekit.probes.classifier import Classifier, probabilities
from probekit.probes.conditions import Condition
from probekit.probes.selection import Selection


@dataclass(frozen=True, eq=False)
class TrainedProbe:
    """Condition, classifier and calibration, one after the other."""

    probe: str
    condition: Condition
    classifier: Classifier
    selection: Selection
    calibration: Calibration
    prior: tuple[int, ...]
    """Samples of each class that its probabilities are of: of the calibration, without one of the training."""

    @property
    def probabilistic(self) -> bool:
        """Whether decisions are log-odds (logits) of probabilities."""
        return self.classifier.probabilistic or self.calibration.kind != "none"

    @property
    def converged(self) -> bool:
        """Whether the fits of the classifier and of the projection, if any, ended where they should."""
        projection = self.condition.projection
        return self.classifier.converged and (projection is None or bool(projection.record.get("converged", True)))

    @property
    def value(self) -> float | None:
        """Of the probe's parameter, as it was fitted: a k that the training rows were too few for was lowered."""
        name = self.selection.parameter
        found: float | None = getattr(self.classifier, name, self.selection.value) if name else None
        return found

    @property
    def log_prior_odds(self) -> float:
        """Log of (n of other classes / n of the first), natural: log-odds less this are a log-likelihood ratio."""
        return float(np.log(sum(self.prior[1:])) - np.log(self.prior[0]))

    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """Score of the second class (n,) for two classes, else one a class (n, k); log-odds where probabilistic."""
        return self.calibration.apply(self.classifier.decision_function(self.condition.apply(features)))

    def predict_proba(self, features: Features) -> Float[np.ndarray, "n c"]:
        """Probability of every class; rows sum to 1. Meaningless unless probabilistic."""
        return probabilities(self.decision_function(features))

    def record(self) -> dict[str, JSONValue]:
        """How it was chosen and how well the fit converged, in JSON's own types; without the grid."""
        parameter = self.selection.parameter
        fit = {name: getattr(self.classifier, name, None) for name in ("gradient", "iterations")}
        projection = self.condition.projection
        return {
            **self.selection.record(),
            **({parameter: self.value} if parameter else {}),
            **fit,
            "converged": self.converged,
            **({"projection": plain(projection.record)} if projection else {}),
            **({"calibration": plain(self.calibration)} if self.calibration.kind != "none" else {}),
        }


def selection_record(trained: Mapping[str, Sequence[TrainedProbe]]) -> dict[str, JSONValue]:
    """The selection record of a run: what all probes share, and an entry for each of them.

    Args:
        trained: the probes of each training set by its name, one a partition.
    """
    every = [probe for probes_of in trained.values() for probe in probes_of]
    first, projection = every[0].selection, every[0].condition.projection
    chosen: dict[str, JSONValue] = {}
    if first.parameter:
        chosen[first.parameter] = {name: [one.value for one in own] for name, own in trained.items()}
    return {
        "by": "; ".join(dict.fromkeys(probe.selection.by for probe in every)),
        "metric": first.metric,
        "oracle": any(probe.selection.oracle for probe in every),
        "parameter": first.parameter,
        "grid": list(first.grid),
        "condition": "; ".join(dict.fromkeys(probe.condition.name for probe in every)),
        **({"project": str(projection.record["kind"])} if projection else {}),
        **chosen,
        "converged": all(probe.converged for probe in every),
        "probes": [
            {"train": name, "part": part, **probe.record()}
            for name, probes_of in trained.items()
            for part, probe in enumerate(probes_of)
        ],
    }
