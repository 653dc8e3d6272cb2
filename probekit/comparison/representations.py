"""Features of the same samples, loaded when they are asked for: as many are held at once as fit."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int
from probekit.comparison.intervals import draw_groups, draw_images
from probekit.comparison.samples import common_rows, identities, restrict
from probekit.features import FeatureSet
from probekit.probes.conditions import ELEMENTS_AT_ONCE, Condition, fit_condition
from probekit.protocols import require_finite

HELD = 2 << 30
"""Bytes of raw features that are held at once."""

Load = Callable[[], FeatureSet]


@dataclass(frozen=True, eq=False)
class Centred:
    """Features of one kind: conditioned, centred, and of mean squared length 1; nothing is computed before it is asked.

    A constant column is exactly 0, where rounding would leave a trace of it.
    """

    raw: Float[np.ndarray, "n d"]
    condition: Condition
    mean: Float[np.ndarray, " d"]
    factor: Float[np.ndarray, " d"]
    """1 over the root of the mean squared length; 0 for a constant column."""

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.mean)

    def rows(self, rows: Int[np.ndarray, " k"] | slice) -> Float[np.ndarray, "k d"]:
        """These samples, float64."""
        found: Float[np.ndarray, "k d"] = (self.condition.apply(self.raw[rows]) - self.mean) * self.factor
        return found


class Representations:
    """Several kinds of features, of the samples that all of them have."""

    def __init__(
        self,
        loads: Sequence[Load],
        *,
        condition: str,
        generators: Sequence[str] | None = None,
        per_group: int = 0,
        most: int | None = None,
        seed: int = 0,
    ) -> None:
        """Load each once, to see which samples all have; of each group `per_group` are taken, of at most `most` in all.

        Raises:
            ModelError: a feature is not finite.
            UnknownNameError: there is no such condition or generator.
            UsageError: no sample has all features.
        """
        self._loads, self._generators, self._condition = loads, generators, condition
        self._held: OrderedDict[int, Centred] = OrderedDict()
        self._fitted: dict[int, Centred] = {}
        """Without rows: what is known of features that were held before."""
        self.sizes: list[int] = []
        """Bytes of the raw features of each kind."""
        names, titles, tables = [], [], []
        for load in loads:
            features = restrict(load(), generators)
            require_finite(features.samples, features.blocks)
            names.append(features.name)
            titles.append(features.title)
            tables.append(features.samples)
            self.sizes.append(sum(block.nbytes for block in features.blocks))
        self.names = _told_apart(names, titles)
        """`clip#cls@3`, with the view where several have it."""
        rows = common_rows(tables)
        self.samples: pd.DataFrame = tables[0].iloc[rows[0]].reset_index(drop=True)
        self.all = len(self.samples)
        """Samples that all features have."""
        groups = self.samples["group"].to_numpy()
        drawn = draw_images(groups, [repr(key) for key in identities(self.samples)], per_group, seed)
        drawn[drawn] = draw_groups(groups[drawn], most, seed)
        self.grouped = len(np.unique(groups)) < len(groups)
        """Whether a group has several of them."""
        self.samples = self.samples.loc[drawn].reset_index(drop=True)
        self._rows = [own[drawn] for own in rows]
        self.lacking = max(len(table) for table in tables) - len(rows[0])
        """Samples that some features lack."""

    def __len__(self) -> int:
        return len(self.names)

    def batches(self) -> list[list[int]]:
        """Numbers of kinds of features of which two batches are held at once; one batch where all are."""
        if sum(self.sizes) <= HELD:
            return [list(range(len(self)))]
        found: list[list[int]] = [[]]
        for number, size in enumerate(self.sizes):
            if found[-1] and size + sum(self.sizes[i] for i in found[-1]) > HELD // 2:
                found.append([])
            found[-1].append(number)
        return found

    def get(self, number: int) -> Centred:
        """Features of one kind; those asked for longest ago make room for it."""
        if number not in self._held:
            while self._held and sum(self.sizes[i] for i in (*self._held, number)) > HELD:
                self._held.popitem(last=False)
            features = restrict(self._loads[number](), self._generators)
            raw = features.matrix
            if not np.array_equal(self._rows[number], np.arange(len(raw))):
                raw = raw[self._rows[number]]
            if number not in self._fitted:
                self._fitted[number] = replace(centre(raw, self._condition, features.widths), raw=raw[:0].copy())
            self._held[number] = replace(self._fitted[number], raw=raw)
        self._held.move_to_end(number)
        return self._held[number]


def centre(raw: Float[np.ndarray, "n d"], condition: str, widths: Sequence[int]) -> Centred:
    """The features with the condition, mean and scale of all their rows."""
    fitted = fit_condition(condition, raw, widths)
    step = max(1, ELEMENTS_AT_ONCE // max(1, raw.shape[1]))
    strips = [slice(start, start + step) for start in range(0, len(raw), step)]
    width = len(fitted.scale)
    total, low, high = np.zeros(width), np.full(width, np.inf), np.full(width, -np.inf)
    for rows in strips:
        values = fitted.apply(raw[rows])
        total += values.sum(axis=0)
        low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    mean, varies = total / len(raw), high > low
    squares = sum(float(np.sum(((fitted.apply(raw[rows]) - mean) * varies) ** 2)) for rows in strips)
    factor = varies / np.sqrt(squares / len(raw)) if squares > 0 else np.zeros(width)
    return Centred(raw, fitted, mean, factor)


def _told_apart(names: Sequence[str], titles: Sequence[str]) -> list[str]:
    """The names; the titles of those of one name, and a number after those of one title."""
    found = [title if names.count(name) > 1 else name for name, title in zip(names, titles, strict=True)]
    return [
        f"{name} ({found[:place].count(name) + 1})" if found.count(name) > 1 else name
        for place, name in enumerate(found)
    ]
