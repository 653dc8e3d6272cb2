"""The head that most formats are: one weight a feature, and a bias."""

from collections.abc import Callable, Mapping

import numpy as np

from probekit.arrays import Features, Float, Scores
from probekit.probes.conditions import fit_condition


def linear(
    tap: str, weight: Float[np.ndarray, " d"], bias: float, condition: str
) -> Callable[[Mapping[str, Features]], Scores]:
    """Scores w · x + b of the conditioned features of one tap; the condition has no statistics to be fitted."""
    blank = np.zeros((1, len(weight)))
    conditioned = fit_condition(condition, blank, [len(weight)])

    def score(features: Mapping[str, Features]) -> Scores:
        scores: Scores = conditioned.apply(features[tap]) @ weight + bias
        return scores

    return score
