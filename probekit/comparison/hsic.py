"""HSIC, the dependence of two kernels, from sums over their Gram matrices, and CKA, its cosine.

With K the linear Gram matrix of some features, K̃ the same with a diagonal of 0, and L, L̃ of others:

    biased    HSIC₀ ∝ tr(K H L H), H = I − 11ᵀ/n                                     (Gretton et al. 2005)
    debiased  n(n−3) HSIC₁ = tr(K̃ L̃) + 1ᵀK̃1 · 1ᵀL̃1 / ((n−1)(n−2)) − 2/(n−2) 1ᵀK̃L̃1   (Song et al. 2012, eq. 5)

    CKA(K, L) = HSIC(K, L) / √(HSIC(K, K) HSIC(L, L))                                 (Kornblith et al. 2019, eq. 5)

Both need only Σᵢⱼ K̃ᵢⱼ L̃ᵢⱼ, the row sums K̃1 and the diagonals. Without a part of the samples all of these are what
they were less the part's share: no Gram matrix is computed again.
"""

from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Int


@dataclass(frozen=True, eq=False)
class GramSums:
    """Sums over the Gram matrices of f kinds of features of n samples in m parts."""

    products: Float[np.ndarray, "s f f"]
    """Σ K̃ᵢⱼ L̃ᵢⱼ for every two kinds: over all samples, then without each of the m parts (s = 1, where m = 1)."""
    rows: Float[np.ndarray, "f n m"]
    """Row sums of K̃ over the columns of each part."""
    diagonals: Float[np.ndarray, "f n"]
    parts: Int[np.ndarray, " n"]
    """The part of each sample."""

    def cka(self, without: int | None = None) -> tuple[Float[np.ndarray, "f f"], Float[np.ndarray, "f f"]]:
        """Debiased and biased CKA of every two kinds, of all samples or without a part; NaN where it is undefined.

        Debiased CKA needs at least 4 samples; features that do not vary have none.
        """
        kept = np.ones(len(self.parts), dtype=bool) if without is None else self.parts != without
        others = np.arange(self.rows.shape[2]) != (-1 if without is None else without)
        products = self.products[0 if without is None else 1 + without]
        diagonal = self.diagonals[:, kept]  # (f, n)
        u = self.rows[:, kept][..., others].sum(axis=2)  # (f, n), K̃1
        n = int(kept.sum())
        total = u.sum(axis=1)
        whole = u + diagonal  # K1
        sums = whole.sum(axis=1)
        biased = products + diagonal @ diagonal.T - 2 / n * (whole @ whole.T) + np.outer(sums, sums) / n**2
        if n < 4:
            return np.full_like(biased, np.nan), _cosines(biased)
        debiased = products + np.outer(total, total) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (u @ u.T)
        return _cosines(debiased), _cosines(biased)


def _cosines(products: Float[np.ndarray, "f f"]) -> Float[np.ndarray, "f f"]:
    """aᵢⱼ / √(aᵢᵢ aⱼⱼ), between −1 and 1 by Cauchy and Schwarz; NaN beside an aᵢᵢ that is not positive."""
    own = np.diag(products)
    length = np.sqrt(np.where(own > 0, own, np.nan))
    found: Float[np.ndarray, "f f"] = np.clip(products / np.outer(length, length), -1.0, 1.0)
    return found
