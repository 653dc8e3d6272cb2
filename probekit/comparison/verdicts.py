"""What came out, in sentences: the pairs at both ends, with their intervals."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from probekit.metrics.bootstrap import Interval


def spell(value: float) -> str:
    """`.41`, `-.03`, `1.00`, `12.3`, `.058`: two decimals, more of small values and fewer of large ones."""
    if abs(value) >= 10:
        return f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    places = 2 if abs(value) >= 0.0995 else 3 if abs(value) >= 0.0005 else 4
    found = f"{value:.{places}f}".replace("0.", ".", 1)
    return found if float(found) else "0"


def with_interval(value: float, interval: Interval) -> str:
    """`.41 [.38, .44]`; without an interval the value alone."""
    if math.isnan(interval[0]):
        return spell(value)
    return f"{spell(value)} [{spell(interval[0])}, {spell(interval[1])}]"


def ends(rows: pd.DataFrame, value: str, words: tuple[str, str], name: str, null: float | None = None) -> str:
    """`nearest a and b, MMD² .01 [.00, .02]; farthest c and d, …`: the rows with the least and the greatest value.

    Args:
        rows: `a`, `b`, the value, and its interval's ends where it has one.
        value: the column.
        words: for the least and for the greatest.
        name: of the value.
        null: an interval that holds it is said to show no difference.
    """
    known = rows[rows[value].notna()].reset_index(drop=True)
    if known.empty:
        return ""
    if len(known) == 1:
        return phrase(known.iloc[0].to_dict(), value, name, null)
    least, most = int(known[value].argmin()), int(known[value].argmax())
    if least == most:
        return f"all {len(known)} pairs alike, {name} {spell(float(known[value].iloc[0]))}"
    return "; ".join(
        f"{word}: {phrase(known.iloc[place].to_dict(), value, name, null)}"
        for word, place in zip(words, (least, most), strict=True)
    )


def phrase(row: Mapping[Hashable, Any], value: str, name: str, null: float | None = None) -> str:
    """`a and b, AUC .53 [.48, .58] (no difference shown)`."""
    low, high = (float(row.get(f"{value}_{end}", math.nan)) for end in ("lo", "hi"))
    unclear = null is not None and low <= null <= high
    found = with_interval(float(row[value]), (low, high))
    return f"{row['a']} and {row['b']}, {name} {found}" + (" (no difference shown)" if unclear else "")


def models_of(names: Sequence[str]) -> dict[str, str]:
    """The model of each kind of features: `clip` of `clip#cls@3`."""
    return {name: "+".join(part.partition("#")[0] for part in name.split(" · ")[0].split("+")) for name in names}


def short_names(names: Sequence[str]) -> tuple[dict[str, str], str]:
    """A name to print for each kind of features, and what all of them are: the taps of one model, or features."""
    models = set(models_of(names).values())
    if len(models) != 1 or any("+" in name or " · " in name for name in names):
        return {name: name for name in names}, "features"
    return {name: name.partition("#")[2] for name in names}, f"tap of {models.pop()}"
