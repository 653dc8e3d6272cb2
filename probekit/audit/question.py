"""The audit: everything that is looked for, in the order of the findings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit.arrays import Int, Mask
from probekit.audit import distributions, verdict
from probekit.audit.label_noise import LabelNoise, label_noise
from probekit.audit.leaks import FEATURES, PAIR_COLUMNS, copies, divided_groups, each_once
from probekit.audit.near_duplicates import alike, near_in_features
from probekit.audit.reading import Files
from probekit.audit.settings import AuditSettings
from probekit.audit.shortcuts import Shortcuts, find_shortcuts
from probekit.audit.verdict import Finding
from probekit.errors import ProbeError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.manifest.columns import IDENTITY
from probekit.metrics import json_row

OnStep = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, all of them)."""


@dataclass(frozen=True, eq=False)
class AuditResult:
    """What an audit found; the tables are those of the run folder."""

    settings: AuditSettings
    findings: tuple[Finding, ...]
    """Worst first."""
    files: Files
    groups: pd.DataFrame
    """As `leaks.divided_groups`."""
    pairs: pd.DataFrame
    """Pairs of samples: columns `leaks.PAIR_COLUMNS`, and `features` of those that are near in them, a row for every
    model that finds the pair."""
    shortcuts: Shortcuts | None
    """None where no generator can be learned from; a note says why."""
    noise: tuple[LabelNoise, ...]
    classes: pd.DataFrame
    """As `distributions.classes`."""
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """`bad`, `warn` or `good`: that of the worst finding."""
        return self.findings[0].severity

    def to_json(self) -> dict[str, JSONValue]:
        """For `--json`."""
        shortcuts = self.shortcuts
        return {
            "verdict": self.verdict,
            "findings": [finding.to_json() for finding in self.findings],
            "samples": len(self.files.table),
            "unreadable": len(self.files.unreadable),
            "evaluation": f"{self.settings.folds}-fold out of fold by group" if self.settings.folds else "split",
            "divided_groups": len(self.groups),
            "pairs": _counts(self.pairs),
            "pairs_across": _counts(self.pairs[self.pairs["across"]]),
            "shortcuts": None if shortcuts is None else {
                name: [json_row(row) for row in table.to_dict("records")]
                for name, table in (
                    ("pairs", shortcuts.pairs),
                    ("attribution", shortcuts.attribution),
                    ("alone", shortcuts.alone.rename(columns={"low": "value_lo", "high": "value_hi"})),
                    ("matching", shortcuts.matching),
                )
            },
            "label_noise": [one.to_json() for one in self.noise],
            "classes": self.classes.to_dict("records"),
            "notes": list(self.notes),
        }  # fmt: skip


def audit(
    files: Files, settings: AuditSettings, features: Iterable[FeatureSet] = (), on_step: OnStep | None = None
) -> AuditResult:
    """Everything that may flatter a probe on these samples.

    Args:
        files: of a manifest, see `read_files`.
        settings: what counts as a finding.
        features: of the same manifest.
        on_step: told about the longer steps.

    Raises:
        ModelError: a feature is not finite.
    """
    say = on_step or (lambda *_: None)
    table = files.table
    groups = divided_groups(table, settings.folds)
    pairs = [copies(table, files.keys, settings.folds)]
    pairs.append(alike(files, settings, lambda done, of: say("comparing", done, of)))
    beside, noise, notes = [], [], []
    for one in features:
        aligned, has = align(one, table)
        beside.append((aligned, has))
        near = near_in_features(aligned.matrix, aligned.samples, settings.folds)
        pairs.append(_new(_in_files(near, np.flatnonzero(has)), pairs).assign(features=one.name))
        try:
            against = label_noise(aligned, settings)
            own = against.candidates.assign(row=np.flatnonzero(has)[against.candidates["row"].to_numpy(np.int64)])
            noise.append(replace(against, candidates=own))
        except ProbeError as error:
            notes.append(f"no candidates for wrong labels by {one.name}: {error}")
    shortcuts, more = _shortcuts(table, settings, beside, say)
    found = pd.concat(
        [part for part in pairs if len(part)] or [pd.DataFrame(columns=[*PAIR_COLUMNS])], ignore_index=True
    )
    found["across"] = found["across"].astype(bool)
    classes = distributions.classes(table)
    flat = sum(not perceptual for perceptual in files.hashes)
    findings = [
        *verdict.on_leaks(groups, found, table, settings.folds),
        *verdict.on_shortcuts(shortcuts),
        *verdict.on_files(len(table), files.unreadable, flat),
        *verdict.on_labels(noise),
        *verdict.on_balance(classes),
    ]
    notes += more
    return AuditResult(
        settings, verdict.in_order(findings), files, groups, found, shortcuts, tuple(noise), classes, tuple(notes)
    )


def align(features: FeatureSet, table: pd.DataFrame) -> tuple[FeatureSet, Mask]:
    """The features of the samples of a table, in its order, and which of its samples have any.

    The rows are joined by path, member, frame and box; samples of the features that are not in the table are left out.
    """
    columns = [name for name in IDENTITY if name in table]
    place = pd.Index(features.samples[columns].astype("str").agg("\0".join, axis=1))
    rows: Int[np.ndarray, " n"] = place.get_indexer(table[columns].astype("str").agg("\0".join, axis=1))
    has: Mask = rows >= 0
    samples = table[has].reset_index(drop=True)
    return replace(features, samples=samples, blocks=tuple(block[rows[has]] for block in features.blocks)), has


def _shortcuts(
    table: pd.DataFrame, settings: AuditSettings, beside: list[tuple[FeatureSet, Mask]], say: OnStep
) -> tuple[Shortcuts | None, list[str]]:
    try:
        found = find_shortcuts(table, settings, beside, lambda done, of: say("file properties", done, of))
    except ProbeError as error:
        return None, [f"file properties were not asked: {error}"]
    return found, list(found.notes)


def _counts(pairs: pd.DataFrame) -> dict[str, JSONValue]:
    """Pairs of each kind, each counted once however many models find it."""
    return {str(kind): int(n) for kind, n in each_once(pairs)["kind"].value_counts().items()}


def _in_files(pairs: pd.DataFrame, rows: Int[np.ndarray, " m"]) -> pd.DataFrame:
    """The same pairs, their samples numbered as those of the files."""
    return pairs.assign(a=rows[pairs["a"].to_numpy(np.int64)], b=rows[pairs["b"].to_numpy(np.int64)])


def _new(pairs: pd.DataFrame, known: list[pd.DataFrame]) -> pd.DataFrame:
    """Without the pairs that bytes or pictures have told already, whichever comes first in them."""
    told = {
        frozenset(pair)
        for table in known
        for pair in table.loc[table["kind"] != FEATURES, ["a", "b"]].itertuples(index=False, name=None)
    }
    fresh = [frozenset(pair) not in told for pair in pairs[["a", "b"]].itertuples(index=False, name=None)]
    return pairs[np.array(fresh, dtype=bool)].reset_index(drop=True)
