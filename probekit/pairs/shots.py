"""k-shot: how the numbers grow with the training images of each generator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from probekit import metrics
from probekit.features import FeatureSet, FeatureStream
from probekit.fingerprint import JSONValue
from probekit.pairs.result import PairResult
from probekit.pairs.scoring import OnProgress, score_pairs
from probekit.pairs.settings import PairSettings
from probekit.protocols import EVERY


@dataclass(frozen=True)
class ShotCurve:
    """The same question with ever more training images."""

    results: dict[str, PairResult]
    """By the number of shots, `all` among them."""
    table: pd.DataFrame
    """shots (text), n_train, train, test, every metric as mean over seeds and its spread `…_sd`."""

    @classmethod
    def of(cls, results: dict[str, PairResult]) -> "ShotCurve":
        """The curve of these answers, by the number of shots."""
        tables = [result.pairs.assign(shots=name) for name, result in results.items()]
        return cls(results, pd.concat(tables, ignore_index=True))

    def to_json(self) -> list[dict[str, JSONValue]]:
        """The table as JSON can hold it."""
        return [metrics.json_row(row) for row in self.table.to_dict("records")]


def score_shots(
    features: FeatureSet | FeatureStream,
    settings: PairSettings,
    shots: Sequence[int | None],
    *,
    device: str = "cpu",
    on_progress: OnProgress | None = None,
) -> ShotCurve:
    """Every pair for every number of shots; `settings.seeds` draws of each.

    Args:
        features: of all samples.
        settings: as for `score_pairs`.
        shots: training images of each generator (real images: of each domain); None learns from all.
        device: where to compute.
        on_progress: called with (training sets done, all) over all numbers of shots.

    Raises:
        ProbeError: fewer training samples than shots.
    """
    results: dict[str, PairResult] = {}

    def progress(done: int, total: int) -> None:
        if on_progress:
            on_progress(len(results) * total + done, len(shots) * total)

    for number in shots:
        asked = replace(settings, shots=number)
        results[spell_shots(number)] = score_pairs(features, asked, device=device, on_progress=progress)
    return ShotCurve.of(results)


def spell_shots(number: int | None) -> str:
    """`4`, or `all`."""
    return EVERY if number is None else str(number)
