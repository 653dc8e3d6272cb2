"""Many answers at a glance: one row an answer, and lines over the taps of a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from probekit_cli import tables
from probekit_cli.probe import shown
from probekit_cli.questions import Session

if TYPE_CHECKING:
    import pandas as pd

    from probekit.attribution import AttributionResult, AttributionSettings
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
        self._lines(_tap_means(self._pairs), "AUC by tap", "AUC", 0.5, "trained on")
        accuracies = _tap_accuracies(self._attributions)
        self._lines(accuracies, "Balanced accuracy of the attribution by tap", "balanced accuracy", None, "task")
        if not self.brief:
            return
        if self._pairs:
            self._table("AUC, mean over pairs", self._pairs, [_row_of_pairs(result) for _, result in self._pairs])
        if self._attributions:
            rows = [_row_of_attribution(result) for _, result in self._attributions]
            self._table("Which generator", self._attributions, rows)
        self.session.remark("each matrix, and its intervals, stand in the tables; ask fewer at once to see them here.")
        every = [result for _, result in self._pairs] + [result for _, result in self._attributions]
        shown.notes(self.session, tuple(dict.fromkeys(note for result in every for note in result.notes)), MOST_NOTES)

    def _table(
        self,
        what: str,
        found: "Sequence[tuple[FeatureSet, PairResult | AttributionResult]]",
        rows: Sequence[dict[str, float]],
    ) -> None:
        """One row an answer, named by what tells it from the others; what all share stands in the title."""
        import pandas as pd

        names = pd.DataFrame([_name(features, result) for features, result in found])
        shared = [column for column in names if names[column].nunique() == 1]
        names = names.drop(columns=_implied(names.drop(columns=shared)))
        common = [str(names[column].iloc[0]) for column in shared]
        title = " · ".join([what, *filter(None, common), str(found[0][1].selection["evaluation"])])
        labels = names.drop(columns=shared).apply(lambda parts: ", ".join(filter(None, parts)), axis=1)
        table = pd.DataFrame(rows, index=labels)
        oracle = any(result.oracle for _, result in found)
        self.session.show(
            lambda: tables.print_matrix(
                table,
                ", ".join(names.columns.drop(shared)),
                title=shown.stamped(title, oracle),
                styles=tables.score_style,
            )
        )

    def _lines(self, points: "pd.DataFrame", title: str, value_name: str, chance: float | None, legend: str) -> None:
        from probekit import figures

        for (key, probe), rows in points.groupby(["key", "probe"], sort=False) if len(points) else ():
            if rows["tap"].nunique() < FEWEST_TAPS:
                continue
            whole, oracle = f"{title} · {key}, {probe}, {rows['evaluation'].iloc[0]}", bool(rows["oracle"].any())
            drawn = figures.layer_curves(
                rows[["series", "tap", "value", "over"]],
                title=whole,
                value_name=value_name,
                chance=chance,
                oracle=oracle,
                legend_title=legend,
            )
            name = "-".join(("layers", *value_name.split()[:1], str(key).replace(" · ", "-"), str(probe)))
            self.session.run.figure(name, drawn, f"{shown.stamped(whole, oracle)}.")


def _tap_means(found: "list[tuple[FeatureSet, PairResult]]") -> "pd.DataFrame":
    import pandas as pd

    tables = []
    for _, result in found:
        kind = f", {result.source['ensemble']}" if "ensemble" in result.source else ""
        over = result.pairs["seen"].map({True: "seen generators", False: "unseen generators"})
        means = result.pairs.assign(over=over).groupby(["train", "over"], sort=False, as_index=False)[["auc"]].mean()
        points = {"series": means["train"] + kind, "over": means["over"], "value": means["auc"]}
        tables.append(pd.DataFrame({**points, **_place(result)}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _tap_accuracies(found: "list[tuple[FeatureSet, AttributionResult]]") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "series": _series(result.settings),
                "over": "classes",
                "value": result.overall["balanced_acc"],
                **_place(result),
            }
            for _, result in found
        ]
    )


def _series(settings: "AttributionSettings") -> str:
    """The task, and across domains which."""
    domains = f", {settings.train_domain} → {settings.test_domain}" if settings.train_domain else ""
    return settings.task + domains


def _place(result: "PairResult | AttributionResult") -> dict[str, str | bool]:
    source = result.source
    return {
        "tap": source["tap"],
        "key": f"{source['model']} · {source['view']}",
        "probe": result.settings.probe,
        "evaluation": str(result.selection["evaluation"]),
        "oracle": result.oracle,
    }


def _name(features: "FeatureSet", result: "PairResult | AttributionResult") -> dict[str, str]:
    """What an answer is of, part by part."""
    settings = result.settings
    domains = [getattr(settings, name, None) for name in ("train_domain", "test_domain")]
    return {
        "model": "+".join(source.model for source in features.sources),
        "tap": result.source["tap"],
        "view": result.source["view"],
        "precision": result.source["precision"],
        "ensemble": result.source.get("ensemble", ""),
        "task": getattr(settings, "task", ""),
        "probe": settings.probe,
        "project": f"projected by {settings.project}" if settings.project else "",
        "domains": f"{domains[0]} → {domains[1]}" if domains[0] else "",
    }


def _implied(names: "pd.DataFrame") -> list[str]:
    """View and precision, where the other columns tell the rows apart without them."""
    implied: list[str] = []
    for column in ("precision", "view"):
        rest = names.drop(columns=[*implied, column], errors="ignore")
        if column in names and len(rest.columns) and not rest.duplicated().any():
            implied.append(column)
    return implied


def _row_of_pairs(result: "PairResult") -> dict[str, float]:
    seen = result.pairs["seen"].astype(bool)
    return {
        "seen generators": float(result.pairs.loc[seen, "auc"].mean()),
        "unseen generators": float(result.pairs.loc[~seen, "auc"].mean()),
        "lowest pair": float(result.pairs["auc"].min()),
    }


def _row_of_attribution(result: "AttributionResult") -> dict[str, float]:
    return {
        "accuracy": result.overall["acc"],
        "balanced accuracy": result.overall["balanced_acc"],
        "AUC, real or fake": result.binary["auc"],
    }
