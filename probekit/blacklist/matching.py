"""Matching: which registered generator made an image, or none of them.

The score of an image is the similarity of its nearest registered example, never a vote; its generator is that
example's where the score reaches the threshold, else `unknown`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from probekit.blacklist.changes import UNKNOWN
from probekit.blacklist.images import ImageSet
from probekit.blacklist.index import Searcher, open_searcher
from probekit.blacklist.needs import require_same
from probekit.blacklist.opened import Blacklist
from probekit.blacklist.record import Calibration, Record, require_examples
from probekit.blacklist.search import batches
from probekit.blacklist.truth import Truth, compare_with_truth
from probekit.errors import UsageError
from probekit.fingerprint import JSONValue, plain
from probekit.neighbours import Neighbours

COLUMNS = ("path", "generator", "score", "nearest", "example", "example_path")
NEAREST = ("path", "place", "generator", "similarity", "example", "example_path")


@dataclass(frozen=True)
class MatchSettings:
    """What decides the answers, besides the blacklist and the images."""

    fpir: float | None = None
    """Whose calibrated threshold; None: the one that was set last."""
    threshold: float | None = None
    """A similarity in place of a calibrated one."""
    top: int = 5
    """Examples that are shown for each image."""
    index: str = "auto"
    """`auto`, `flat`, `ivf`, `hnsw` or `ivfpq`; all but flat may miss an example."""

    def __post_init__(self) -> None:
        if self.top < 1:
            raise UsageError(f"--top {self.top}: show 1 example or more.")
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise UsageError(f"--threshold {self.threshold}: a similarity lies between -1 and 1.")
        if self.threshold is not None and self.fpir is not None:
            raise UsageError("--threshold and --fpir both set the threshold: give one of them.")


@dataclass(frozen=True, eq=False)
class Matches:
    """What the blacklist says of some images."""

    record: Record
    settings: MatchSettings
    table: pd.DataFrame
    """path, generator (a registered one, `unknown`, or empty without a threshold), score, nearest (generator of the
    nearest example), example (its id), example_path; and truth, where a manifest tells."""
    nearest: pd.DataFrame
    """path, place (from 1), generator, similarity, example, example_path: `top` rows an image."""
    failed: pd.DataFrame
    """path, reason."""
    threshold: float | None
    calibration: Calibration | None
    """What set the threshold; None where nothing did, or it was given."""
    engine: str
    recall: float | None
    """Of an index, as measured when it was built."""
    truth: Truth | None = None
    """How right the answers are, where a manifest knows."""
    notes: tuple[str, ...] = ()

    @property
    def expected_fpir(self) -> float | None:
        """Share of images from unregistered generators that would be named; None where it is not known (any more)."""
        return _expected(self.record, self.calibration)

    @property
    def stale(self) -> bool:
        """Whether examples came or went since the threshold was set."""
        return self.calibration is not None and self.expected_fpir is None

    def to_json(self, *, every_image: bool = True) -> dict[str, JSONValue]:
        """Plain values for `--json` and, without the single images, for `run.json`."""
        counts = self.table["generator"].value_counts()
        found: dict[str, JSONValue] = {
            "blacklist": self.record.name,
            "version": self.record.version,
            "examples": self.record.examples,
            "features": self.record.references,
            "threshold": self.threshold,
            "expected_fpir": self.expected_fpir,
            "calibration": plain(self.calibration),
            "stale": self.stale,
            "engine": self.engine,
            "recall": self.recall,
            "counts": {str(name or None): int(count) for name, count in counts.items()},
            "truth": None if self.truth is None else self.truth.to_json(),
            "failed": self.failed.to_dict("records"),
            "notes": list(self.notes),
        }
        if every_image:
            nearest = {str(path): rows for path, rows in self.nearest.groupby("path", sort=False)}
            found["matches"] = [_row_json(row, nearest[str(row["path"])]) for row in self.table.to_dict("records")]
        return found


def match(
    blacklist: Blacklist, images: ImageSet, settings: MatchSettings | None = None, *, searcher: Searcher | None = None
) -> Matches:
    """The registered generator of each image, or `unknown`, with the nearest examples.

    Args:
        blacklist: what is searched.
        images: with their features.
        settings: threshold, number of examples, index.
        searcher: an opened one, where the same blacklist is searched often.

    Raises:
        UsageError: nothing is registered, or no threshold was set for that FPIR.
        BlacklistError: the features are others than the blacklist's.
    """
    chosen = settings or MatchSettings()
    record = blacklist.record
    require_same(record.blocks, images.blocks, record.name)
    calibration = ready(record, chosen)
    threshold = chosen.threshold if calibration is None else calibration.threshold
    opened = searcher or open_searcher(blacklist, chosen.index)
    table, nearest = _tables(blacklist, images, _search(opened, images, min(chosen.top, len(blacklist))))
    table["generator"] = _verdicts(table, threshold)
    if (images.samples["generator"] != "").any():
        table["truth"] = images.samples["generator"]
    truth = compare_with_truth(table, record, _expected(record, calibration))
    known = _registered(blacklist, images) if truth else []
    notes = [*images.notes, *opened.notes, *_remarks(record, calibration, threshold)]
    notes += [*known, *(truth.notes if truth else ())]
    return Matches(
        record=record,
        settings=chosen,
        table=table,
        nearest=nearest,
        failed=images.failed,
        threshold=threshold,
        calibration=calibration,
        engine=opened.engine,
        recall=opened.recall,
        truth=truth,
        notes=tuple(notes),
    )


def ready(record: Record, settings: MatchSettings) -> Calibration | None:
    """What set the threshold that is asked for, None where nothing did; a look before features are computed.

    Raises:
        UsageError: nothing is registered, or no threshold was set for that FPIR.
    """
    require_examples(record)
    return None if settings.threshold is not None else find_calibration(record, settings.fpir)


def find_calibration(record: Record, fpir: float | None = None) -> Calibration | None:
    """The threshold that was set for this FPIR, or the one that was set last; None where none ever was.

    Raises:
        UsageError: none was set for that FPIR.
    """
    if fpir is None:
        return record.calibrations[-1] if record.calibrations else None
    found = [calibration for calibration in record.calibrations if calibration.fpir == fpir]
    if not found:
        known = ", ".join(f"{each.fpir:g}" for each in record.calibrations) or "none"
        raise UsageError(
            f"blacklist {record.name} has no threshold for FPIR {fpir:g} (there are: {known}): run `probekit blacklist "
            f"calibrate --fpir {fpir:g}`."
        )
    return found[0]


def _expected(record: Record, calibration: Calibration | None) -> float | None:
    return None if calibration is None or any(record.changed_since(calibration)) else calibration.fpir


def spell_change(record: Record, calibration: Calibration) -> str:
    """What has happened since the threshold was set: `12 examples added, 3 removed`; empty for nothing."""
    added, removed = record.changed_since(calibration)
    said = [f"{count} {what}" for count, what in ((added, "added"), (removed, "removed")) if count]
    return f"examples since: {', '.join(said)}" if said else ""


def _registered(blacklist: Blacklist, images: ImageSet) -> list[str]:
    """A remark, if images are examples themselves."""
    registered = {key.tobytes() for key in blacklist.keys[blacklist.alive]}
    own = sum(key.tobytes() in registered for key in images.keys)
    return [f"{own} of these images are registered themselves and find themselves: they prove nothing."] if own else []


def _search(opened: Searcher, images: ImageSet, k: int) -> Neighbours:
    vectors = images.vectors
    parts = [opened.search.search(vectors[rows], k) for rows in batches(len(vectors))]
    parts = parts or [Neighbours.none(0, k)]
    return Neighbours(
        np.concatenate([part.indices for part in parts]), np.concatenate([part.similarities for part in parts])
    )


def _tables(blacklist: Blacklist, images: ImageSet, found: Neighbours) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row an image, and one row for each example that is shown of it."""
    image, place = np.nonzero(found.indices >= 0)
    rows, which = np.unique(found.indices[image, place], return_inverse=True)
    examples = blacklist.describe(rows).iloc[which].reset_index(drop=True)
    paths = images.samples["path"].to_numpy(dtype=object)
    nearest = pd.DataFrame(
        {
            "path": paths[image],
            "place": place + 1,
            "generator": examples["generator"],
            "similarity": found.similarities[image, place].astype(np.float64),
            "example": examples["id"],
            "example_path": examples["path"],
        },
        columns=list(NEAREST),
    )
    first = nearest[nearest["place"] == 1].reset_index(drop=True)
    renamed = first.rename(columns={"generator": "nearest", "similarity": "score"}).assign(generator="")
    return renamed[list(COLUMNS)], nearest


def _verdicts(table: pd.DataFrame, threshold: float | None) -> "pd.Series[str]":
    if threshold is None:
        return pd.Series("", table.index, dtype=object)
    return table["nearest"].where(table["score"] >= threshold, UNKNOWN)


def _remarks(record: Record, calibration: Calibration | None, threshold: float | None) -> list[str]:
    if threshold is None:
        return [
            "no threshold is set, so the nearest example is no verdict: run `probekit blacklist calibrate`, or give "
            "--threshold."
        ]
    if calibration is None:
        return ["the threshold was given, not calibrated: its FPIR is not known."]
    if change := spell_change(record, calibration):
        return [
            f"the threshold was set for FPIR {calibration.fpir:g} with other examples ({change}): its FPIR is not "
            "known any more. Calibrate again."
        ]
    return []


def _row_json(row: Mapping[Any, Any], nearest: pd.DataFrame) -> JSONValue:
    row = {name: value for name, value in row.items() if name not in ("example", "example_path")}
    shown = nearest.drop(columns=["path", "place"]).drop_duplicates("example")
    return {**row, "generator": row["generator"] or None, "nearest": shown.to_dict("records")}
