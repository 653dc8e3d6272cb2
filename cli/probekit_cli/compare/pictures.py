"""What `probekit compare` draws: CKA, separability over depth, and distances."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from probekit.comparison import CkaResult, DistanceResult, SeparabilityResult
    from probekit.features import FeatureSet
    from probekit_cli.questions import Session

LINES = 15
"""Pairs of generators up to which each is a curve; more are rows of a heat map."""

DISTANCES = {
    "mmd": ("mmd", "MMD²", "squared MMD, Gaussian kernel"),
    "fd": ("frechet", "Fréchet distance", "Fréchet distance"),
}


def cka(session: "Session", result: "CkaResult") -> None:
    """Every two kinds of features."""
    from probekit import figures
    from probekit.comparison.verdicts import short_names

    title = f"Linear CKA (debiased) · {result.n} samples of {result.n_groups} groups"
    short, axis = short_names(result.names)
    values = result.matrix().rename(index=short, columns=short)
    drawn = figures.square(values, title=title, value_name="CKA", axis_names=(axis, axis))
    session.run.figure(
        "cka", drawn, f"{title}: 1 where features are equal up to rotation and scale, 0 where independent."
    )


def separability(session: "Session", found: "Sequence[tuple[FeatureSet, SeparabilityResult]]") -> None:
    """Curves over the taps of a model; of a single tap the matrix of generators."""
    from probekit import figures

    for title, points in by_model(found).items():
        own = [(features, result) for features, result in found if _model(features) == title]
        features, result = own[0]
        how = f"{title}: AUC of a {result.settings.trial.probe} probe, {result.evaluation}."
        if len(own) == 1:
            values = result.matrix()
            drawn = figures.matrix(
                values, title=f"Separability · {features.title}", train_axis="generator", test_axis="generator"
            )
            session.figure("separability", drawn, how, features)
            continue
        if points["series"].nunique() <= LINES:
            drawn = figures.layer_curves(points, title=f"Separability · {title}", legend_title="generators")
        else:
            table = points.pivot(index="series", columns="tap", values="value")
            table = table.loc[list(dict.fromkeys(points["series"])), list(dict.fromkeys(points["tap"]))]
            drawn = figures.matrix(table, title=f"Separability · {title}", train_axis="generators", test_axis="tap")
        session.run.figure(f"separability-{title}", drawn, how)


def distances(session: "Session", features: "FeatureSet", result: "DistanceResult") -> None:
    """Matrices of MMD and Fréchet distance, near generators side by side, halves of each on the diagonal."""
    from probekit import figures

    for value, (name, short, words) in DISTANCES.items():
        drawn = figures.square(
            result.matrix(value),
            title=f"{short} · {features.title}",
            value_name=short,
            axis_names=("generator", "generator"),
            limits=None,
            remark="diagonal: two halves of one generator",
        )
        caption = f"{features.name}: {words} of {result.settings.condition} features; near generators side by side."
        session.figure(name, drawn, caption, features)


def by_model(found: "Sequence[tuple[FeatureSet, SeparabilityResult]]") -> "dict[str, pd.DataFrame]":
    """Points of `figures.layer_curves` for each model and view: a series a pair of generators."""
    import pandas as pd

    tables: dict[str, list[pd.DataFrame]] = {}
    for features, result in found:
        tap = "+".join(source.tap for source in features.sources)
        names = {"auc": "value", "auc_lo": "lo", "auc_hi": "hi"}
        points = result.pairs.rename(columns=names)[["a", "b", *names.values()]]
        points = points.assign(series=points["a"] + " – " + points["b"], tap=tap)
        tables.setdefault(_model(features), []).append(points)
    return {title: pd.concat(points, ignore_index=True) for title, points in tables.items()}


def _model(features: "FeatureSet") -> str:
    """`clip · resize224-crop224`: what taps are of."""
    models, views = (list(dict.fromkeys(getattr(s, name) for s in features.sources)) for name in ("model", "view"))
    precisions = dict.fromkeys(source.precision for source in features.sources)
    return f"{'+'.join(models)} · {', '.join(views)} · {', '.join(precisions)}"
