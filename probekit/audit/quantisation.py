"""The quality factor of a JPEG file, from its quantisation tables.

The Independent JPEG Group's libjpeg, and with it Pillow, OpenCV, ImageMagick and most programs, scale the tables that
the standard gives as examples (ITU-T T.81, Annex K.1). With quality factor 1 ≤ q ≤ 100 (`jpeg_quality_scaling`):

    s = ⌊5000 / q⌋ if q < 50 else 200 − 2q          table[i] = clip(⌊(base[i] · s + 50) / 100⌋, 1, 255)

No two factors give the same luminance table, so that the factor is read back exactly, or the tables are not libjpeg's.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from probekit.arrays import Int

LUMINANCE: tuple[int, ...] = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMINANCE: tuple[int, ...] = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    *(99,) * 32,
)  # fmt: skip

WIDEST = 255  # of the entries of a baseline file; others may go on to 32767


def quality_factor(tables: Mapping[int, Sequence[int]]) -> int | None:
    """The factor, 1 … 100, that libjpeg makes these tables of; None where they are not its tables.

    Args:
        tables: 64 entries each, in rows of rising horizontal frequency; number 0 is luminance, 1 chrominance.
    """
    if 0 not in tables or not set(tables) <= {0, 1}:
        return None
    for factor in range(1, 101):
        if all(_equal(tables[number], base, factor) for number, base in _BASES.items() if number in tables):
            return factor
    return None


def mean_step(tables: Mapping[int, Sequence[int]]) -> float:
    """Mean entry of the luminance table, or of the first that there is: the coarser, the higher; NaN without any."""
    return float(np.mean(tables[min(tables)])) if tables else float("nan")


def libjpeg_table(base: Sequence[int], factor: int, most: int = WIDEST) -> Int[np.ndarray, " 64"]:
    """The table that libjpeg makes of a base table, as its `jpeg_add_quant_table` does."""
    scale = 5000 // factor if factor < 50 else 200 - 2 * factor
    table: Int[np.ndarray, " 64"] = np.clip((np.array(base, np.int64) * scale + 50) // 100, 1, most)
    return table


_BASES = {0: LUMINANCE, 1: CHROMINANCE}
_TABLES = {
    (base, factor, most): tuple(libjpeg_table(base, factor, most).tolist())
    for base in _BASES.values()
    for factor in range(1, 101)
    for most in (WIDEST, 32767)
}


def _equal(table: Sequence[int], base: tuple[int, ...], factor: int) -> bool:
    most = WIDEST if max(table) <= WIDEST else 32767
    return tuple(table) == _TABLES[base, factor, most]
