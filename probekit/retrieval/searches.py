"""Searches of the enrolled generators, mated and non-mated."""

from typing import Literal

import numpy as np
import pandas as pd

from probekit.arrays import Int
from probekit.manifest import REAL
from probekit.retrieval.bank import Bank
from probekit.retrieval.rows import Turn

Pool = Literal["unregistered", "real"]
POOLS: tuple[Pool, ...] = ("unregistered", "real")


def enrolled_rows(samples: pd.DataFrame, turn: Turn) -> Int[np.ndarray, " n"]:
    """The gallery without real images: they are nobody's work."""
    rows: Int[np.ndarray, " n"] = turn.gallery[samples["generator"].to_numpy(dtype=object)[turn.gallery] != REAL]
    return rows


def search_enrolled(bank: Bank, enrolled: Int[np.ndarray, " n"], queries: Int[np.ndarray, " q"]) -> pd.DataFrame:
    """One row a search of enrolled generators: path, group, pool, generator, score, answer, correct.

    Its index are the row numbers of the queries.

    A query without any admissible row is left out; so is one of an enrolled generator whose rows are all of
    the query's own group, because it is neither mated nor from an unregistered generator.
    """
    nearest = bank.search(queries, enrolled, 1)
    rows, score = nearest.indices[:, 0], nearest.similarities[:, 0].astype(np.float64)
    generator, answer = bank.generator[queries], bank.generator[rows]
    groups_of = {
        name: set(bank.group[enrolled[bank.generator[enrolled] == name]]) for name in set(bank.generator[enrolled])
    }
    pool = [
        "real" if name == REAL
        else "unregistered" if name not in groups_of
        else "mated" if len(groups_of[name]) > (group in groups_of[name])
        else ""
        for name, group in zip(generator, bank.group[queries], strict=True)
    ]  # fmt: skip
    table = pd.DataFrame(
        {
            "path": bank.path[queries],
            "group": bank.group[queries],
            "pool": pool,
            "generator": generator,
            "score": score,
            "answer": answer,
            "correct": answer == generator,
        },
        index=queries,
    )
    return table[(rows >= 0) & (table["pool"] != "")]
