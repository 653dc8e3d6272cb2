"""Sums over linear Gram matrices, without ever holding one: over tiles of them, or from cross-moments of the columns.

    Σᵢⱼ Kᵢⱼ Lᵢⱼ  =  ‖Xᵀ Y‖²                   (K = X Xᵀ, L = Y Yᵀ)

The left side costs n² d a kind of features, the right n d² a pair of kinds: whichever is less is computed. Both are
float64, and hold one tile, or the cross-moments of two kinds, at a time.
"""

from collections.abc import Callable, Sequence

import numpy as np

from probekit.arrays import Float, Int
from probekit.comparison.hsic import GramSums
from probekit.comparison.representations import Centred, Representations

TILES = 1 << 23  # float64 numbers in the tiles of all kinds: 64 MiB
MOMENTS = 1 << 25  # float64 numbers in the cross-moments of all parts: 256 MiB
ROWS = 8192  # samples converted at once

OnProgress = Callable[[int, int], None]


def gram_sums(
    features: Representations, parts: Int[np.ndarray, " n"], on_progress: OnProgress | None = None
) -> GramSums:
    """The sums that CKA is made of, for every two kinds of features.

    Args:
        features: of the same samples.
        parts: of each sample, from 0 without gaps.
        on_progress: is told batches done and in all.
    """
    kinds, m = len(features), int(parts.max()) + 1
    products = np.zeros((1 + m * (m > 1), kinds, kinds))
    rows, diagonals = np.empty((kinds, len(parts), m)), np.empty((kinds, len(parts)))
    every, batches = range(len(products)), features.batches()
    done, total = 0, len(batches) * (len(batches) + 1) // 2
    for place, left in enumerate(batches):
        for number in left:
            rows[number], diagonals[number] = _row_sums(features.get(number), parts, m)
        for right in batches[place:]:
            held = [features.get(number) for number in dict.fromkeys([*left, *right])]
            inside = 0 if right is left else len(left)
            found = _products(held, inside, parts, m, on_progress if total == 1 else None)
            products[np.ix_(every, left, right)] = found[:, : len(left), inside:]
            products[np.ix_(every, right, left)] = found[:, inside:, : len(left)]
            done += 1
            if on_progress is not None and total > 1:
                on_progress(done, total)
    # the diagonal's share of the products of whole Gram matrices
    for place in range(len(products)):
        kept = parts != place - 1
        products[place] -= diagonals[:, kept] @ diagonals[:, kept].T
    return GramSums(products, rows, diagonals, parts)


def _row_sums(
    features: Centred, parts: Int[np.ndarray, " n"], m: int
) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, " n"]]:
    """K̃ summed over the columns of each part, X (Σ xⱼ), and the diagonal of K."""
    sums = np.zeros((m, features.width))
    strips = [slice(start, start + ROWS) for start in range(0, len(parts), ROWS)]
    for strip in strips:
        values = features.rows(strip)
        for part in range(m):
            sums[part] += values[parts[strip] == part].sum(axis=0)
    rows, diagonal = np.empty((len(parts), m)), np.empty(len(parts))
    for strip in strips:
        values = features.rows(strip)
        rows[strip] = values @ sums.T
        diagonal[strip] = np.einsum("ij,ij->i", values, values)
    rows[np.arange(len(parts)), parts] -= diagonal
    return rows, diagonal


def _products(
    held: Sequence[Centred], inside: int, parts: Int[np.ndarray, " n"], m: int, on_progress: OnProgress | None
) -> Float[np.ndarray, "s f f"]:
    """Σ Kᵢⱼ Lᵢⱼ with the diagonals, of every two of these kinds, of all samples and without each part.

    Where `inside` is not 0, only those of the first so many kinds with the others are asked for.
    """
    n, widths = len(parts), [features.width for features in held]
    tiles_cost = n * n * sum(widths) + n * n * len(held) ** 2
    moments_cost = n * 2 * sum(widths[i] * widths[j] for i, j in _asked(len(held), inside))
    if tiles_cost < moments_cost:
        return _by_tiles(held, parts, m, on_progress)
    return _by_moments(held, inside, parts, m, on_progress)


def _asked(kinds: int, inside: int) -> list[tuple[int, int]]:
    """The pairs, each once."""
    pairs = [(i, j) for i in range(kinds) for j in range(i + 1)]
    return [(i, j) for i, j in pairs if not inside or (i < inside) != (j < inside)]


def _by_tiles(
    held: Sequence[Centred], parts: Int[np.ndarray, " n"], m: int, on_progress: OnProgress | None
) -> Float[np.ndarray, "s f f"]:
    """From tiles of the Gram matrices, each of samples of one part by samples of one part."""
    kinds = len(held)
    side = int(np.clip(np.sqrt(TILES / kinds), 16, 1024))
    blocks = [
        (part, block)
        for part in range(m)
        for own in [np.flatnonzero(parts == part)]
        for block in np.array_split(own, -(-len(own) // side))
    ]
    between = np.zeros((m, m, kinds, kinds))
    done, total = 0, len(blocks) * (len(blocks) + 1) // 2
    for place, (part, rows) in enumerate(blocks):
        down = [features.rows(rows) for features in held]
        for other, columns in blocks[: place + 1]:
            across = down if columns is rows else [features.rows(columns) for features in held]
            tiles = np.stack([(x @ y.T).ravel() for x, y in zip(down, across, strict=True)])  # (f, tile)
            found = tiles @ tiles.T
            between[part, other] += found
            if columns is not rows:
                between[other, part] += found
            done += 1
            if on_progress is not None:
                on_progress(done, total)
    whole: Float[np.ndarray, "f f"] = between.sum(axis=(0, 1))
    if m == 1:
        return whole[None]
    touched = [between[part].sum(axis=0) + between[:, part].sum(axis=0) - between[part, part] for part in range(m)]
    return np.stack([whole, *(whole - one for one in touched)])


def _by_moments(
    held: Sequence[Centred], inside: int, parts: Int[np.ndarray, " n"], m: int, on_progress: OnProgress | None
) -> Float[np.ndarray, "s f f"]:
    """From Xᵀ Y of each part, a strip of the columns of Y at a time."""
    kinds = len(held)
    products = np.zeros((1 + m * (m > 1), kinds, kinds))
    blocks = [
        (part, block)
        for part in range(m)
        for own in [np.flatnonzero(parts == part)]
        for block in np.array_split(own, -(-len(own) // ROWS))
    ]
    asked = _asked(kinds, inside)
    for done, (i, j) in enumerate(asked, start=1):
        for strip in _strips(held[i].width, held[j].width, m):
            moments = np.zeros((m, held[i].width, strip.stop - strip.start))
            for part, rows in blocks:
                x = held[i].rows(rows)
                y = x if i == j else held[j].rows(rows)
                moments[part] += x.T @ y[:, strip]
            whole = moments.sum(axis=0)
            products[0, i, j] += np.sum(whole**2)
            for part in range(m if m > 1 else 0):
                products[1 + part, i, j] += np.sum((whole - moments[part]) ** 2)
        products[:, j, i] = products[:, i, j]
        if on_progress is not None:
            on_progress(done, len(asked))
    return products


def _strips(rows: int, columns: int, m: int) -> list[slice]:
    """The columns, as many at once as `MOMENTS` holds of all parts."""
    step = max(1, MOMENTS // (m * rows))
    return [slice(start, min(start + step, columns)) for start in range(0, columns, step)]
