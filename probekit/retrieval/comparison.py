"""The same question with a projection and without: does learning from the registered generators help?"""

from dataclasses import dataclass

import pandas as pd

from probekit import metrics
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.metrics.bootstrap import resample
from probekit.projections import Projection
from probekit.retrieval.leave_one_out import auroc_gain, gain_row
from probekit.retrieval.question import RetrievalResult, retrieve
from probekit.retrieval.settings import RetrievalSettings


@dataclass(frozen=True)
class Comparison:
    """Both answers, and what the projection gains."""

    raw: RetrievalResult
    projected: RetrievalResult
    gains: pd.DataFrame
    """measure (Rank-1, AUROC against each pool), raw, projected, gain, its 95 % interval gain_lo, gain_hi under the
    same draws of groups, and `outside`: whether the interval excludes 0 (None: no interval)."""

    def to_json(self) -> list[dict[str, JSONValue]]:
        """The gains as JSON can hold them."""
        return [metrics.json_row(row) for row in self.gains.to_dict("records")]


def compare(features: FeatureSet, settings: RetrievalSettings, projection: Projection) -> Comparison:
    """The answers on the features as they are and projected, for the same queries and galleries.

    Raises:
        UsageError, ModelError, ProbeError, UnknownNameError: as `retrieve`.
    """
    return contrast(retrieve(features, settings, by_fold=True), retrieve(features, settings, projection))


def contrast(raw: RetrievalResult, projected: RetrievalResult) -> Comparison:
    """What the projection gains, from the answers without it (`by_fold`) and with it."""
    settings = raw.settings
    scored = raw.searched.ranked.scored
    before, after = (one.searched.ranked.hits[scored, 0] for one in (raw, projected))
    groups = raw.searched.column("group")[raw.searched.queries]
    low, high = resample(groups[scored], settings.bootstrap, settings.seed).mean(after - before)
    rows = [gain_row("Rank-1", raw.closed.rank[1], projected.closed.rank[1], low, high)]
    rows += [
        auroc_gain(one, other, raw.scores, projected.scores, settings)
        for one, other in zip(raw.open, projected.open, strict=True)
    ]
    return Comparison(raw, projected, pd.DataFrame(rows))
