"""Units: what is scored as one, an image or all frames of a video."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Groups, Int, Mask
from probekit.metrics.aggregate import aggregate, composite
from probekit.probes.criteria import Decisions
from probekit.protocols import Partition, part_numbers, tested
from probekit.trials.settings import TrialSettings

SAMPLE_COLUMNS = ("path", "generator", "domain", "label", "group")


@dataclass(frozen=True, eq=False)
class Units:
    """What is scored as one: each sample by itself, or all frames of a video."""

    rows: Mask
    """The samples that are scored."""
    table: pd.DataFrame
    """One row a unit: path, generator, domain, label, group of its first sample; frames where there are several."""
    part: Int[np.ndarray, " u"]
    """The number of the partition whose probe scores it."""
    keys: Groups | None
    how: str | None

    def combine(self, values: Decisions) -> Decisions:
        """One entry a unit from one a sample."""
        own: Decisions = values[self.rows]
        return own if self.keys is None or self.how is None else aggregate(own, self.keys, self.how).scores

    def any(self, mask: Mask) -> Mask:
        """Whether any sample of the unit is in the mask."""
        own: Mask = mask[self.rows]
        if self.keys is None:
            return own
        names, first, number = np.unique(self.keys, return_index=True, return_inverse=True)
        found = np.bincount(number, weights=own, minlength=len(names)) > 0
        marked: Mask = found[np.argsort(first)]  # in the order in which units first appear, as `aggregate` has them
        return marked


def unit_keys(samples: pd.DataFrame, unit: str) -> Groups:
    """A key a sample that frames of one video share: a real and a fake video of one name have different ones.

    Raises:
        UsageError: there is no such column, or it is empty somewhere.
    """
    return composite(samples, list(dict.fromkeys(["domain", "generator", "label", "group", unit])))


def units_of(samples: pd.DataFrame, divided: Sequence[Partition], scored: Mask, settings: TrialSettings) -> Units:
    """The units among the scored samples.

    Raises:
        UsageError: there is no such column, or no such way to aggregate.
    """
    rows = scored & tested(divided)
    own = samples.loc[rows].reset_index(drop=True)
    part = part_numbers(divided)[rows]
    columns = list(SAMPLE_COLUMNS)
    if settings.aggregate is None:
        return Units(rows, own[columns], part, None, None)
    keys = unit_keys(own, settings.unit)
    joined = aggregate(np.zeros(len(own)), keys, settings.aggregate)
    table = own.loc[joined.first, columns].reset_index(drop=True).assign(frames=joined.frames)
    return Units(rows, table, part[joined.first], keys, settings.aggregate)
