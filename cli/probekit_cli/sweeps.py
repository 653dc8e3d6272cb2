"""Questions of a session that the workers of a cluster answer."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from probekit_cli import output

if TYPE_CHECKING:
    from probekit.features import FeatureSet, Selector
    from probekit.parallel.connecting import ClusterSettings
    from probekit.sweeps import Sweep
    from probekit_cli.memory import Limit
    from probekit_cli.questions import Session

OnProgress = Callable[[int, int], None]
R = TypeVar("R")


@dataclass(frozen=True)
class Divided:
    """One question in parts, each answered by any worker."""

    about: Any
    """What it is known by to who asks it."""
    parts: Sequence[Callable[..., Any]]
    unite: "Callable[[FeatureSet, Sequence[Any]], Any]"
    """The answer, from labelled features and what was found by each part."""
    variants: "Callable[[FeatureSet], Mapping[str, Selector]] | None" = None
    """Which other features are needed beside these."""


@contextmanager
def opened(session: "Session", cluster: "ClusterSettings | None", device: str) -> "Iterator[Sweep | None]":
    """The workers of a cluster, and in the run's record what they were; None where none is meant."""
    if cluster is None:
        yield None
        return
    from probekit.sweeps import Material, open_sweep

    where = session.where
    material = Material(where.manifest, where.cache, where.allow_missing)
    addresses = [store.settings.address for store in session.join.stores]
    with open_sweep(material, addresses, cluster, gpus=device != "cpu", on_remark=output.remark) as sweep:
        yield sweep
        for note in sweep.notes:
            session.remark(f"note: {note}")
        session.run.note(workers=sweep.record())


def answers(
    session: "Session",
    sweep: "Sweep",
    divide: "Callable[[FeatureSet], Sequence[Divided]]",
    show: OnProgress,
    limit: "Limit | None" = None,
) -> "Iterator[tuple[FeatureSet, Divided, Any]]":
    """The labelled features, the question, and its answer: each question, of each feature reference, in order.

    Args:
        session: what is asked about.
        sweep: the workers.
        divide: the questions of one reference, whose features are labelled and not read.
        show: told how many parts are done.
        limit: beyond which workers read features in blocks; None: they load them whole.
    """
    from probekit.sweeps import Ask

    @functools.cache
    def identity(reference: str, selector: "Selector") -> str:
        """Of variants, which several questions ask about."""
        return session.join.label(reference, selector, allow_missing=True).identity

    asked, questions = [], []
    for reference, selector in session.asked:
        features = session.join.label(reference, selector, allow_missing=session.where.allow_missing)
        for question in divide(features):
            selectors = question.variants(features) if question.variants else {}
            variants = {name: (one, identity(reference, one)) for name, one in selectors.items()}
            asked += [Ask(reference, selector, part, variants, features.identity, limit) for part in question.parts]
            questions.append((features, question))
    found = sweep.answers(asked, show)
    for features, question in questions:
        parts = [one.found for one in islice(found, len(question.parts))]
        yield session.take_in(features), question, question.unite(features, parts)


def only(_: "FeatureSet", found: Sequence[R]) -> R:
    """What the one part of a question found."""
    (one,) = found
    return one
