"""Scores of videos from scores of their frames."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Float, Groups, Int
from probekit.errors import UsageError

HOW = {"mean": "mean over frames", "max": "highest frame", "topK": "mean of the K highest frames, such as top5"}


@dataclass(frozen=True)
class Aggregated:
    """One entry a unit, in the order in which the units first appear."""

    scores: Float[np.ndarray, " u"] | Float[np.ndarray, "u k"]
    first: Int[np.ndarray, " u"]
    """The row of the unit's first frame, where its label and group are to be found."""
    frames: Int[np.ndarray, " u"]
    """How many frames the unit has."""


def aggregate(scores: Float[np.ndarray, " n"] | Float[np.ndarray, "n k"], units: Groups, how: str) -> Aggregated:
    """The score of each unit, such as a video, from those of its frames.

    Args:
        scores: one a frame; log-odds are averaged as they are, not as probabilities.
        units: which frames belong together, see `composite`.
        how: `mean`, `max`, or `topK`: the mean of the K highest, of all where there are fewer. Of logits (n, k) only
            the mean has a meaning.

    Raises:
        UsageError: there is no such way, or not for logits of several classes.
    """
    taken = _taken(how)
    if scores.ndim > 1 and how != "mean":
        raise UsageError(
            f"aggregation {how!r} needs one score a frame, and these are logits of {scores.shape[1]} classes: use mean."
        )
    _, first, members = np.unique(units, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # from the units in order of name to those in order of appearance
    numbers, first = rank[members], np.sort(first)
    frames = np.bincount(numbers, minlength=len(first))
    columns = (scores[:, None] if scores.ndim == 1 else scores).astype(np.float64).T
    combined = np.stack([_mean_of_highest(column, numbers, frames, taken) for column in columns], axis=1)
    return Aggregated(combined[:, 0] if scores.ndim == 1 else combined, first, frames)


def composite(table: pd.DataFrame, columns: Sequence[str]) -> Groups:
    """A key a row that is equal where all these columns are equal: JSON arrays of their values.

    The name of a frame folder alone is no key of a video: `frames/440` may be a real video and a fake of it, or a video
    in each of two data sets.

    Raises:
        UsageError: there is no such column, or a row has no value in one.
    """
    if not columns:
        raise UsageError("a key of units needs at least one column: name those that tell videos apart.")
    for column in columns:
        if column not in table:
            raise UsageError(f"units: there is no column {column!r}. Known: {', '.join(map(str, table.columns))}.")
        missing = table[column].isna().to_numpy()
        if missing.any():
            raise UsageError(
                f"units: {missing.sum()} of {len(table)} rows have no {column!r}, the first is row {missing.argmax()}: "
                "fill it in, or name other columns."
            )
    texts = [table[column].astype(str).tolist() for column in columns]
    return np.array([json.dumps(values, ensure_ascii=False) for values in zip(*texts, strict=True)], dtype=object)


def _taken(how: str) -> float:
    """How many of the highest frames count."""
    if how in ("mean", "max"):
        return np.inf if how == "mean" else 1
    if found := re.fullmatch(r"top([1-9]\d*)", how):
        return int(found[1])
    ways = "; ".join(f"{name} ({meaning})" for name, meaning in HOW.items())
    raise UsageError(f"unknown aggregation {how!r}. Known: {ways}.")


def _mean_of_highest(
    scores: Float[np.ndarray, " n"], numbers: Int[np.ndarray, " n"], frames: Int[np.ndarray, " u"], taken: float
) -> Float[np.ndarray, " u"]:
    """Summed from the highest down, so that the order of the rows changes nothing."""
    order = np.lexsort((-scores, numbers))
    place = np.arange(len(scores)) - np.repeat(np.cumsum(frames) - frames, frames)  # within its unit
    kept = order[place < taken]
    totals = np.bincount(numbers[kept], weights=scores[kept], minlength=len(frames))
    means: Float[np.ndarray, " u"] = totals / np.minimum(frames, taken)
    return means
