"""Shortcuts: what file properties alone say of the classes, beside what the features say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from probekit.arrays import Mask
from probekit.audit.forest import ForestTrial, forest_trials
from probekit.audit.matching import cells, matched_rows
from probekit.audit.properties import ALL, SETS, design_matrix
from probekit.audit.properties import PROPERTIES as COLUMNS
from probekit.audit.settings import AuditSettings
from probekit.audit.study import ATTRIBUTION, PROPERTIES, AnyTrial, Study
from probekit.errors import ProbeError
from probekit.features import FeatureSet
from probekit.samples import full_names

MOST_ALONE = 8
"""Generators up to which each property is asked about each of them; of more, about the attribution only."""
FEWEST = 10
"""Scored samples that each class must keep in a matched subset, for the study to be worth asking."""

ALL_SAMPLES, MATCHED = "all", "matched"

T = TypeVar("T")

Row = dict[str, Any]
"""Of a table."""

OnStep = Callable[[int, int], None]
"""Called with (steps done, all of them)."""


@dataclass(frozen=True, eq=False)
class Shortcuts:
    """What file properties alone give away."""

    pairs: pd.DataFrame
    """One row a pair: over (`all` or `matched` samples), by (`file properties` or a name of features), train, test,
    seen, n_train, n_real, n_fake, n_groups, auc, auc_lo, auc_hi, balanced_acc; of features also gain, gain_lo,
    gain_hi."""
    attribution: pd.DataFrame
    """over, by, n_classes, n_test, acc, balanced_acc with their intervals, chance, largest_class; may be empty."""
    alone: pd.DataFrame
    """properties (one, or a name in `properties.SETS`), question (a generator or `attribution`), measure (`auc` or
    `balanced_acc`), value, low, high."""
    matching: pd.DataFrame
    """question, class, n (before), matched (samples that remain), asked."""
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Asked:
    """A study of all samples and of the matched ones, with the forests on all properties of both."""

    properties: pd.DataFrame
    studies: Mapping[str, Study]
    trials: Mapping[str, Mapping[str, ForestTrial]]

    @classmethod
    def of(cls, samples: pd.DataFrame, settings: AuditSettings) -> "_Asked":
        study = Study.of(samples, settings)
        properties = samples[[*COLUMNS]]
        studies = {ALL_SAMPLES: study, MATCHED: study.within(_matched(study, properties), FEWEST)}
        matrix = design_matrix(properties, COLUMNS)
        return cls(properties, studies, _each(studies, lambda one: _forests(one, matrix)))

    def rows(self, by: str, found: Mapping[str, Mapping[str, AnyTrial]]) -> tuple[pd.DataFrame, list[Row]]:
        """Pairs and attribution of these trials, over all samples and the matched ones."""
        pairs: list[pd.DataFrame] = []
        attribution: list[Row] = []
        for over, study in self.studies.items():
            beside = self.trials[over] if by != PROPERTIES else None
            if study.pools:
                pairs.append(study.pairs(found[over], by, beside).assign(over=over))
            if ATTRIBUTION in study.rows:
                attribution.append({"over": over, **study.attribution(found[over], by)})
        return pd.concat(pairs, ignore_index=True), attribution


def find_shortcuts(
    samples: pd.DataFrame,
    settings: AuditSettings,
    features: Sequence[tuple[FeatureSet, Mask]] = (),
    on_step: OnStep | None = None,
) -> Shortcuts:
    """What a forest on file properties alone scores, and beside it a probe of features.

    Args:
        samples: with the columns `properties.PROPERTIES`.
        settings: how both are trained and judged.
        features: with a mask of the samples that they have rows of.
        on_step: told how many sets of properties were asked about.

    Raises:
        ProbeError: no generator can be learned from.
    """
    asked = _Asked.of(samples, settings)
    pairs, attribution = asked.rows(PROPERTIES, asked.trials)
    notes = list(asked.studies[ALL_SAMPLES].notes)
    for one, has in features:
        try:
            own = asked if has.all() else _Asked.of(samples[has].reset_index(drop=True), settings)
            more_pairs, more = own.rows(one.name, _each(own.studies, partial(Study.probe_trials, features=one)))
        except ProbeError as error:
            notes.append(f"{one.name} does not stand beside the file properties: {error}")
            continue
        pairs, attribution = pd.concat([pairs, more_pairs], ignore_index=True), attribution + more
    study = asked.studies[ALL_SAMPLES]
    return Shortcuts(
        pairs[["over", *(name for name in pairs if name != "over")]],
        pd.DataFrame(attribution),
        _alone(study, asked.properties, on_step),
        _matching(study, asked.studies[MATCHED], _matched(study, asked.properties)),
        tuple(notes),
    )


def _each(studies: Mapping[str, Study], answer: Callable[[Study], T]) -> dict[str, T]:
    """What each study answers; one of the same samples as another is not asked again."""
    found: dict[str, T] = {}
    for over, study in studies.items():
        same = [name for name in found if study.same_rows(studies[name])]
        found[over] = found[same[0]] if same else answer(study)
    return found


def _forests(study: Study, matrix: np.ndarray) -> dict[str, ForestTrial]:
    return forest_trials(study.training_sets, matrix, study.samples, study.divided, study.scored, study.settings)


def _matched(study: Study, properties: pd.DataFrame) -> dict[str, Mask]:
    """Of each question the samples in which its classes have the same properties, split by split."""
    cell, names = cells(properties), full_names(study.samples)
    samples, settings = study.samples, study.settings
    strata = np.zeros(len(samples)) if settings.folds else samples["split"].to_numpy()
    return {
        name: matched_rows(cell, study.classes, rows, strata, names, settings.seed) for name, rows in study.rows.items()
    }


def _matching(study: Study, matched: Study, rows: Mapping[str, Mask]) -> pd.DataFrame:
    """How many samples of each class remain for each question."""
    remaining = replace(study, rows=rows)
    found = []
    for question in study.rows:
        left = remaining.counts(question)
        for kind, n in study.counts(question).items():
            is_asked = question in matched.rows
            found.append({"question": question, "class": kind, "n": n, "matched": left.get(kind, 0), "asked": is_asked})
    return pd.DataFrame(found)


def _alone(study: Study, properties: pd.DataFrame, on_step: OnStep | None) -> pd.DataFrame:
    """What single properties, and some together, say: AUC of each generator on itself, balanced accuracy of all.

    Single properties that are the same in all files are not asked about.
    """
    differing = [name for name in COLUMNS if properties[name].nunique(dropna=False) > 1]
    asked = {**SETS, **{name: (name,) for name in differing}}
    del asked[ALL]
    if len(study.pools) > MOST_ALONE:
        study = study.within({name: rows for name, rows in study.rows.items() if name == ATTRIBUTION})
    found: list[dict[str, object]] = []
    study = replace(study, settings=replace(study.settings, trees=study.settings.trees_alone))
    for done, (name, own) in enumerate(asked.items()):
        if on_step:
            on_step(done, len(asked))
        trials = _forests(study, design_matrix(properties, own))
        for row in _diagonal(study, trials):
            found.append({"properties": name, **row})
    return pd.DataFrame(found)


def _diagonal(study: Study, trials: Mapping[str, ForestTrial]) -> list[Row]:
    found: list[Row] = []
    table = study.pairs(trials, PROPERTIES) if study.pools else pd.DataFrame()
    for row in table.to_dict("records"):
        if row["train"] == row["test"]:
            value, low, high = row["auc"], row["auc_lo"], row["auc_hi"]
            found.append({"question": row["train"], "measure": "auc", "value": value, "low": low, "high": high})
    if ATTRIBUTION in study.rows:
        every = study.attribution(trials, PROPERTIES)
        value, low, high = (every[name] for name in ("balanced_acc", "balanced_acc_lo", "balanced_acc_hi"))
        found.append({"question": ATTRIBUTION, "measure": "balanced_acc", "value": value, "low": low, "high": high})
    return found
