"""Attribution: what is recorded of each answer, and what is shown."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from probekit_cli import output, questions
from probekit_cli.probe import saved
from probekit_cli.probe.asked import Asked
from probekit_cli.probe.pairs import notes

if TYPE_CHECKING:
    from probekit.attribution import AttributionResult, AttributionSettings
    from probekit.features import FeatureSet


def answer(session: questions.Session, asked: Asked, every: "Sequence[AttributionSettings]") -> None:
    """Every question, of every feature reference."""
    from probekit.attribution import attribute

    for features in session.feature_sets() if every else ():
        for settings in every:
            result = attribute(features, settings, device=asked.device)
            _record(session, asked, features, result, _name(settings, len(every)))


def _record(
    session: questions.Session, asked: Asked, features: "FeatureSet", result: "AttributionResult", named: str
) -> None:
    from probekit import figures

    settings = result.settings
    labels = {"task": settings.task, "probe": settings.probe}
    if settings.train_domain:
        labels |= {"train_domain": settings.train_domain, "test_domain": str(settings.test_domain)}
    session.answer(result.to_json(), features)
    for name in ("per_class", "pairs", "macro", "predictions"):
        session.table(name, getattr(result, name), features, labels)
    how = f"{features.title}, {result.selection['evaluation']}"
    title = f"{settings.task.capitalize()} · {how} · accuracy {result.overall['acc']:.3f}"
    caption = f"{settings.task.capitalize()} by {how}: images of each class (row) by what they were called (column)."
    drawn = figures.confusion(result.confusion, title=title, oracle=result.oracle)
    session.figure(f"confusion{named}", drawn, caption, features)
    saved.keep(session, asked, features, result)
    session.show(partial(output.print_table, result.confusion, title=title, corner="true ↓  predicted →"))
    session.show(partial(output.print_table, result.per_class))
    collapsed = result.pairs[["test", "seen", "n_real", "n_fake", "auc", "auc_lo", "auc_hi", "balanced_acc"]]
    session.show(partial(output.print_table, collapsed, title="The same, real against fake"))
    notes(result.notes)


def _name(settings: "AttributionSettings", count: int) -> str:
    """What tells the pictures of several questions apart."""
    if count == 1:
        return ""
    words = [settings.task, settings.probe, settings.train_domain, settings.test_domain]
    return "-" + "-".join(word for word in words if word)
