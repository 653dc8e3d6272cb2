"""Contact sheets: queries and the registered examples that were found for them, to look at."""

import hashlib
from dataclasses import dataclass

from probekit.retrieval.closed_set import Searched
from probekit.retrieval.question import RetrievalResult


@dataclass(frozen=True)
class SheetRow:
    """One query and its nearest admissible examples."""

    query: int
    """Row number of the samples."""
    generator: str
    registered: bool
    """Whether anything that it could rightly find is in the gallery."""
    neighbours: tuple[int, ...]
    """Row numbers, nearest first."""
    generators: tuple[str, ...]
    """Of the neighbours."""
    similarities: tuple[float, ...]


@dataclass(frozen=True)
class Sheet:
    """Rows of one sheet, `real` first."""

    rows: tuple[SheetRow, ...]


def contact_rows(result: RetrievalResult, *, most: int = 12, seed: int = 0) -> Sheet:
    """Of each generator a query whose first neighbour is right and one where it is wrong, as far as there are any.

    Within these, the first in hash order of the path: nothing is picked by hand, but neither is the sheet a fair
    sample; it shows successes and failures side by side. The sheet ends after `most` rows, with every generator
    given one before any is given two.
    """
    searched = result.searched
    chosen = _queries(searched, most, seed)
    generator = searched.column("generator")
    rows = []
    for place in chosen:
        query = int(searched.queries[place])
        own = tuple(int(row) for row in searched.ranked.near[place] if row >= 0)
        rows.append(
            SheetRow(
                query,
                str(generator[query]),
                bool(searched.ranked.scored[place]),
                own,
                tuple(str(generator[row]) for row in own),
                tuple(float(value) for value in searched.ranked.similarities[place, : len(own)]),
            )
        )
    return Sheet(tuple(rows))


def _queries(searched: Searched, most: int, seed: int) -> list[int]:
    """Places of the queries that are shown, by class and then right before wrong."""
    paths = searched.column("path")[searched.queries]
    order = sorted(range(len(paths)), key=lambda i: hashlib.sha256(f"{seed}:{paths[i]}".encode()).digest())
    right = searched.nearest_class == searched.truth
    first: dict[tuple[int, bool], int] = {}
    for place in order:
        if searched.ranked.nearest[place] >= 0:
            first.setdefault((int(searched.truth[place]), bool(right[place])), place)
    # every class once (a failure says more than a success), then the other kind
    wrong = [key for key in first if not key[1]]
    only_right = [key for key in first if key[1] and (key[0], False) not in first]
    rest = [key for key in first if key[1] and (key[0], False) in first]
    kept = [*sorted(wrong + only_right), *sorted(rest)][:most]
    return [first[key] for key in sorted(kept, key=lambda key: (key[0], not key[1]))]
