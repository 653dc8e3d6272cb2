"""Maximum mean discrepancy of two samples, without bias, from sums of a kernel over pairs of samples.

    MMD² = mean k(x, x') + mean k(y, y') − 2 mean k(x, y)             (Gretton et al. 2012, Lemma 6)

A sample is compared with samples of other groups alone: a photograph with itself, its own edits or the other frames of
its video would say nothing of two images drawn independently, which is what the means are to stand for. Where every
sample is a group of its own, the first two means leave out the diagonal as the paper does.

    poly   k(x, y) = (xᵀy / d + 1)³                                    (KID: Bińkowski et al. 2018)
    rbf    k(x, y) = exp(−‖x − y‖² / (2 σ²)), σ the median distance     (Gretton et al. 2012, section 8)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float, Groups, Int, Mask

ELEMENTS = 1 << 23  # of the kernel matrix at once
MEDIAN_OF = 2000  # samples whose distances the median heuristic looks at

Kernel = Callable[[Float[np.ndarray, "a d"], Float[np.ndarray, "b d"]], Float[np.ndarray, "a b"]]


def polynomial(x: Float[np.ndarray, "a d"], y: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "a b"]:
    """(xᵀy / d + 1)³."""
    found: Float[np.ndarray, "a b"] = (x @ y.T / x.shape[1] + 1) ** 3
    return found


@dataclass(frozen=True)
class Gaussians:
    """exp(−‖x − y‖² / (2 σ²))."""

    squared_width: float
    """σ²; NaN where there is none, and the kernel is NaN."""

    def __call__(self, x: Float[np.ndarray, "a d"], y: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "a b"]:
        """The kernel of every two rows."""
        found: Float[np.ndarray, "a b"] = np.exp(_squared_distances(x, y) / (-2 * self.squared_width))
        return found


def median_kernel(features: Features, groups: Groups, seed: int) -> Gaussians:
    """The Gaussian kernel as wide as the median distance of samples of different groups, of at most 2,000 samples.

    Its width is NaN where half of all distances are 0.
    """
    drawn = np.random.default_rng(seed).permutation(len(features))[:MEDIAN_OF]
    rows, own = features[np.sort(drawn)], np.asarray(groups)[np.sort(drawn)]
    upper = np.triu(own[:, None] != own[None, :], k=1)
    distances = _squared_distances(rows, rows)[upper]
    median = float(np.median(distances)) if len(distances) else 0.0
    scale = float(np.max(np.abs(rows), initial=0.0)) ** 2 * rows.shape[1]
    return Gaussians(median if median > 1e-12 * scale else float("nan"))


def _squared_distances(x: Float[np.ndarray, "a d"], y: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "a b"]:
    lengths = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", y, y)
    found: Float[np.ndarray, "a b"] = np.maximum(lengths - 2 * (x @ y.T), 0.0)
    return found


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Sums of a kernel, and numbers of pairs, over the samples of every two cells."""

    sums: Float[np.ndarray, "c c"]
    counts: Int[np.ndarray, "c c"]

    def mmd2(self, a: Mask, b: Mask) -> float:
        """MMD² between the samples of these cells and of those; NaN where no two can be compared."""
        means = []
        for down, across in ((a, a), (b, b), (a, b)):
            pairs = self.counts[np.ix_(down, across)].sum()
            if not pairs:
                return float("nan")
            means.append(self.sums[np.ix_(down, across)].sum() / pairs)
        return float(means[0] + means[1] - 2 * means[2])


def kernel_sums(features: Features, groups: Groups, cells: Int[np.ndarray, " n"], kernel: Kernel) -> KernelSums:
    """The sums over pairs of different groups; cells are numbered from 0 without gaps.

    Sums over everything, less those within each group.
    """
    order = np.argsort(cells, kind="stable")
    rows, own = features[order], np.asarray(groups)[order]
    sizes = np.bincount(cells)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sums = np.zeros((len(sizes), len(sizes)))
    counts = np.outer(sizes, sizes)
    sorted_cells = cells[order]
    step = max(1, ELEMENTS // len(rows))
    for start in range(0, len(rows), step):
        by_cell = np.add.reduceat(kernel(rows[start : start + step], rows), starts, axis=1)  # (rows, c)
        np.add.at(sums, sorted_cells[start : start + step], by_cell)
    by_group = np.argsort(own, kind="stable")
    for members in np.split(by_group, np.flatnonzero(own[by_group][1:] != own[by_group][:-1]) + 1):
        values, at = kernel(rows[members], rows[members]), sorted_cells[members]
        np.subtract.at(sums, (at[:, None], at[None, :]), values)
        np.subtract.at(counts, (at[:, None], at[None, :]), 1)
    return KernelSums(np.where(counts > 0, sums, 0.0), counts)


def mmd2(a: Features, b: Features, groups_a: Groups, groups_b: Groups, kernel: Kernel = polynomial) -> float:
    """MMD² of two samples, without bias, so that it may be below 0; pairs of one group are left out."""
    cells = np.repeat([0, 1], [len(a), len(b)])
    features = np.concatenate([a, b]).astype(np.float64)
    found = kernel_sums(features, np.concatenate([groups_a, groups_b]), cells, kernel)
    return found.mmd2(np.array([True, False]), np.array([False, True]))
