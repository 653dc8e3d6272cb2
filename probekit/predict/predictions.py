"""What predicting is asked and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Scores
from probekit.errors import UsageError
from probekit.fingerprint import JSONValue
from probekit.heads import Head, Outputs
from probekit.store.settings import Precision


@dataclass(frozen=True)
class PredictSettings:
    """What decides the predictions, besides the head and the images."""

    threshold: float | None = None
    """Probability above which an image is called fake; None takes the head's own."""
    precision: Precision | None = None
    """For images: of the computation, None is the head's own. For a manifest: of the store."""
    top: int = 3
    """Generators that an attribution probe names, the likeliest first."""
    frames: int = 8
    """Of each video, in the middle of as many equal spans; 0 leaves videos out."""

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise UsageError(f"--threshold {self.threshold}: give a probability between 0 and 1.")
        if self.top < 1:
            raise UsageError(f"--top {self.top}: give 1 generator or more.")
        if self.frames < 0:
            raise UsageError(f"--frames {self.frames}: give 0 to leave videos out, or more.")

    def log_odds(self, head: Head) -> float:
        """The score above which an image is called fake.

        Raises:
            UsageError: a probability is asked for, and the head gives none.
        """
        if self.threshold is None:
            return head.cut
        if head.threshold is None:
            raise UsageError(
                f"--threshold {self.threshold}: {head.path} gives no probabilities, leave it out for the probe's own "
                f"threshold (score {head.cut:.3g})."
            )
        return float(np.log(self.threshold) - np.log1p(-self.threshold))


@dataclass(frozen=True)
class Predictions:
    """What a head says of every image, and of which it can say nothing."""

    head: Head
    settings: PredictSettings
    source: Mapping[str, JSONValue]
    """model, view and precision; weights_sha256 of the model or address and name of the store."""
    table: pd.DataFrame
    """path, score (log-odds of fake), probability, label (1 fake); for a manifest also generator, domain, truth; and
    what the head adds, of saved probes llr, predicted, top1, p_top1 …"""
    failed: pd.DataFrame
    """path and reason of every image without a score."""
    pairs: pd.DataFrame | None = None
    """For a manifest, one row a generator, against the real images of its domain: generator, n_real, n_fake and every
    metric at the threshold; NaN where undefined. None where the head has learned from all of it, or does not tell
    fake from real."""
    notes: tuple[str, ...] = ()

    def to_json(self, every_image: bool = True) -> dict[str, Any]:
        """Plain values for `--json`; without `every_image`, as `run.json` keeps them beside the tables."""
        summary: dict[str, Any] = {
            "probe": self.head.to_json(),
            "source": dict(self.source),
            "threshold": self.head.threshold if self.settings.threshold is None else self.settings.threshold,
            "score_threshold": self.settings.log_odds(self.head),
            "scored": len(self.table),
            "called_fake": int(self.table["label"].sum()),
        }
        if every_image:
            summary["predictions"] = [metrics.json_row(row) for row in self.table.to_dict(orient="records")]
            summary["failed"] = self.failed.to_dict(orient="records")
        if self.pairs is not None:
            summary["pairs"] = [metrics.json_row(row) for row in self.pairs.to_dict(orient="records")]
        return summary | {"notes": list(self.notes)}


def give_verdicts(samples: pd.DataFrame, outputs: Outputs, head: Head, settings: PredictSettings) -> pd.DataFrame:
    """The samples, one an output, with score, probability and label beside them, and what else the head says."""
    scores: Scores = head.collapse(outputs)
    labels = (scores > settings.log_odds(head)).astype(np.int64)
    return samples.assign(
        score=scores,
        probability=head.probabilities(scores),
        label=labels,
        **head.more_columns(outputs, settings.top),
    )
