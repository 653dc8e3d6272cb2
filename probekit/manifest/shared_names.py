"""Names of generators that several data sets have, and names that may mean one generator."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

LIKENESS = 0.85
"""Share of letters that two names have in common in their order (Ratcliff and Obershelp) from which they are alike."""
LONG = 5
"""Letters that a name needs to be alike another by more than its spelling: of short ones, too many are."""


@dataclass(frozen=True)
class Alike:
    """Two names that may mean one generator."""

    first: str
    second: str
    of: tuple[str, str]
    """The manifests that have the first and the second."""

    def __str__(self) -> str:
        return f"{self.first} ({self.of[0]}) and {self.second} ({self.of[1]})"


def shared_generators(table: pd.DataFrame) -> pd.DataFrame:
    """Fakes of each generator that several domains have, a row a generator and a column a domain."""
    fakes = table[table["label"] == 1]
    counts = fakes.groupby(["generator", "domain"], sort=True).size().unstack(fill_value=0)
    shared = counts[(counts > 0).sum(axis=1) > 1]
    return shared.loc[:, (shared > 0).any(axis=0)].rename_axis(index=None, columns=None)


def alike_names(generators: Mapping[str, Iterable[str]]) -> list[Alike]:
    """Pairs of names of different manifests that differ in spelling alone, or by few letters and in no digit.

    Names that one manifest has both of mean two generators there, so they are no pair.

    Args:
        generators: the names that each manifest has.
    """
    names = {manifest: sorted(set(own)) for manifest, own in generators.items()}
    together = {frozenset(pair) for own in names.values() for pair in combinations(own, 2)}
    found: dict[frozenset[str], Alike] = {}
    for (here, ours), (there, theirs) in combinations(names.items(), 2):
        for first in ours:
            for second in theirs:
                pair = frozenset((first, second))
                if first != second and pair not in together and pair not in found and _alike(first, second):
                    found[pair] = Alike(first, second, (here, there))
    return list(found.values())


def _alike(first: str, second: str) -> bool:
    one, other = (re.sub(r"[\W_]", "", name.casefold()) for name in (first, second))
    if one == other:
        return True
    same_digits = re.sub(r"\D", "", one) == re.sub(r"\D", "", other)  # stylegan2 and stylegan3 are two
    if not same_digits or min(len(one), len(other)) < LONG:
        return False
    return difflib.SequenceMatcher(None, one, other).ratio() >= LIKENESS
