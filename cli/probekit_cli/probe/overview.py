"""Many answers at a glance: one row an answer, and lines over the taps of a model."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from probekit_cli import output
from probekit_cli.probe import shown
from probekit_cli.questions import Session

if TYPE_CHECKING:
    import pandas as pd

    from probekit.attribution import AttributionResult
    from probekit.features import FeatureSet
    from probekit.pairs import PairResult

FEWEST_TAPS = 3  # that a line is drawn over
MOST_NOTES = 5


@dataclass
class Overview:
    """The answers of a session."""

    session: Session
    brief: bool
    """They are too many to print and draw each: one row an answer instead, and all numbers in the tables."""
    _pairs: "list[tuple[FeatureSet, PairResult]]" = field(default_factory=list)
    _attributions: "list[tuple[FeatureSet, AttributionResult]]" = field(default_factory=list)

    def add_pairs(self, features: "FeatureSet", result: "PairResult") -> None:
        """One matrix."""
        self._pairs.append((features.without_rows(), replace(result, trials={})))

    def add_attribution(self, features: "FeatureSet", result: "AttributionResult") -> None:
        """One attribution."""
        self._attributions.append((features.without_rows(), replace(result, trials={})))

    def record(self) -> None:
        """Lines over taps where a model was asked at several; the rows where answers are many."""
        self._lines(_tap_means(self._pairs), "AUC by tap, mean over test generators", "AUC", 0.5)
        accuracies = _tap_accuracies(self._attributions)
        self._lines(accuracies, "Balanced accuracy of the attribution by tap", "balanced accuracy", None)
        if not self.brief:
            return
        if self._pairs:
            title = "AUC, mean over pairs · " + str(self._pairs[0][1].selection["evaluation"])
            table = _rows_of_pairs(self._pairs)
            self.session.show(lambda: output.print_matrix(table, "features", title=title, styles=output.score_style))
        if self._attributions:
            title = "Attribution · " + str(self._attributions[0][1].selection["evaluation"])
            rows = _rows_of_attributions(self._attributions)
            self.session.show(lambda: output.print_matrix(rows, "features", title=title))
        self.session.remark("each matrix, and its intervals, stand in the tables; ask fewer at once to see them here.")
        every = [result for _, result in self._pairs] + [result for _, result in self._attributions]
        shown.notes(self.session, tuple(dict.fromkeys(note for result in every for note in result.notes)), MOST_NOTES)

    def _lines(self, points: "pd.DataFrame", title: str, value_name: str, chance: float | None) -> None:
        from probekit import figures

        for (key, probe), rows in points.groupby(["key", "probe"], sort=False) if len(points) else ():
            if rows["tap"].nunique() < FEWEST_TAPS:
                continue
            whole, oracle = f"{title} · {key}, {probe}", bool(rows["oracle"].any())
            drawn = figures.layer_curves(
                rows[["series", "tap", "value"]], title=whole, value_name=value_name, chance=chance, oracle=oracle
            )
            name = "-".join(("layers", *value_name.split()[:1], str(key).replace(" · ", "-"), str(probe)))
            self.session.run.figure(name, drawn, f"{shown.stamped(whole, oracle)}.")


def _tap_means(found: "list[tuple[FeatureSet, PairResult]]") -> "pd.DataFrame":
    import pandas as pd

    tables = [
        result.macro.loc[result.macro["over"] == "all", ["train", "auc"]]
        .rename(columns={"train": "series", "auc": "value"})
        .assign(**_place(result))
        for _, result in found
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _tap_accuracies(found: "list[tuple[FeatureSet, AttributionResult]]") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        [
            {"series": result.settings.task, "value": result.overall["balanced_acc"], **_place(result)}
            for _, result in found
        ]
    )


def _place(result: "PairResult | AttributionResult") -> dict[str, str | bool]:
    source = result.source
    return {
        "tap": source["tap"],
        "key": f"{source['model']} · {source['view']}",
        "probe": result.settings.probe,
        "oracle": result.oracle,
    }


def _rows_of_pairs(found: "list[tuple[FeatureSet, PairResult]]") -> "pd.DataFrame":
    import pandas as pd

    rows = {}
    for features, result in found:
        pairs = result.pairs
        rows[_label(features, result, found)] = {
            "seen generators": float(pairs.loc[pairs["seen"], "auc"].mean()),
            "unseen generators": float(pairs.loc[~pairs["seen"], "auc"].mean()),
            "lowest pair": float(pairs["auc"].min()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _rows_of_attributions(found: "list[tuple[FeatureSet, AttributionResult]]") -> "pd.DataFrame":
    import pandas as pd

    rows = {
        f"{result.settings.task} · {_label(features, result, found)}": {
            "accuracy": result.overall["acc"],
            "balanced accuracy": result.overall["balanced_acc"],
            "AUC, real or fake": result.binary["auc"],
        }
        for features, result in found
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _label(features: "FeatureSet", result: "PairResult | AttributionResult", found: "object") -> str:
    domains = [getattr(result.settings, name, None) for name in ("train_domain", "test_domain")]
    across = f" · {domains[0]} → {domains[1]}" if domains[0] else ""
    return shown.stamped(f"{features.title}, {result.settings.probe}{across}", result.oracle)
