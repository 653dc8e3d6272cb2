"""What a study found, as one record and one page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from probekit.fingerprint import plain
from probekit.studies.plan import Plan
from probekit.studies.published import Checked, sentences
from probekit.studies.running import StepOutcome
from probekit.studies.verdicts import Verdict


@dataclass(frozen=True)
class StudyResult:
    """Steps, answers and published numbers of one study."""

    plan: Plan
    outcomes: Sequence[StepOutcome]
    verdicts: Sequence[Verdict]
    checked: Sequence[Checked]

    @property
    def complete(self) -> bool:
        """Whether every step has a result."""
        return all(one.run is not None for one in self.outcomes)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Name → table, of those that have rows."""
        found = {"steps": self._steps(), "verdicts": self._claims()}
        if self.checked:
            found["published"] = pd.concat([one.table() for one in self.checked], ignore_index=True)
        return {name: table for name, table in found.items() if len(table)}

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints; an undefined number is null."""
        plan = self.plan
        return {
            "study": plan.protocol.name,
            "title": plan.protocol.title,
            "about": plan.protocol.about,
            "source": plan.protocol.source,
            "parameters": dict(plan.parameters),
            "protocol_sha256": plan.protocol.sha256,
            "complete": self.complete,
            "steps": [_step(one) for one in self.outcomes],
            "questions": [_question(one) for one in self.verdicts],
            "published": [published_json(one) for one in self.checked],
        }

    def notes(self) -> list[str]:
        """What a reader must know: what could not be done, and how far published numbers are away."""
        left = [f"{one.name}: {one.state}: {' '.join(one.reasons)}" for one in self.outcomes if one.run is None]
        return [*left, *sentences(self.checked)]

    def _steps(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "step": one.name,
                    "question": one.planned.step.title,
                    "state": one.state,
                    "command": one.planned.command,
                    "run": str(one.run or ""),
                    "why": " ".join(one.reasons),
                }
                for one in self.outcomes
            ]
        )

    def _claims(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "question": verdict.question,
                    "asks": verdict.asks,
                    "of": verdict.of,
                    "answer": verdict.verdict,
                    "claim": claim.claim,
                    "verdict": claim.verdict,
                    "left": claim.left,
                    "right": claim.right,
                    "difference": claim.difference,
                    "difference_lo": claim.lo,
                    "difference_hi": claim.hi,
                    "margin": claim.margin,
                    "n_groups": claim.n_groups,
                    "why": claim.reason,
                }
                for verdict in self.verdicts
                for claim in verdict.claims
            ]
        )


def _step(one: StepOutcome) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.planned.step.title,
        "command": one.planned.command,
        "state": one.state,
        "run": str(one.run) if one.run else None,
        "reasons": list(one.reasons),
        "seconds": round(one.seconds, 1),
    }


def _question(one: Verdict) -> dict[str, Any]:
    return {
        "name": one.question,
        "asks": one.asks,
        "of": one.of,
        "answer": one.verdict,
        "note": one.note,
        "claims": [
            {
                **{name: _finite(getattr(claim, name)) for name in ("left", "right", "difference", "margin")},
                "claim": claim.claim,
                "verdict": claim.verdict,
                "difference_ci": None if _finite(claim.lo) is None else [claim.lo, claim.hi],
                "n_groups": claim.n_groups,
                "reason": claim.reason,
                "sentence": claim.sentence,
            }
            for claim in one.claims
        ],
    }


def published_json(one: Checked) -> dict[str, Any]:
    """A published table and ours, as `--json` prints them; an undefined number is null."""
    published = one.published
    return {
        "title": published.title,
        "source": published.source,
        "metric": published.metric,
        "step": published.step,
        "down": published.down,
        "across": published.across,
        "rows": list(published.rows),
        "columns": list(published.columns),
        "published": plain(published.values),
        "ours": [[_finite(value) for value in row] for row in one.ours.tolist()],
        "difference": [[_finite(value) for value in row] for row in one.differences.tolist()],
        "mean_difference": _finite(one.mean_difference),
        "mean_difference_transposed": _finite(one.mean_difference_transposed),
        "run": str(one.run) if one.run else None,
        "reason": one.reason,
        "note": published.note,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
