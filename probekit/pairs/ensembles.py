"""Ensembles: do two kinds of features tell more than the better of them?

Two ways to use them together: side by side, as one longer vector for one probe; and late fusion, the mean of the
calibrated log-odds of a probe on each. Both are compared with the single kind that is best on held-out samples of the
training side, under the same draws of groups.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.metrics.bootstrap import resample
from probekit.pairs.result import PairResult
from probekit.pairs.scoring import OnProgress, Question, answer, train_all
from probekit.pairs.settings import PairSettings
from probekit.protocols import Pool, describe, require_finite
from probekit.trials import Trial, members_of

SIDE_BY_SIDE, LATE_FUSION = "features side by side", "late fusion"


@dataclass(frozen=True)
class Ensemble:
    """Each kind of features alone, all together in two ways, and what that gains."""

    singles: tuple[PairResult, ...]
    together: PairResult
    """Side by side."""
    fused: PairResult
    """Late fusion."""
    gains: pd.DataFrame
    """train, test, ensemble, best_single (chosen on held-out samples of the training side), auc_single, auc, gain, its
    95 % interval gain_lo, gain_hi under the same draws, and `outside`: whether the interval excludes 0 (None: no
    interval)."""

    @property
    def results(self) -> tuple[PairResult, ...]:
        """All answers, the single ones first."""
        return (*self.singles, self.together, self.fused)

    def to_json(self) -> list[dict[str, JSONValue]]:
        """The gains as JSON can hold them."""
        return [metrics.json_row(row) for row in self.gains.to_dict("records")]


def score_ensemble(
    features: FeatureSet, settings: PairSettings, *, device: str = "cpu", on_progress: OnProgress | None = None
) -> Ensemble:
    """Every pair by each block of the features, by all blocks side by side, and by the mean of calibrated log-odds.

    Args:
        features: of two blocks or more, as of the reference `clip+npr`.
        settings: as for `score_pairs`; probes are calibrated by `platt` where they say `none`.
        device: where to compute.
        on_progress: called after every training set.

    Raises:
        UsageError: there is one block only, or several seeds are asked for.
        ProbeError: as `score_pairs`; or there are no held-out samples to calibrate on.
    """
    if len(features.blocks) < 2:
        raise UsageError(f"an ensemble needs two kinds of features: give them as {features.reference}+OTHER.")
    if settings.seeds > 1:
        raise UsageError("--fuse compares under the same draws of one seed: leave --seeds out.")
    if settings.calibration == "none":
        settings = replace(settings, calibration="platt")
    require_finite(features.samples, features.blocks)
    question = Question.of(features.samples, settings)
    blocks = [
        replace(features, reference=f"{source.model}#{source.tap}", sources=(source,), blocks=(block,))
        for source, block in zip(features.sources, features.blocks, strict=True)
    ]
    kinds = [*blocks, features]
    trials = []
    for number, kind in enumerate(kinds):
        trials.append(train_all(question, kind, device, on_progress, done=number, of=len(kinds)))
    singles = tuple(answer(question, own, describe(kind.sources)) for own, kind in zip(trials, blocks, strict=False))
    together = answer(question, trials[-1], describe(features.sources) | {"ensemble": SIDE_BY_SIDE})
    fused = {pool.name: _fuse([own[pool.name] for own in trials[:-1]]) for pool in question.trains}
    result = answer(question, fused, describe(features.sources) | {"ensemble": LATE_FUSION})
    record = {block.name: one.selection for block, one in zip(blocks, singles, strict=True)}
    result = replace(result, selection=_shared(singles, result) | {"members": record}, trials={})
    return Ensemble(singles, together, result, _gains(question, blocks, singles, together, result))


def _fuse(members: Sequence[Trial]) -> Trial:
    """The mean of calibrated log-odds, and of those of held-out samples, which are the same for all members."""
    held = []
    for parts in zip(*(member.held_out for member in members), strict=True):
        known = [part for part in parts if part is not None]
        assert len(known) == len(parts)  # on these samples each was calibrated
        held.append(replace(known[0], decisions=np.mean([part.decisions for part in known], axis=0)))
    decisions = np.mean([member.decisions for member in members], axis=0)
    return replace(members[0], held_out=tuple(held), decisions=decisions)


def _shared(singles: Sequence[PairResult], fused: PairResult) -> dict[str, JSONValue]:
    """What a record of several probes has in common with that of one."""
    shared = ("evaluation", "threshold", "calibration", "metric", "grid", "condition", "project")
    return {
        "by": "; ".join(dict.fromkeys(str(one.selection["by"]) for one in singles)),
        "oracle": any(one.oracle for one in singles),
        "converged": all(bool(one.selection["converged"]) for one in singles),
        **{name: fused.selection[name] for name in shared if name in fused.selection},
        "probes": [],
    }


def _gains(
    question: Question,
    blocks: Sequence[FeatureSet],
    singles: Sequence[PairResult],
    together: PairResult,
    fused: PairResult,
) -> pd.DataFrame:
    rows = []
    for train in question.trains:
        best = int(np.argmax([_held_out_auc(single.trials[train.name]) for single in singles]))
        for test in question.tests:
            if not question.asks(train, test):
                continue
            for name, result in ((SIDE_BY_SIDE, together), (LATE_FUSION, fused)):
                row = {"train": train.name, "test": test.name, "ensemble": name, "best_single": blocks[best].name}
                rows.append(row | _gain(question, train, test, singles[best], result))
    return pd.DataFrame(rows)


def _gain(
    question: Question, train: Pool, test: Pool, single: PairResult, ensemble: PairResult
) -> dict[str, float | bool | None]:
    units, settings = question.units, question.settings
    rows = members_of(units, test)
    labels, groups = (units.table[name].to_numpy()[rows] for name in ("label", "group"))
    before, after = (
        result.scores.loc[result.scores["train"] == train.name, "score"].to_numpy()[rows]
        for result in (single, ensemble)
    )
    draws = resample(groups, settings.bootstrap, settings.seed)
    low, high = draws.auc_difference(labels, after, before, units.part[rows])
    auc_before, auc_after = (_auc(result, train, test) for result in (single, ensemble))
    return {
        "auc_single": auc_before,
        "auc": auc_after,
        "gain": auc_after - auc_before,
        "gain_lo": low,
        "gain_hi": high,
        "outside": None if math.isnan(low) else bool(low > 0 or high < 0),
    }


def _auc(result: PairResult, train: Pool, test: Pool) -> float:
    own = result.pairs["train"].eq(train.name) & result.pairs["test"].eq(test.name)
    return float(result.pairs.loc[own, "auc"].to_numpy()[0])


def _held_out_auc(trial: Trial) -> float:
    """Mean over probes of the AUC on samples that nobody tests."""
    return float(np.mean([metrics.get("auc")(held.classes, held.decisions) for held in trial.held_out if held]))
