"""Random forests on file properties, trained and scored as the project's probes are.

A forest (Breiman 2001) because properties are categories, counts and sizes of every scale, and what gives a class away
may be any combination of them. Each tree draws at most `DRAWN` samples, so that millions cost no more than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from probekit.arrays import Float, Labels, Mask
from probekit.audit.settings import AuditSettings
from probekit.parallel import processors, side_by_side
from probekit.protocols import Partition, matched
from probekit.trials import TrainingSet

DRAWN = 50_000


@dataclass(frozen=True, eq=False)
class ForestTrial:
    """What the forests of one training set, one a partition, say of every sample; see `probekit.trials.Trial`."""

    name: str
    train: Mask
    leaked: Mask
    decisions: Float[np.ndarray, " n"] | Float[np.ndarray, "n c"]
    """Of two classes P(fake) − ½, of several the probability of each; NaN where no forest scores."""
    probabilistic: bool = False


def forest_trials(
    asked: Sequence[TrainingSet],
    matrix: Float[np.ndarray, "n d"],
    samples: pd.DataFrame,
    divided: Sequence[Partition],
    scored: Mask,
    settings: AuditSettings,
) -> dict[str, ForestTrial]:
    """The trial of each training set, by its name.

    Args:
        asked: the training sets; each class has samples in every partition's training part.
        matrix: properties of all samples; NaN where a file has none.
        samples: all samples.
        divided: the partitions.
        scored: samples whose scores are wanted.
        settings: trees and seed.
    """
    tasks = [partial(_trial, one, matrix, samples, divided, scored, settings) for one in asked]
    found = side_by_side(tasks, workers=processors(), libraries=["sklearn.ensemble"])
    return {trial.name: trial for trial in found}


def _trial(
    asked: TrainingSet,
    matrix: Float[np.ndarray, "n d"],
    samples: pd.DataFrame,
    divided: Sequence[Partition],
    scored: Mask,
    settings: AuditSettings,
) -> ForestTrial:
    """As `probekit.trials` has it: real images of the fakes' domains in each part, a forest for each partition."""
    n = len(samples)
    names = np.unique(asked.classes[asked.rows])
    shares = np.full((n, len(names)), np.nan)
    train, leaked = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    groups = samples["group"]
    for partition in divided:
        own, test = matched(samples, asked.rows & partition.train), partition.test & scored
        shares[test] = _probabilities(matrix, asked.classes, own, test, names, settings)
        train |= own
        leaked |= test & groups.isin(groups[own].unique()).to_numpy()
    decisions = shares[:, 1] - 0.5 if len(names) == 2 else shares
    return ForestTrial(asked.name, train, leaked, decisions)


def _probabilities(
    matrix: Float[np.ndarray, "n d"],
    classes: Labels,
    train: Mask,
    test: Mask,
    names: Labels,
    settings: AuditSettings,
) -> Float[np.ndarray, "t c"]:
    """Share of the trees for each class; the same for all where nothing differs among the training samples."""
    from sklearn.ensemble import RandomForestClassifier

    own = matrix[train]
    differs = [len(np.unique(column)) > 1 for column in own.T]  # NaN counts as one value
    if not any(differs) or not test.any():
        return np.full((int(test.sum()), len(names)), 1 / len(names))
    drawn = None if len(own) <= DRAWN else DRAWN
    forest = RandomForestClassifier(settings.trees, max_samples=drawn, random_state=settings.seed)
    forest.fit(own[:, differs], classes[train])
    found: Float[np.ndarray, "t c"] = forest.predict_proba(matrix[test][:, differs])
    return found
