"""Who answers the questions of `probekit retrieve`: this process, or the workers of a cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from probekit_cli import output, sweeps
from probekit_cli.memory import Limit
from probekit_cli.retrieve.asked import Asked

if TYPE_CHECKING:
    from probekit.features import FeatureSet, FeatureStream
    from probekit.retrieval import (
        Comparison,
        Found,
        LeaveOneOut,
        Question,
        RetrievalResult,
        RetrievalSettings,
        ShotCurve,
    )
    from probekit.sweeps import Sweep
    from probekit_cli.questions import Session


@dataclass(frozen=True)
class Answered:
    """What was found in the features of one reference."""

    features: "FeatureSet"
    """Labelled at least."""
    result: "RetrievalResult"
    compared: "Comparison | None" = None
    """With a projection, as `result` is without."""
    each: "LeaveOneOut | None" = None
    shots: "ShotCurve | None" = None
    streamed: bool = False


def here(session: "Session", asked: Asked, settings: "RetrievalSettings", limit: Limit) -> Iterator[Answered]:
    """The answers of this process, one reference after another; features larger than the limit are read in blocks."""
    from probekit.features import FeatureStream

    for opened in session.opened(limit):
        if isinstance(opened, FeatureStream):
            _require_streamable(session, asked, limit, opened)
            yield _streamed(session, asked, settings, opened)
        else:
            yield _in_memory(asked, settings, asked.beside(opened))


def on_cluster(
    session: "Session", asked: Asked, settings: "RetrievalSettings", limit: Limit, sweep: "Sweep"
) -> Iterator[Answered]:
    """The answers of workers: a share of the queries, a generator left out, or a draw of examples is a part."""
    of = sweep.shares(session.count)

    def divide(features: "FeatureSet") -> list[sweeps.Divided]:
        if not limit.fits(features.samples, sum(features.widths)):
            _require_streamable(session, asked, limit, features)
        return _divided(asked, settings, of, features)

    with output.progress("parts answered") as show:
        found = sweeps.answers(session, sweep, divide, show, limit)
        for _ in session.asked:
            own = list(islice(found, 1 + asked.each + bool(asked.shots)))
            features, answers = own[0][0], {question.about: answer for _, question, answer in own}
            compared = answers.pop("compared", None)
            result = compared.raw if compared else answers.pop("result")
            streamed = not limit.fits(features.samples, sum(features.widths))
            yield Answered(features, result, compared, **answers, streamed=streamed)


def _require_streamable(session: "Session", asked: Asked, limit: Limit, features: "FeatureSet | FeatureStream") -> None:
    """Nothing but a note, if this is asked so that features can be read in blocks.

    Raises:
        UsageError: it is not.
    """
    asked.require_streamable(limit.why(features))
    session.remark(f"note: {features.name} was read in blocks: {limit.why(features)}.")


def _in_memory(asked: Asked, settings: "RetrievalSettings", features: "FeatureSet") -> Answered:
    from probekit.retrieval import compare, leave_one_out, retrieve, score_shots

    projection = asked.projection(settings.seed)
    compared = compare(features, settings, projection) if projection else None
    result = compared.raw if compared else retrieve(features, settings)
    with output.progress(f"searching {features.name}") as show:
        each = leave_one_out(features, settings, projection, on_progress=show) if asked.each else None
        numbers = asked.shot_numbers
        shots = score_shots(features, settings, numbers, asked.seeds, on_progress=show) if numbers else None
    return Answered(features, result, compared, each, shots)


def _streamed(session: "Session", asked: Asked, settings: "RetrievalSettings", stream: "FeatureStream") -> Answered:
    from probekit.retrieval import retrieve

    result = retrieve(stream, settings, asked.projection(settings.seed), folder=session.run.path)
    return Answered(stream.labelled(), result, streamed=True)


def _divided(asked: Asked, settings: "RetrievalSettings", of: int, features: "FeatureSet") -> list[sweeps.Divided]:
    """The questions of one reference, each in parts."""
    from probekit import retrieval

    projection, question = asked.projection(settings.seed), retrieval.Question(settings)
    if projection:
        raw, projected = replace(question, by_fold=True), replace(question, projection=projection)
        both = [*raw.divided(features, of), projected]
        every = [sweeps.Divided("compared", both, partial(_contrasted, raw, projected))]
    else:
        every = [sweeps.Divided("result", question.divided(features, of), partial(retrieval.conclude, question))]
    if asked.each:
        parts = retrieval.divide_left_out(features, settings, projection)
        every.append(sweeps.Divided("each", parts, lambda _, found: retrieval.unite_left_out(found)))
    if numbers := asked.shot_numbers:
        draws = retrieval.divide_shots(settings, numbers, asked.seeds)
        every.append(sweeps.Divided("shots", draws, lambda _, found: retrieval.unite_shots(found)))
    return every


def _contrasted(
    raw: "Question", projected: "Question", features: "FeatureSet", found: "Sequence[Found]"
) -> "Comparison":
    """The answers without a projection, from all parts but the last, and with it."""
    from probekit.retrieval import conclude, contrast

    *shares, last = found
    return contrast(conclude(raw, features, shares), conclude(projected, features, [last]))
