"""What predicting is asked and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Scores
from probekit.errors import UsageError
from probekit.fingerprint import JSONValue
from probekit.heads import Head

VERDICTS = ("real", "fake")
"""By label."""


@dataclass(frozen=True)
class PredictSettings:
    """What decides the predictions, besides the head and the images."""

    threshold: float | None = None
    """Probability above which an image is called fake; None takes the head's own."""
    precision: Literal["float32", "bfloat16"] | None = None
    """For images: of the computation, None is float32, in which heads are published. For a manifest: of the store."""

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise UsageError(f"--threshold {self.threshold}: give a probability between 0 and 1.")

    def log_odds(self, head: Head) -> float:
        """The score above which an image is called fake."""
        share = head.threshold if self.threshold is None else self.threshold
        return float(np.log(share) - np.log1p(-share))


@dataclass(frozen=True)
class Predictions:
    """What a head says of every image, and of which it can say nothing."""

    head: Head
    settings: PredictSettings
    source: Mapping[str, JSONValue]
    """model, view and precision; weights_sha256 of the model or address and name of the store."""
    table: pd.DataFrame
    """path, score (log-odds of fake), probability, label (1 fake); for a manifest also generator, domain, truth."""
    failed: pd.DataFrame
    """path and reason of every image without a score."""
    pairs: pd.DataFrame | None = None
    """For a manifest, one row a generator, against the real images of its domain: generator, n_real, n_fake and every
    metric at the threshold; NaN where undefined."""
    notes: tuple[str, ...] = ()

    def to_json(self, every_image: bool = True) -> dict[str, Any]:
        """Plain values for `--json`; without `every_image`, as `run.json` keeps them beside the tables."""
        summary: dict[str, Any] = {
            "probe": self.head.to_json(),
            "source": dict(self.source),
            "threshold": self.head.threshold if self.settings.threshold is None else self.settings.threshold,
            "scored": len(self.table),
            "called_fake": int(self.table["label"].sum()),
        }
        if every_image:
            summary["predictions"] = self.table.to_dict(orient="records")
            summary["failed"] = self.failed.to_dict(orient="records")
        if self.pairs is not None:
            summary["pairs"] = [metrics.json_row(row) for row in self.pairs.to_dict(orient="records")]
        return summary | {"notes": list(self.notes)}


def give_verdicts(table: pd.DataFrame, head: Head, settings: PredictSettings) -> pd.DataFrame:
    """The table, which has a column `score`, with probability and label beside it."""
    scores: Scores = table["score"].to_numpy(dtype=np.float64)
    labels = (scores > settings.log_odds(head)).astype(np.int64)
    return table.assign(probability=head.probabilities(scores), label=labels)
