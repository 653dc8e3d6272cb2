"""Where the generators lie to each other: Fréchet distance and MMD of every two, real images among them.

Distances are of conditioned features (z-scores of all samples unless another condition is named), so that no column
counts for more because of its unit. Beside those of two generators stand those of two halves of each: what no
difference at all looks like at half the sample size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Bool, Features, Float, Groups, Int, Mask
from probekit.comparison.frechet import gaussian, squared_distance
from probekit.comparison.intervals import (
    PARTS,
    deal_parts,
    draw_groups,
    enough_groups,
    hash_order,
    jackknife,
    require_parts,
)
from probekit.comparison.mmd import Kernel, KernelSums, kernel_sums, median_kernel, polynomial
from probekit.comparison.samples import Pair, classes_of, pairs_of, remarks_on_domains, restrict, rows_of
from probekit.comparison.verdicts import ends, spell
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue, plain
from probekit.metrics import json_row
from probekit.probes.conditions import fit_condition
from probekit.protocols import require_finite

OnProgress = Callable[[int, int], None]
Row = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class DistanceSettings:
    """What decides the numbers."""

    condition: str = "zscore"
    """As for probes, fitted to all samples; `raw` is what FID and KID are computed on."""
    generators: tuple[str, ...] | None = None
    """Compare these, and real images; None takes all."""
    kernel_sample: int = 2000
    """MMD looks at no more samples of each generator, of whole groups and one at least: its estimate has no bias that
    more would take away."""
    parts: int = PARTS
    """Parts of the groups that are left out in turn for intervals; 0 gives none."""
    seed: int = 0

    def __post_init__(self) -> None:
        require_parts(self.parts)
        if self.kernel_sample < 2:
            raise UsageError(f"{self.kernel_sample} samples for MMD: it needs 2 of each generator at least.")


@dataclass(frozen=True, eq=False)
class DistanceResult:
    """How far the generators lie from each other."""

    reference: str
    settings: DistanceSettings
    width: int
    """Columns of the conditioned features."""
    rbf_width: float
    """σ of the Gaussian kernel, the same for all pairs."""
    pairs: pd.DataFrame
    """Rows a, b (each pair once; a = b: two halves of one generator): n_a, n_b, n_groups, enough (both have more groups
    than columns), fd, fd_inf (without its bias of order 1/n) with fd_inf_lo and fd_inf_hi; kid, kid_lo, kid_hi, mmd,
    mmd_lo, mmd_hi (squared; polynomial and Gaussian kernel) with n_kernel_a and n_kernel_b."""
    order: tuple[str, ...]
    """The generators, those near to each other side by side: average linkage of the MMD, optimally ordered."""
    notes: tuple[str, ...]

    def matrix(self, value: str) -> pd.DataFrame:
        """A column of `pairs` as a symmetric matrix in `order`; halves on its diagonal."""
        found = pd.DataFrame(np.nan, self.order, self.order)
        for a, b, number in self.pairs[["a", "b", value]].itertuples(index=False):
            found.loc[a, b] = found.loc[b, a] = number
        return found

    @property
    def verdicts(self) -> list[str]:
        """The nearest and the farthest pair, and how far apart halves of one generator are."""
        halves = self.pairs["a"] == self.pairs["b"]
        said = ends(self.pairs[~halves], "mmd", ("nearest", "farthest"), "MMD²", null=0.0)
        floor = self.pairs.loc[halves, "mmd"].max()
        noise = f"halves of one generator are at most {spell(floor)} apart" if floor > 0 else "halves of none are apart"
        return [f"{said}; {noise}."] if said else []

    def to_json(self) -> dict[str, JSONValue]:
        """Everything."""
        return {
            "settings": plain(self.settings),
            "width": self.width,
            "rbf_width": None if np.isnan(self.rbf_width) else self.rbf_width,
            "order": list(self.order),
            "verdicts": self.verdicts,
            "pairs": [json_row(row) for row in self.pairs.to_dict("records")],
            "notes": list(self.notes),
        }


def measure_distances(
    features: FeatureSet, settings: DistanceSettings, *, on_progress: OnProgress | None = None
) -> DistanceResult:
    """The distances of every two generators in these features.

    Raises:
        ModelError: a feature is not finite.
        UnknownNameError: there is no such condition or generator.
        UsageError: there is one generator only.
    """
    features = restrict(features, settings.generators)
    require_finite(features.samples, features.blocks)
    samples = features.samples
    pairs = pairs_of(samples)
    groups = samples["group"].to_numpy()
    raw = features.matrix
    values = fit_condition(settings.condition, raw, features.widths).apply(raw)
    parts = deal_parts(groups, settings.parts, settings.seed)
    asked = [*pairs, *_halves(samples, groups, settings.seed)]
    kernels = _Kernels.of(values, samples, groups, parts, settings)
    frechet = _frechet(values, asked, parts, groups, on_progress)
    rows = [
        {**_counts(pair, groups, values.shape[1]), **found, **kernels.measure(pair, groups)}
        for pair, found in zip(asked, frechet, strict=True)
    ]
    table = pd.DataFrame(rows)[[*COLUMNS]]
    names = classes_of(samples)
    return DistanceResult(
        features.reference,
        settings,
        values.shape[1],
        float(np.sqrt(kernels.squared_width)),
        table,
        _ordered(names, table),
        (*remarks_on_domains(samples, pairs), *_notes(table, kernels, values.shape[1])),
    )


COLUMNS = (
    "a", "b", "n_a", "n_b", "n_groups", "enough", "fd", "fd_inf", "fd_inf_lo", "fd_inf_hi",
    "kid", "kid_lo", "kid_hi", "mmd", "mmd_lo", "mmd_hi", "n_kernel_a", "n_kernel_b",
)  # fmt: skip


def _halves(samples: pd.DataFrame, groups: Groups, seed: int) -> list[Pair]:
    """Each generator beside itself: every second of its groups, in hash order, against the others."""
    found = []
    for name in classes_of(samples):
        own = rows_of(samples, name)
        second = np.zeros(len(own), dtype=bool)
        second[own] = hash_order(groups[own], seed) % 2 == 1
        found.append(Pair(name, name, own & ~second, own & second))
    return found


def _counts(pair: Pair, groups: Groups, width: int) -> Row:
    n_a, n_b = int(pair.of_a.sum()), int(pair.of_b.sum())
    return {
        "a": pair.a,
        "b": pair.b,
        "n_a": n_a,
        "n_b": n_b,
        "n_groups": len(np.unique(groups[pair.of_a | pair.of_b])),
        "enough": min(len(np.unique(groups[side])) for side in (pair.of_a, pair.of_b)) > width,
    }


# Fréchet distance


def _frechet(
    values: Features,
    asked: Sequence[Pair],
    parts: Int[np.ndarray, " n"],
    groups: Groups,
    on_progress: OnProgress | None,
) -> list[Row]:
    """d² of every pair, of all samples and extrapolated to infinitely many.

    As d² of samples is too large by about c/n (Chong and Forsyth 2020), the jackknife's correction is the straight
    line through 1/n to 0. With no more groups than columns it is no straight line, and nothing is extrapolated:
    images of one group are no more news of a covariance than one of them.
    """
    m = int(parts.max()) + 1
    found = np.full((1 + m * (m > 1), len(asked)), np.nan)
    for place in range(len(found)):
        kept = parts != place - 1
        sides: dict[bytes, Mask] = {}
        for pair in asked:
            sides |= {mask.tobytes(): mask for mask in (pair.of_a, pair.of_b)}
        gaussians = {key: gaussian(values[mask & kept]) for key, mask in sides.items()}
        for column, pair in enumerate(asked):
            found[place, column] = squared_distance(*(gaussians[side.tobytes()] for side in (pair.of_a, pair.of_b)))
        if on_progress is not None:
            on_progress(place + 1, len(found))
    rows: list[Row] = []
    for pair, (whole, *left_out) in zip(asked, found.T, strict=True):
        both = pair.of_a | pair.of_b
        fewest = min(_groups_left(groups[side], parts[side]) for side in (pair.of_a, pair.of_b))
        enough = fewest > values.shape[1] and enough_groups(groups[pair.of_a], groups[pair.of_b])
        sizes = np.bincount(parts[both], minlength=m)[: len(left_out)]
        infinite, (low, high), _ = jackknife(whole if enough else float("nan"), np.array(left_out), sizes)
        rows.append({"fd": whole, "fd_inf": infinite, "fd_inf_lo": low, "fd_inf_hi": high})
    return rows


def _groups_left(groups: Groups, parts: Int[np.ndarray, " n"]) -> int:
    """How many groups there are, without the part that holds the most of them."""
    names, first = np.unique(groups, return_index=True)
    return len(names) - int(np.bincount(parts[first]).max(initial=0))


# Maximum mean discrepancy


@dataclass(frozen=True, eq=False)
class _Kernels:
    """Sums of both kernels over cells: samples of one side of each question, and one part."""

    taken: Mask
    """The samples that are looked at."""
    cells: Int[np.ndarray, " t"]
    """Of each of these."""
    part: Int[np.ndarray, " c"]
    """Of each cell."""
    sums: dict[str, KernelSums]
    squared_width: float
    alone: tuple[str, ...]
    """Generators whose samples are of one group."""

    @classmethod
    def of(
        cls,
        values: Features,
        samples: pd.DataFrame,
        groups: Groups,
        parts: Int[np.ndarray, " n"],
        settings: DistanceSettings,
    ) -> "_Kernels":
        """Both kernels, computed once for all pairs; the width of the second is that of all samples."""
        taken = np.zeros(len(samples), dtype=bool)
        half = np.zeros(len(samples), dtype=np.int64)
        alone = []
        for pair in _halves(samples, groups, settings.seed):
            own = pair.of_a | pair.of_b
            taken[own] = draw_groups(groups[own], settings.kernel_sample, settings.seed)
            half[pair.of_b] = 1
            if len(np.unique(groups[own & taken])) == 1:
                alone.append(pair.a)
        kind = samples.assign(half=half, part=parts).loc[taken, ["label", "generator", "domain", "half", "part"]]
        cells = kind.groupby(list(kind), sort=True).ngroup().to_numpy()
        part = np.zeros(int(cells.max()) + 1, dtype=np.int64)
        part[cells] = parts[taken]
        rows, own_groups = values[taken], groups[taken]
        gaussians = median_kernel(rows, own_groups, settings.seed)
        kernels: dict[str, Kernel] = {"kid": polynomial, "mmd": gaussians}
        sums = {name: kernel_sums(rows, own_groups, cells, kernel) for name, kernel in kernels.items()}
        return cls(taken, cells, part, sums, gaussians.squared_width, tuple(alone))

    def measure(self, pair: Pair, groups: Groups) -> Row:
        """MMD² of a pair with both kernels and their intervals."""
        row: Row = {
            "n_kernel_a": int((pair.of_a & self.taken).sum()),
            "n_kernel_b": int((pair.of_b & self.taken).sum()),
        }
        sides = [self._cells_of(side) for side in (pair.of_a, pair.of_b)]
        enough = enough_groups(groups[pair.of_a & self.taken], groups[pair.of_b & self.taken])
        m = int(self.part.max()) + 1
        within = np.isin(self.cells, np.flatnonzero(sides[0] | sides[1]))
        sizes = np.bincount(self.part[self.cells[within]], minlength=m)
        for name, sums in self.sums.items():
            whole = sums.mmd2(*sides)
            left_out = [sums.mmd2(*(side & (self.part != part) for side in sides)) for part in range(m * (m > 1))]
            about = jackknife(whole if enough else float("nan"), np.array(left_out), sizes[: len(left_out)])[2]
            row |= {name: whole, f"{name}_lo": about[0], f"{name}_hi": about[1]}
        return row

    def _cells_of(self, side: Mask) -> Bool[np.ndarray, " c"]:
        found = np.zeros(len(self.part), dtype=bool)
        found[self.cells[side[self.taken]]] = True
        return found


# Order and remarks


def _ordered(names: Sequence[str], table: pd.DataFrame) -> tuple[str, ...]:
    """Leaves of the tree of average linkage, of MMD or, without one, of the Fréchet distance."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(names) < 3:
        return tuple(names)
    apart = table[table["a"] != table["b"]]  # in the order of the upper triangle
    for value in ("mmd", "fd"):
        distances: Float[np.ndarray, " p"] = np.sqrt(np.maximum(apart[value].to_numpy(dtype=float), 0.0))
        if np.isfinite(distances).all():
            leaves = leaves_list(linkage(distances, "average", optimal_ordering=True)).tolist()
            if leaves.index(0) > leaves.index(len(names) - 1):
                leaves.reverse()  # of the two directions, the one in which the first name comes earlier
            return tuple(names[i] for i in leaves)
    return tuple(names)


def _notes(table: pd.DataFrame, kernels: _Kernels, width: int) -> list[str]:
    notes = []
    apart = table[table["a"] != table["b"]]
    few = apart[~apart["enough"].astype(bool)]
    if len(few):
        notes.append(
            f"Fréchet distances of {len(few)} of {len(apart)} pairs are of no more groups than there are columns "
            f"({width}): far too large, and comparable at equal numbers of images alone. MMD has no such bias."
        )
    if kernels.alone:
        notes.append(
            f"no MMD of {', '.join(kernels.alone)}: it is of pairs of images of different groups, and the images that "
            "were taken are of one group; take more with --kernel-sample, or add groups."
        )
    if np.isnan(kernels.squared_width):
        notes.append("the Gaussian kernel has no width: half of all distances are 0.")
    return notes
