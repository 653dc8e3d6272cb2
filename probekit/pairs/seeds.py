"""Seeds: the same question with other folds and draws, averaged with its spread."""

from collections.abc import Sequence

import pandas as pd

from probekit import metrics
from probekit.pairs.result import PairResult
from probekit.pairs.settings import PairSettings


def mean_over_seeds(results: Sequence[PairResult], settings: PairSettings) -> PairResult:
    """Means of all numbers with standard deviations; scores of every seed; the probes of the first."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    first = results[0]
    measured = [*metrics.names(), "cross_auc"]
    pairs = _mean_table([result.pairs for result in results], ["train", "test"], measured)
    scores = [result.scores.assign(seed=seed) for result, seed in zip(results, seeds, strict=True)]
    probes = [
        {"seed": seed, **dict(probe)}
        for result, seed in zip(results, seeds, strict=True)
        for probe in result.probe_records()
    ]
    return PairResult(
        settings,
        first.source,
        pairs,
        _mean_table([result.macro for result in results], ["train", "over"], metrics.names()),
        _mean_table([result.transfer for result in results], ["train", "test"], ["loss_to_best"]),
        pd.concat(scores, ignore_index=True),
        first.selection
        | {
            "probes": probes,
            "seeds": list(seeds),
            "converged": all(bool(result.selection["converged"]) for result in results),
        },
        tuple(dict.fromkeys(note for result in results for note in result.notes)),
        first.trials,
        first.streamed,
    )


def _mean_table(tables: Sequence[pd.DataFrame], keys: Sequence[str], spread: Sequence[str]) -> pd.DataFrame:
    """The rows of the first, numbers replaced by their means over the tables, and `…_sd` of some (n − 1)."""
    first = tables[0]
    if first.empty:
        return first
    stacked = pd.concat(tables).groupby(list(keys), sort=False)
    numbers = [name for name in first.columns if first[name].dtype.kind == "f"]
    found = first.set_index(list(keys))
    found[numbers] = stacked[numbers].mean()
    deviations = stacked[list(spread)].std().add_suffix("_sd")
    return found.join(deviations).reset_index()
