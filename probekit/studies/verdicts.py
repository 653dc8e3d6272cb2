"""Verdicts: the questions of a study answered yes, no, undecided, or not testable here, each with its interval.

A claim says that left − right is greater than a margin. With D the difference and [lo, hi] the central 95 % of D over
drawings of whole groups, shared by both sides:

    yes         lo > margin            all claims of a question are yes
    no          hi < margin            any of them is no
    undecided   otherwise              or there are too few groups for an interval

The spread, least or greatest of several cells grows by resampling alone, which adds noise to each. There the interval
is the basic one, [2D − hi, 2D − lo], in which that bias counts the other way.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probekit.errors import ProbekitError, RunError
from probekit.metrics.bootstrap import UNDEFINED, Interval, central
from probekit.studies.evidence import Cell, cells_of
from probekit.studies.protocol import Comparison, Protocol, Statistic, each_of, filled
from probekit.studies.statistics import draws_of, enough, names_of, replicated, value

YES, NO, UNDECIDED, NOT_TESTABLE = "yes", "no", "undecided", "not testable here"


@dataclass(frozen=True)
class Claim:
    """One comparison with its numbers; NaN where it could not be made."""

    claim: str
    verdict: str
    left: float
    right: float
    difference: float
    lo: float
    hi: float
    margin: float
    n_cells: int
    """Of the left side."""
    n_groups: int
    """Of both sides together."""
    reason: str = ""
    """Why it could not be decided, or not be put."""

    @property
    def sentence(self) -> str:
        """The claim's numbers in words."""
        if self.verdict == NOT_TESTABLE:
            return f"{self.claim}: {NOT_TESTABLE}: {self.reason}"
        interval = f" [{self.lo:+.3f}, {self.hi:+.3f}]" if not math.isnan(self.lo) else ""
        beyond = f", asked to exceed {self.margin:g}" if self.margin else ""
        because = f"; {self.reason}" if self.reason else ""
        return (
            f"{self.claim}: {self.verdict}: {self.left:.3f} against {self.right:.3f}, difference "
            f"{self.difference:+.3f}{interval}{beyond}{because}."
        )


@dataclass(frozen=True)
class Verdict:
    """The answer to one question, of one model where it is asked of each."""

    question: str
    asks: str
    of: str
    """The model, or whatever it was asked of each of; '' for all together."""
    verdict: str
    claims: tuple[Claim, ...]
    note: str

    @property
    def reasons(self) -> list[str]:
        """Why it is not testable or not decided."""
        return list(dict.fromkeys(claim.reason for claim in self.claims if claim.reason))


def answer(
    protocol: Protocol,
    parameters: Mapping[str, str],
    runs: Mapping[str, Path],
    lost: Mapping[str, str],
    *,
    replicates: int,
    seed: int,
) -> list[Verdict]:
    """Every question of a protocol, put to the runs of its steps.

    Args:
        protocol: the study.
        parameters: filled in.
        runs: step → the run folder that answers it.
        lost: step → why it has none.
        replicates: drawings of the groups for each interval.
        seed: of these.
    """
    found = []
    for question in protocol.questions:
        variable = question.each.partition(" in ")[0]
        for own in each_of(question, parameters):
            claims = [_claim(one, own, runs, lost, replicates, seed) for one in question.compare]
            name = own[variable] if variable else ""
            asks = filled(question.asks, own, f"question {question.name}")
            note = filled(question.note, own, f"question {question.name}")
            found.append(Verdict(question.name, asks, name, _together(claims), tuple(claims), note))
    return found


def _together(claims: Sequence[Claim]) -> str:
    verdicts = {claim.verdict for claim in claims}
    for one in (NO, NOT_TESTABLE, UNDECIDED):
        if one in verdicts:
            return one
    return YES


def _claim(
    asked: Comparison,
    parameters: Mapping[str, str],
    runs: Mapping[str, Path],
    lost: Mapping[str, str],
    replicates: int,
    seed: int,
) -> Claim:
    text = filled(asked.claim, parameters, "a claim")
    try:
        sides = [_cells(side, parameters, runs, lost) for side in (asked.left, asked.right)]
    except ProbekitError as error:  # after hours of steps, one question must not cost the answers to the others
        return _untestable(text, str(error).rstrip("."))
    of = [_value(side, cells) for side, cells in zip((asked.left, asked.right), sides, strict=True)]
    difference = of[0] - of[1]
    lo, hi = _interval(asked, sides, difference, replicates, seed)
    verdict = YES if lo > asked.margin else NO if hi < asked.margin else UNDECIDED
    reason = "too few groups for an interval" if math.isnan(lo) else ""
    if math.isnan(difference):
        return _untestable(text, "a side of it is undefined on these samples")
    return Claim(
        text, verdict, of[0], of[1], difference, lo, hi, asked.margin, len(sides[0]), len(names_of(sides)), reason
    )


def _untestable(claim: str, reason: str) -> Claim:
    nan = float("nan")
    return Claim(claim, NOT_TESTABLE, nan, nan, nan, nan, nan, 0.0, 0, 0, reason)


def _cells(
    side: Statistic, parameters: Mapping[str, str], runs: Mapping[str, Path], lost: Mapping[str, str]
) -> list[Cell]:
    """The samples of a side; none of a constant.

    Raises:
        RunError: its step has no run, or the run no such samples.
    """
    if side.value is not None:
        return []
    if side.step not in runs:
        raise RunError(f"step {side.step} has no result ({lost.get(side.step, 'it was not run').rstrip('.')}).")
    where = {name: filled(text, parameters, "a question") for name, text in side.where.items()}
    return cells_of(runs[side.step], side, where)


def _value(side: Statistic, cells: Sequence[Cell]) -> float:
    return side.value if side.value is not None else value(cells, side.metric, side.reduce)


def _interval(
    asked: Comparison, sides: Sequence[Sequence[Cell]], difference: float, replicates: int, seed: int
) -> Interval:
    """The central 95 % of left − right over drawings of groups; NaN where a side has too few."""
    asked_of = zip((asked.left, asked.right), sides, strict=True)
    if not replicates or not all(enough(cells, side.metric) for side, cells in asked_of):
        return UNDEFINED
    numbers, counts = names_of(sides), draws_of(sides, replicates, seed).counts
    both = [
        np.full(len(counts), side.value)
        if side.value is not None
        else replicated(cells, side.metric, side.reduce, counts, numbers)
        for side, cells in zip((asked.left, asked.right), sides, strict=True)
    ]
    differences = both[0] - both[1]
    lo, hi = central(differences)
    if {asked.left.reduce, asked.right.reduce} == {"mean"}:
        return lo, hi
    return 2 * difference - hi, 2 * difference - lo
