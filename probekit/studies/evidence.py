"""Evidence: the samples behind a statistic, cell by cell, read from the tables of a step's run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int, Labels
from probekit.errors import RunError, UnknownNameError
from probekit.protocols import members, parse_pools
from probekit.protocols.pools import AT, fakes
from probekit.studies.protocol import Statistic, names_in

SOURCES = {"rank1": "queries", "ap": "queries"}
"""Metrics of retrieval; the others are of scores."""
CONTEXT = ("model", "tap", "view", "precision", "task", "probe", "train_domain", "test_domain", "seed")


@dataclass(frozen=True, eq=False)
class Cell:
    """The samples of one number: of a probe on one test set, or of all queries."""

    name: str
    """`lama → ldm`."""
    groups: Sequence[str]
    part: Int[np.ndarray, " n"]
    """The fold of each; scores of different folds are not compared."""
    labels: Labels
    """Real 0, fake 1; of attribution the number of the true class."""
    values: Float[np.ndarray, " n"]
    """Scores less their threshold; of attribution and retrieval what is averaged, such as right 1 and wrong 0."""
    scored: bool
    """Whether `values` are scores of fake against real."""


def cells_of(run: Path, statistic: Statistic, where: Mapping[str, str]) -> list[Cell]:
    """The cells of a statistic.

    Args:
        run: the run folder of its step.
        statistic: what is asked for.
        where: its conditions with the parameters in their place.

    Raises:
        RunError: the run has no such table, or no such rows.
    """
    if statistic.metric in SOURCES:
        if statistic.cells != "all":
            raise RunError(f"queries are of no kind {statistic.cells!r}: leave `cells` out.")
        return _queries(run, statistic, where)
    tables = run / "tables"
    if (tables / "predictions.parquet").exists() and statistic.metric in ("acc", "balanced_acc"):
        return _predictions(run, statistic.cells, where)
    return _scores(run, statistic, where)


def _scores(run: Path, statistic: Statistic, where: Mapping[str, str]) -> list[Cell]:
    """A cell for each pair (train, test) that is asked for."""
    pairs, scores = _rows(run, "pairs", where), table_of(run, "scores")
    context = [name for name in CONTEXT if name in pairs and name in scores]
    several = scores["seed"].unique() if "seed" in scores and "seed" not in pairs else [None]
    found = []
    for row in ({str(name): value for name, value in row.items()} for row in pairs.to_dict("records")):
        if not _wanted(row, statistic.cells, pairs, scores):
            continue
        asked = scores[np.logical_and.reduce([scores[name] == row[name] for name in [*context, "train"]])]
        for seed in several:
            own = (asked if seed is None else asked[asked["seed"] == seed]).reset_index(drop=True)
            rows = own[members(own, parse_pools(str(row["test"]), own)[0], np.ones(len(own), dtype=bool))]
            if not rows.empty:
                found.append(_scored(f"{row['train']} → {row['test']}", rows))
    if not found:
        raise RunError(f"{run}: there is no pair of the kind {statistic.cells!r} to compare.")
    return found


def _scored(name: str, rows: pd.DataFrame) -> Cell:
    threshold = rows["threshold"].to_numpy() if "threshold" in rows else 0.0
    return Cell(
        name,
        rows["group"].astype(str).tolist(),
        rows["part"].to_numpy(dtype=np.int64) if "part" in rows else np.zeros(len(rows), dtype=np.int64),
        rows["label"].to_numpy(dtype=np.int64),
        rows["score"].to_numpy(dtype=np.float64) - threshold,
        scored=True,
    )


def _predictions(run: Path, cells: str, where: Mapping[str, str]) -> list[Cell]:
    """One cell for each answer: which of the samples were called by their own class."""
    table = _rows(run, "predictions", where)
    if cells in ("seen", "unseen"):
        raise RunError(
            f"attribution is of generators that were learned from, and has no answers of the kind {cells!r}."
        )
    if cells in ("same-domain", "other-domain"):
        if "train_domain" not in table:
            raise RunError(f"{run} did not ask across domains.")
        same = table["train_domain"] == table["test_domain"]
        table = table[same if cells == "same-domain" else ~same]
        if table.empty:
            raise RunError(f"{run} has no answers of the kind {cells!r}.")
    context = [name for name in CONTEXT if name in table]
    found = []
    for key, rows in table.groupby(context, sort=False, dropna=False) if context else [((), table)]:
        classes, numbers = np.unique(rows["true"].astype(str), return_inverse=True)
        right = (rows["true"] == rows["predicted"]).to_numpy(dtype=np.float64)
        name = " ".join(map(str, key)) if isinstance(key, tuple) else str(key)
        groups, part = rows["group"].astype(str).tolist(), np.zeros(len(rows), dtype=np.int64)
        found.append(
            Cell(name or f"{len(classes)} classes", groups, part, numbers.astype(np.int64), right, scored=False)
        )
    return found


def _queries(run: Path, statistic: Statistic, where: Mapping[str, str]) -> list[Cell]:
    """One cell: a value for each query that has a relevant image in the gallery."""
    table = _rows(run, SOURCES[statistic.metric], where)
    if lacking := [name for name in (statistic.metric, "generator", "group") if name not in table]:
        raise RunError(f"table {SOURCES[statistic.metric]} of {run} has no column {lacking[0]}.")
    features = [name for name in ("model", "tap", "view", "precision") if name in table]
    if len(table[features].drop_duplicates()) > 1:
        raise RunError(f"{run} has the queries of several features: name one with `where`.")
    rows = table[table[statistic.metric].notna()]
    if rows.empty:
        raise RunError(f"{run}: no query has an image of its own generator in the gallery.")
    numbers = np.unique(rows["generator"].astype(str), return_inverse=True)[1].astype(np.int64)
    values = rows[statistic.metric].to_numpy(dtype=np.float64)
    groups, part = rows["group"].astype(str).tolist(), np.zeros(len(rows), dtype=np.int64)
    return [Cell("queries", groups, part, numbers, values, scored=False)]


def _rows(run: Path, name: str, where: Mapping[str, str]) -> pd.DataFrame:
    """The rows of a table that fit all conditions.

    Raises:
        RunError: there is no such table, column or row.
    """
    table = table_of(run, name)
    for column, text in where.items():
        if column not in table:
            raise RunError(f"table {name} of {run} has no column {column}.")
        table = table[table[column].astype(str).isin(names_in(text))]
    if table.empty:
        told = ", ".join(f"{column} {text}" for column, text in where.items())
        raise RunError(f"table {name} of {run} has no rows of {told}." if told else f"table {name} of {run} is empty.")
    return table.reset_index(drop=True)


def table_of(run: Path, name: str) -> pd.DataFrame:
    """A table of a run folder.

    Raises:
        RunError: it is not there, or cannot be read.
    """
    path = run / "tables" / f"{name}.parquet"
    if not path.exists():
        raise RunError(f"{run} has no table {name}.")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from error


def _wanted(row: Mapping[str, object], cells: str, pairs: pd.DataFrame, scores: pd.DataFrame) -> bool:
    """Whether a pair is of the kind asked for; pairs without fakes or reals have no number."""
    if not row["n_fake"] or not row["n_real"]:
        return False
    if cells in ("seen", "unseen"):
        return bool(row["seen"]) == (cells == "seen")
    if cells in ("seen", "unseen"):
        raise RunError(
            f"attribution is of generators that were learned from, and has no answers of the kind {cells!r}."
        )
    if cells in ("same-domain", "other-domain"):
        train, test = _domains(row, "train", pairs, scores), _domains(row, "test", pairs, scores)
        return train == test if cells == "same-domain" else train.isdisjoint(test)
    return True


def _domains(row: Mapping[str, object], side: str, pairs: pd.DataFrame, scores: pd.DataFrame) -> frozenset[str]:
    """The domains of a side's fakes: as the tables say, as `lama@celeba` says, else where its generators occur."""
    if f"{side}_domain" in pairs:
        return frozenset([str(row[f"{side}_domain"])])
    try:
        (pool,) = parse_pools(str(row[side]), scores)
    except UnknownNameError:
        raise RunError(f"which domains {row[side]} was learned from does not show in the table of scores.") from None
    named = [maker.rpartition(AT)[2] for maker in pool.makers if AT in maker]
    if len(named) == len(pool.makers):
        return frozenset(named)
    return frozenset(scores.loc[fakes(scores, pool), "domain"].astype(str))
