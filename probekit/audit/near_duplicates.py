"""Near-duplicates on both sides of an evaluation: by the pictures, and by the features themselves."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from probekit import sources
from probekit.arrays import Features, Float
from probekit.audit.leaks import ALIKE, FEATURES, pair_table, sides
from probekit.audit.pictures import HASH_BYTES, Luminance, correlation, luminance
from probekit.audit.reading import BATCH, Files
from probekit.audit.settings import AuditSettings
from probekit.errors import ImageError
from probekit.neighbours import Gallery, hamming_pairs, pairs_above
from probekit.parallel import processors

LEAST = 0.95
"""Cosine of z-scored features below which no pair is called near."""
SPREADS = 5.0
"""How far a pair must stand out, in lower spreads (see `standing_out`)."""
BLUNT = 0.8
"""Median cosine to the nearest sample beyond which features do not know pictures apart."""
MOST = 1000
"""Samples up to which all pairs of them are listed."""
SAME = 1 - 1e-6
"""Cosine of features that are the same but for rounding."""


def alike(files: Files, settings: AuditSettings, on_pair: Callable[[int, int], None] | None = None) -> pd.DataFrame:
    """Pictures that look alike and stand on different sides, as a table of pairs; `value` is their correlation.

    Copies of the same bytes are left out. Of each picture at most eight others are compared, those with the nearest
    hashes; pictures of one colour are compared with none.

    Args:
        files: of a manifest.
        settings: the distance of hashes up to which pairs are compared, and the correlation that confirms them.
        on_pair: told how many of the pictures that must be looked at again are read.
    """
    rows = np.array([row for row, perceptual in enumerate(files.hashes) if perceptual], np.int64)
    codes = np.frombuffer(b"".join(files.hashes), np.uint8).reshape(-1, HASH_BYTES)
    side = sides(files.table, settings.folds)
    proposed = hamming_pairs(codes, side[rows], settings.distance)
    a, b = rows[proposed["i"].to_numpy()], rows[proposed["j"].to_numpy()]
    other = (files.keys[a] != files.keys[b]).any(axis=1)
    a, b = a[other], b[other]
    small = _luminances(files, np.unique(np.concatenate([a, b])).tolist(), on_pair)
    value = np.array([_compared(small[i], small[j]) for i, j in zip(a.tolist(), b.tolist(), strict=True)])
    kept = np.flatnonzero(value >= settings.alike)
    kept = kept[np.argsort(-value[kept], kind="stable")]
    return pair_table(files.table, side, ALIKE, a[kept], b[kept], value[kept])


def near_in_features(features: Features, table: pd.DataFrame, folds: int) -> pd.DataFrame:
    """Pairs on different sides that are nearer than `standing_out` says; `value` is the z-scored cosine.

    Of more than `MOST` samples with such a pair each stands with its nearest only: a set full of copies has too many.

    Args:
        features: one row a sample.
        table: the samples.
        folds: as in `leaks.sides`.
    """
    side = sides(table, folds)
    wide = features.astype(np.float64)
    spread = wide.std(axis=0)
    unit = ((wide - wide.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).astype(np.float32)
    nearest = Gallery.of(unit, side).search(unit, 1, side)
    row, similarity = nearest.indices[:, 0], nearest.similarities[:, 0].astype(np.float64)
    bar = standing_out(similarity[row >= 0])
    found = np.flatnonzero((row >= 0) & (similarity >= bar))
    if len(found) <= MOST:  # both of a pair that reaches the bar are among these
        above = pairs_above(unit[found], side[found], bar)
        a, b = found[above["i"].to_numpy()], found[above["j"].to_numpy()]
        return pair_table(table, side, FEATURES, a, b, above["similarity"].to_numpy(np.float64))
    pairs = {tuple(sorted((i, int(row[i])))): float(similarity[i]) for i in found.tolist()}
    order = sorted(pairs, key=lambda pair: (-pairs[pair], pair))
    a, b = np.array(order, np.int64).reshape(-1, 2).T
    return pair_table(table, side, FEATURES, a, b, [pairs[pair] for pair in order])


def standing_out(nearest: Float[np.ndarray, " n"]) -> float:
    """The cosine from which on a pair is nearer than different pictures are in these features.

    Features differ in how alike they find different pictures, so the bar is set by the nearest neighbours themselves,
    in Fisher's z = atanh(cosine):

        max(LEAST, tanh(median + SPREADS · (median − 10 % quantile)))         at most SAME

    The lower half is not moved by copies unless every second sample has one. On 1,116 faces the bar was .970 for a
    ViT-Tiny (median .68), and no different pictures came above it. Forensic features are made to ignore what a picture
    shows: their medians were .87–.91, and different plain surfaces may agree to .999. Beyond a median of `BLUNT` only
    features that are the same count.
    """
    if not len(nearest):
        return SAME
    z = np.arctanh(np.clip(nearest, -SAME, SAME))
    low, middle = np.quantile(z, [0.1, 0.5])
    if np.tanh(middle) > BLUNT:
        return SAME
    return float(min(max(LEAST, np.tanh(middle + SPREADS * (middle - low))), SAME))


def _luminances(
    files: Files, rows: list[int], on_pair: Callable[[int, int], None] | None
) -> dict[int, Luminance | None]:
    """The small pictures of these rows; None of a file that is gone since it was hashed."""

    def read(row: int) -> Luminance | None:
        try:
            pixels = sources.read(files.sample(row)).decode()
            return luminance(pixels.permute(1, 2, 0).numpy())
        except ImageError:
            return None

    found: dict[int, Luminance | None] = {}
    with ThreadPoolExecutor(processors()) as pool:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            found |= dict(zip(batch, pool.map(read, batch), strict=True))
            if on_pair:
                on_pair(len(found), len(rows))
    return found


def _compared(a: Luminance | None, b: Luminance | None) -> float:
    return correlation(a, b) if a is not None and b is not None else 0.0
