"""ROC, DET and reliability curves of every training set."""

from typing import TYPE_CHECKING

from probekit_cli.probe import shown

if TYPE_CHECKING:
    import pandas as pd

    from probekit.arrays import Scores
    from probekit.features import FeatureSet
    from probekit.pairs import PairResult
    from probekit.protocols import Pool
    from probekit_cli.questions import Session


def curves(session: "Session", features: "FeatureSet", result: "PairResult", named: str) -> None:
    """One picture of each kind a training set, one line a test set that has both classes.

    Curves are of margins, as EER is: each fold's scores less its threshold. AUCs are those of the table.
    """
    from probekit import figures

    pools = _test_pools(session, result)
    for train, scores in result.scores.groupby("train", sort=False):
        own = result.pairs[(result.pairs["train"] == train) & result.pairs["auc"].notna()].set_index("test")
        tested = {str(test): _of_test(scores, pools[str(test)]) for test in own.index}
        rates = {test: _rates(rows) for test, rows in tested.items()}
        subject = f"trained on {train} · {shown.subject(features, result)}"
        name = f"{train}{named}"
        drawn = figures.roc_curves(
            rates,
            title=f"ROC, {subject}",
            notes={test: f"AUC {own['auc'][test]:.3f}" for test in tested},
            oracle=result.oracle,
            legend_title="tested on",
        )
        session.figure(f"roc-{name}", drawn, f"{shown.stamped(f'ROC curves, {subject}', result.oracle)}.", features)
        drawn = figures.det_curves(
            {test: (fpr, 1 - tpr) for test, (fpr, tpr) in rates.items()},
            title=f"DET, {subject}",
            notes={test: f"EER {own['eer'][test]:.3f}" for test in tested},
            oracle=result.oracle,
            legend_title="tested on",
        )
        session.figure(f"det-{name}", drawn, f"{shown.stamped(f'DET curves, {subject}', result.oracle)}.", features)
        if "probability" in scores:
            drawn = figures.reliability(
                {test: _bins(rows) for test, rows in tested.items()},
                title=f"Reliability, {subject}",
                oracle=result.oracle,
                legend_title="tested on",
            )
            session.figure(
                f"reliability-{name}",
                drawn,
                f"{shown.stamped(f'Reliability diagram, {subject}', result.oracle)}.",
                features,
            )


def _test_pools(session: "Session", result: "PairResult") -> "dict[str, Pool]":
    """The test sets by name, as the question read them: not every generator stands among the scores."""
    from probekit.protocols import across_domains, parse_pools

    samples, settings = session.where.manifest.table, result.settings
    text = across_domains(settings.test, samples) if settings.across else settings.test
    return {pool.name: pool for pool in parse_pools(text, samples)}


def _of_test(scores: "pd.DataFrame", pool: "Pool") -> "pd.DataFrame":
    """The scored samples of one test set."""
    import numpy as np

    from probekit.protocols import members

    rows: pd.DataFrame = scores.loc[members(scores, pool, np.ones(len(scores), dtype=bool))]
    return rows


def _rates(rows: "pd.DataFrame") -> "tuple[Scores, Scores]":
    """FPR and TPR at every threshold."""
    from probekit.metrics.curves import roc

    fpr, tpr, _ = roc(rows["label"].to_numpy(), (rows["score"] - rows["threshold"]).to_numpy())
    return fpr, tpr


def _bins(rows: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    from probekit.metrics.probabilities import reliability

    found = reliability(rows["label"].to_numpy(), rows["score"].to_numpy())
    return pd.DataFrame({"predicted": found.predicted, "share": found.observed, "n": found.counts})
