"""What the queries of a question find: all of them, or a share of them on a machine of its own.

Queries do not need each other, so that the work divides by them; each share needs the whole gallery, because average
precision rests on the place of every registered row. What needs all queries, averages, rates and intervals, is in
question.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from probekit.arrays import Int, Scores
from probekit.features import FeatureSet, FeatureStream
from probekit.fingerprint import JSONValue
from probekit.neighbours import tried
from probekit.projections import Projection
from probekit.protocols import require_finite
from probekit.retrieval.bank import Bank, ordered
from probekit.retrieval.near_ranks import rank_near
from probekit.retrieval.ranks import Ranked, rank_queries
from probekit.retrieval.rows import RowNumbers, Turn, turns, validation_rows
from probekit.retrieval.searches import POOLS, enrolled_rows, search_enrolled
from probekit.retrieval.settings import FLAT, RetrievalSettings
from probekit.retrieval.streamed import StreamedBank, require_streamable
from probekit.retrieval.thresholds import validation_scores

BankOf = Callable[[Turn], Bank]
OnProgress = Callable[[int, int], None]
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class OpenSearches:
    """Searches of what is enrolled."""

    searches: pd.DataFrame
    """Of the queries, as `search_enrolled` gives them."""
    thresholds: Mapping[str, Scores]
    """Scores of validation rows, by pool."""

    @classmethod
    def joined(cls, parts: "Sequence[OpenSearches]") -> "OpenSearches":
        """Those of several turns, one after another."""
        thresholds: dict[str, Scores] = {
            pool: np.concatenate([part.thresholds[pool] for part in parts]) for pool in POOLS
        }
        return cls(pd.concat([part.searches for part in parts]), thresholds)


@dataclass(frozen=True, eq=False)
class Found:
    """What some queries found."""

    queries: RowNumbers
    ranked: Ranked
    """In the order of the queries."""
    open: OpenSearches
    engine: str
    """What ranked: `flat` compared every query with every row."""
    recall: float | None
    """recall@10 of the engine on a sample of all queries, mean over turns; None of flat, and of all shares but the
    first."""
    projection: tuple[Mapping[str, JSONValue], ...]
    """The record of the projection of each turn."""

    @classmethod
    def joined(cls, parts: "Sequence[Found]") -> "Found":
        """What the queries of several turns found, one turn after another."""
        recalls = [part.recall for part in parts if part.recall is not None]
        return cls(
            queries=np.concatenate([part.queries for part in parts]),
            ranked=Ranked.joined([part.ranked for part in parts]),
            open=OpenSearches.joined([part.open for part in parts]),
            engine=parts[0].engine,
            recall=float(np.mean(recalls)) if recalls else None,
            projection=tuple(record for part in parts for record in part.projection),
        )


@dataclass(frozen=True)
class Question:
    """A question, or the `number`-th of its `of` shares, from 0."""

    settings: RetrievalSettings
    projection: Projection | None = None
    by_fold: bool = False
    """Out of fold, search as a projection needs it: each fold in the others, for comparison with one."""
    number: int = 0
    of: int = 1

    def __call__(self, features: FeatureSet | FeatureStream, folder: Path | None = None) -> Found:
        """What its queries find.

        Args:
            features: of all samples.
            folder: where the gallery of a stream lies while it is searched; the system's own unless given.

        Raises:
            UsageError, ModelError, ProbeError, UnknownNameError: as `retrieve`.
        """
        asked = self.turns(features.samples)
        if isinstance(features, FeatureStream):
            engine = self.settings.engine(len(gallery_of(asked)), sum(features.widths))
            require_streamable(features, self.settings, engine, self.projection)
        return self.search(features, asked, folder)

    def __str__(self) -> str:
        return f"share {self.number + 1} of {self.of} of the queries"

    @property
    def learns(self) -> bool:
        """Whether vectors depend on what is registered."""
        return self.projection is not None or self.settings.fitted

    def turns(self, samples: pd.DataFrame) -> list[Turn]:
        """Galleries and their queries: those of all shares."""
        return turns(samples, self.settings, learns=self.learns or self.by_fold)

    def search(self, features: FeatureSet | FeatureStream, asked: Sequence[Turn], folder: Path | None = None) -> Found:
        """What its share of the queries of these turns finds, the bank of one turn in memory at a time.

        Raises:
            ModelError, ProbeError: as `retrieve`.
        """
        bank_of = self._bank_of(features, folder)
        n, (_, code) = len(gallery_of(asked)), classes(features.samples, asked)
        found: list[Found] = []
        for turn in asked:
            bank, own = bank_of(turn), self._own(turn)
            engine = found[0].engine if found else self.settings.engine(n, bank.width)  # one for all turns
            ranked, recall = self._ranked(bank, own, turn, code, engine)
            record = (bank.projected.record,) if bank.projected else ()
            found.append(Found(own.queries, ranked, self._open(bank, own, bank_of), engine, recall, record))
            del bank  # before that of the next turn is made
        return Found.joined(found)

    def search_open(self, features: FeatureSet, asked: Sequence[Turn]) -> OpenSearches:
        """Only what its share of the queries finds among what is enrolled."""
        bank_of = self._bank_of(features, None)
        return OpenSearches.joined([self._open(bank_of(turn), self._own(turn), bank_of) for turn in asked])

    def divided(self, features: FeatureSet, of: int) -> "list[Question]":
        """Its shares, at most so many; one with a projection, which each would learn again.

        Args:
            features: labelled: their rows are not read.
            of: how many are wanted.
        """
        fewest = min(len(turn.queries) for turn in self.turns(features.samples))
        of = 1 if self.projection else max(1, min(of, fewest))
        return [replace(self, number=number, of=of) for number in range(of)]

    def _ranked(
        self, bank: Bank, own: Turn, turn: Turn, code: Int[np.ndarray, " n"], engine: str
    ) -> tuple[Ranked, float | None]:
        """Of its own queries of a turn, and the recall of the engine, as `Found` has it."""
        if engine == FLAT:
            return rank_queries(bank, own, code, self.settings), None
        ranked, recall = rank_near(bank, own, self._sampled(turn), code, self.settings, engine)
        return ranked, None if self.number else recall

    def _sampled(self, turn: Turn) -> RowNumbers:
        """The queries of all shares that recall is measured on, by the first share."""
        rows: RowNumbers = turn.queries[tried(len(turn.queries), self.settings.seed)]
        return rows[:0] if self.number else rows

    def _open(self, bank: Bank, own: Turn, bank_of: BankOf) -> OpenSearches:
        searches = search_enrolled(bank, enrolled_rows(bank.samples, own), own.queries)
        validation = self._share(validation_rows(bank.samples, self.settings))
        return OpenSearches(searches, validation_scores(bank, own, validation, bank_of if self.learns else None))

    def _bank_of(self, features: FeatureSet | FeatureStream, folder: Path | None) -> BankOf:
        if isinstance(features, FeatureStream):
            return partial(StreamedBank.over, features, settings=self.settings, folder=folder)
        require_finite(features.samples, features.blocks)
        return partial(Bank.of, features, settings=self.settings, projection=self.projection)

    def _own(self, turn: Turn) -> Turn:
        """The turn with its share of the queries."""
        return replace(turn, queries=self._share(turn.queries))

    def _share(self, rows: RowNumbers) -> RowNumbers:
        own: RowNumbers = np.array_split(rows, self.of)[self.number]
        return own


def one_by_one(
    parts: Sequence[Callable[[FeatureSet], R]], features: FeatureSet, on_progress: OnProgress | None
) -> list[R]:
    """What the parts of a question find, asked one after another; progress is called with (parts done, all)."""
    found = []
    for done, part in enumerate(parts, start=1):
        found.append(part(features))
        if on_progress:
            on_progress(done, len(parts))
    return found


def gallery_of(asked: Sequence[Turn]) -> RowNumbers:
    """The rows that any of these turns has registered."""
    rows: RowNumbers = np.unique(np.concatenate([turn.gallery for turn in asked]))
    return rows


def classes(samples: pd.DataFrame, asked: Sequence[Turn]) -> tuple[list[str], Int[np.ndarray, " n"]]:
    """The generators that are registered or searched, `real` first, and the number of each sample among them."""
    generator = samples["generator"].to_numpy(dtype=object)
    used = np.concatenate([gallery_of(asked), *(turn.queries for turn in asked)])
    names = ordered(generator[used])
    code: Int[np.ndarray, " n"] = pd.Index(names).get_indexer(pd.Index(generator))
    return names, code
