"""How a column of a table is coloured: as classes or as a scale."""

import pandas as pd

from probekit.arrays import Groups

FEW_VALUES = 12
"""So many different numbers are classes, more are a scale."""


def classes_of(column: pd.Series) -> Groups:
    """The column as names of classes, `–` where there is nothing."""
    names: Groups = column.astype(object).where(column.notna() & (column.astype(str) != ""), "–").astype(str).to_numpy()
    return names


def is_scale(column: pd.Series) -> bool:
    """Whether the column holds numbers that are a scale rather than classes."""
    return column.dtype.kind in "iuf" and column.nunique() > FEW_VALUES
