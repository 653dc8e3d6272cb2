"""Statistics under resampling: one number a replicate, of groups drawn with replacement.

Statistics that are compared share the draws, so that what two probes have in common, the images, cancels out.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from probekit.arrays import Float, Int
from probekit.metrics.bootstrap import FEWEST_GROUPS, Resampling, ratio, resample
from probekit.metrics.curves import weighted_eer
from probekit.metrics.group_aucs import group_aucs
from probekit.studies.evidence import Cell

Replicates = Float[np.ndarray, " r"]

REDUCE: dict[str, Callable[[Float[np.ndarray, "c r"]], Replicates]] = {
    "mean": lambda values: np.nanmean(values, axis=0),
    "sd": lambda values: np.nanstd(values, axis=0),
    "min": lambda values: np.nanmin(values, axis=0),
    "max": lambda values: np.nanmax(values, axis=0),
}


def draws_of(sides: Sequence[Sequence[Cell]], replicates: int, seed: int) -> Resampling:
    """Draws of all groups that occur on any side; the members are the groups themselves, by their sorted names."""
    return resample(np.array(list(names_of(sides)), dtype=object), replicates, seed)


def names_of(sides: Sequence[Sequence[Cell]]) -> dict[str, int]:
    """The number of each group in `draws_of` the same sides."""
    names = sorted({group for cells in sides for cell in cells for group in cell.groups})
    return {name: number for number, name in enumerate(names)}


def value(cells: Sequence[Cell], metric: str, reduce: str) -> float:
    """The statistic of the samples as they are; NaN where it is undefined."""
    numbers = names_of([cells])
    once = np.ones((1, len(numbers)), dtype=np.int64)
    return float(replicated(cells, metric, reduce, once, numbers)[0])


def replicated(
    cells: Sequence[Cell], metric: str, reduce: str, counts: Int[np.ndarray, "r g"], numbers: dict[str, int]
) -> Replicates:
    """The statistic under each drawing of the groups.

    Args:
        cells: the samples.
        metric: a name in `protocol.METRICS`.
        reduce: how the values of the cells become one.
        counts: how often each group was drawn.
        numbers: column of each group.
    """
    rows = [_cell(cell, metric, counts, np.array([numbers[group] for group in cell.groups])) for cell in cells]
    values = np.stack(rows)
    defined = ~np.isnan(values).all(axis=0)
    found = np.full(values.shape[1], np.nan)
    if defined.any():
        found[defined] = REDUCE[reduce](values[:, defined])
    return found


def enough(cells: Sequence[Cell], metric: str) -> bool:
    """Whether every cell has enough groups for an interval to mean something; of each class, if classes are weighed."""
    for cell in cells:
        groups = np.array(cell.groups, dtype=object)
        classes = [0, 1] if cell.scored else list(np.unique(cell.labels)) if metric == "balanced_acc" else []
        parts = [groups[cell.labels == label] for label in classes] or [groups]
        if min(len(set(part)) for part in parts) < FEWEST_GROUPS:
            return False
    return True


def _cell(cell: Cell, metric: str, counts: Int[np.ndarray, "r g"], members: Int[np.ndarray, " n"]) -> Replicates:
    if metric == "auc":
        areas: Replicates = group_aucs(counts, members, cell.labels, cell.values[:, None], cell.part)[0]
        return areas
    return Resampling(counts, members).replicates(partial(_weighted, cell, metric))


def _weighted(cell: Cell, metric: str, weights: Float[np.ndarray, "r n"]) -> Replicates:
    if metric == "eer":
        return weighted_eer(cell.labels, cell.values, weights)
    right = cell.values if not cell.scored else ((cell.values > 0) == (cell.labels == 1)).astype(np.float64)
    if metric != "balanced_acc":
        return ratio(weights @ right, weights.sum(axis=1))
    members = (cell.labels[:, None] == np.unique(cell.labels)).astype(np.float64)
    recalls = ratio(weights @ (members * right[:, None]), weights @ members)  # a class that was not drawn has none
    some = ~np.isnan(recalls).all(axis=1)
    found = np.full(len(weights), np.nan)
    found[some] = np.nanmean(recalls[some], axis=1)
    return found
