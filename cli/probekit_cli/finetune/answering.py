"""The question that the heads are judged by, and what is recorded of it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from probekit_cli import output
from probekit_cli.finetune import networks, shown
from probekit_cli.finetune.asked import Asked
from probekit_cli.questions import Session

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.training import Trained


def answer(asked: Asked) -> Session:
    """Networks trained, features extracted, heads judged, and all of it recorded."""
    from probekit import records
    from probekit.features import Join

    where = asked.where
    if where.manifest.folds:
        output.remark(
            f"note: {where.manifest.name} has few groups and is otherwise evaluated in {where.manifest.folds} folds; "
            "networks are trained once, on its train split, and judged on its test split."
        )
    lessons = asked.lessons
    with records.start("finetune", asked.identity | {"manifest": where.manifest.sha256}, runs=where.runs) as run:
        trained = networks.train_all(asked)
        references = networks.extract_all(asked, trained)
        session = Session(where, run, Join(where.manifest, where.cache), references)
        features = {lesson.name: found for lesson, found in zip(lessons.values(), session.feature_sets(), strict=True)}
        shown.trainings(session, asked, trained)
        heads = {lessons[name].name: one for name, one in trained.items()}
        _judge(session, asked, features, heads)
        session.record()
    return session


def _judge(session: Session, asked: Asked, features: "dict[str, FeatureSet]", trained: "dict[str, Trained]") -> None:
    from probekit.attribution import AttributionSettings, attribute
    from probekit.pairs import score_own_features, together
    from probekit.training import head_of
    from probekit_cli.probe import attribution, matrix, saved
    from probekit_cli.probe.overview import Overview

    overview, question = Overview(session, brief=False), asked.question
    given = {name: head_of(one.network) for name, one in trained.items()} if asked.settings.has_head else None
    if isinstance(question, AttributionSettings):
        ((name, own),) = features.items()
        result = attribute(own, question, given=given[name] if given else None)
        attribution.record(overview, asked, own, result, "")
        return
    found = score_own_features(features, question, given=given)
    for name, own in features.items():
        saved.keep(session, asked, own, replace(found, trials={name: found.trials[name]}))
    every = [own.sources[0] for own in features.values()]
    label = replace(next(iter(features.values())), sources=(together(every),))
    matrix.record(overview, asked, label, replace(found, trials={}), "")
