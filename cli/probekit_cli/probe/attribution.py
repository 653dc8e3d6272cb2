"""Attribution: what is recorded of each answer, and what is shown."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from probekit_cli.probe import clustered, saved, shown
from probekit_cli.probe.asked import Asked
from probekit_cli.probe.overview import Overview

if TYPE_CHECKING:
    from probekit.attribution import AttributionResult, AttributionSettings
    from probekit.features import FeatureSet
    from probekit.sweeps import Sweep
    from probekit_cli.questions import Session

OnProgress = Callable[[int, int], None]


def answer(
    overview: Overview, asked: Asked, every: "Sequence[AttributionSettings]", show: OnProgress, sweep: "Sweep | None"
) -> None:
    """Every question, of every feature reference."""
    session = overview.session
    results = (
        clustered.attributions(session, asked, every, sweep, show) if sweep else _here(session, asked, every, show)
    )
    for features, settings, result in results:
        record(overview, asked, features, result, _name(settings, len(every)))


def _here(
    session: "Session", asked: Asked, every: "Sequence[AttributionSettings]", show: OnProgress
) -> "Iterator[tuple[FeatureSet, AttributionSettings, AttributionResult]]":
    """The features, the settings and the answer of each question; each reference is read once, and one at a time."""
    from probekit.attribution import attribute

    total = len(every) * session.count
    for place, opened in enumerate(session.opened(asked.limit)):
        features = asked.limit.loaded(opened, f"--task {every[0].task}")
        for number, settings in enumerate(every):
            show(place * len(every) + number, total)
            yield features, settings, attribute(features, settings, device=asked.device)
    show(total, total)


def record(
    overview: Overview, asked: saved.Kept, features: "FeatureSet", result: "AttributionResult", named: str
) -> None:
    """Its numbers, its picture and its probes, and what is printed of it.

    Args:
        overview: of all answers.
        asked: the options.
        features: what the probes saw.
        result: the attribution.
        named: what tells its picture from those of others of the same features.
    """
    from probekit import figures

    session, settings = overview.session, result.settings
    labels = {"task": settings.task, "probe": settings.probe}
    labels |= {"project": settings.project} if settings.project else {}
    domains: dict[str, str] = {}
    if settings.train_domain:
        domains = {"train_domain": settings.train_domain, "test_domain": str(settings.test_domain)}
    session.answer({**domains, **result.to_json()}, features)
    for name in ("per_class", "pairs", "macro", "predictions", "scores"):
        session.table(name, getattr(result, name), features, labels | domains)
    saved.keep(session, asked, features, result)
    overview.add_attribution(features, result)
    if overview.brief:
        return
    subject = shown.subject(features, result)
    title = f"{settings.task.capitalize()} · {subject} · accuracy {result.overall['acc']:.3f}"
    drawn = figures.confusion(result.confusion, title=title, oracle=result.oracle)
    caption = f"{shown.stamped(title, result.oracle)}: images of each class (row) by what they were called (column)."
    session.figure(f"confusion{named}", drawn, caption, features)
    shown.confusion(session, result, title, subject)


def _name(settings: "AttributionSettings", count: int) -> str:
    """What tells the pictures of several questions apart."""
    if count == 1:
        return ""
    words = [settings.task, settings.probe, settings.train_domain, settings.test_domain]
    return "-" + "-".join(word for word in words if word)
