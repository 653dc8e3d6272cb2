"""A subset in which the classes have the same file properties: coarsened exact matching.

Iacus, King and Porro, "Causal inference without balance checking: coarsened exact matching", Political Analysis 20,
2012. Properties are coarsened into cells; a cell that lacks a class is dropped, and of the others every class keeps as
many samples as the rarest class has there, drawn by hash. What the files say then tells the classes no more apart than
it does inside a cell.

    format, tables, subsampling, progressive, EXIF, colour profile     as they are
    quality factor                                                     steps of 5
    width, height, bytes, mean quantiser                               quarters of an octave
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from probekit.arrays import Groups, Int, Labels, Mask
from probekit.audit.properties import CATEGORIES, FLAGS
from probekit.keys import name_hashes

QUALITY_STEP = 5
PER_OCTAVE = 4
LOGARITHMIC = ("width", "height", "bytes", "quantiser")


def cells(properties: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """The number of the cell that each file falls into."""
    columns = [properties[name].astype("str") for name in (*CATEGORIES, *FLAGS)]
    columns.append((properties["quality"] // QUALITY_STEP).astype("str"))
    columns += [np.floor(PER_OCTAVE * np.log2(properties[name])).astype("str") for name in LOGARITHMIC]
    numbers: Int[np.ndarray, " n"] = pd.MultiIndex.from_arrays(columns).factorize()[0]
    return numbers


def matched_rows(
    cell: Int[np.ndarray, " n"], classes: Labels, rows: Mask, strata: Groups, names: Sequence[str], seed: int
) -> Mask:
    """Samples of a subset in which, cell by cell, every class has the same number.

    Args:
        cell: as `cells` numbers them.
        classes: class numbers.
        rows: the samples to choose from; the classes that occur among them are matched.
        strata: matched apart from each other, such as the splits.
        names: of the samples, no two the same, which decide who is drawn.
        seed: of the draw.
    """
    own = np.flatnonzero(rows)
    kinds = np.unique(classes[own])
    stratum = np.unique(strata, return_inverse=True)[1]
    place = pd.DataFrame({"cell": cell[own], "stratum": stratum[own], "class": classes[own]})
    place["turn"] = name_hashes([f"{seed}/{names[row]}" for row in own.tolist()])[:, 0]
    place = place.sort_values("turn", kind="stable")
    by = ["cell", "stratum"]
    counts = place.groupby([*by, "class"]).size().unstack(fill_value=0).reindex(columns=kinds, fill_value=0)
    most = counts.min(axis=1).rename("most")
    place = place.join(most, on=by)
    kept = place.index[(place.groupby([*by, "class"]).cumcount() < place["most"]).to_numpy()]
    found: Mask = np.zeros(len(rows), dtype=bool)
    found[own[kept.to_numpy()]] = True
    return found
