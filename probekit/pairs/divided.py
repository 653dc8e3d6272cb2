"""A matrix in parts: some of its training sets each, to be asked apart from each other and put together again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pandas as pd

from probekit.features import FeatureSet
from probekit.pairs.result import PairResult
from probekit.pairs.scoring import Measured, Question, conclude, measure, train_all
from probekit.pairs.seeds import mean_over_seeds
from probekit.pairs.settings import PairSettings
from probekit.pairs.shots import ShotCurve, spell_shots
from probekit.protocols import across_domains, parse_pools, require_finite


@dataclass(frozen=True)
class MatrixPart:
    """The `number`-th of `of` parts of a matrix, from 0; those of a matrix with few training sets may be empty."""

    settings: PairSettings
    """Of the whole matrix; its one seed is `seed`."""
    number: int
    of: int
    device: str = "cpu"

    def __call__(self, features: FeatureSet) -> Measured:
        """The trials of the part, and what they are worth.

        Raises:
            ProbeError, ModelError, UnknownNameError: as `score_pairs`.
        """
        require_finite(features.samples, features.blocks)
        question = Question.of(features.samples, self.settings)
        own = np.array_split(np.arange(len(question.trains)), self.of)[self.number]
        part = replace(question, trains=[question.trains[place] for place in own])
        return measure(part, train_all(part, features, self.device, None))

    def __str__(self) -> str:
        return f"part {self.number + 1} of {self.of} of the probes, seed {self.settings.seed}"


def most_parts(settings: PairSettings, samples: pd.DataFrame) -> int:
    """Training sets that are asked for: a matrix in more parts has empty ones.

    Raises:
        UnknownNameError: a generator that does not exist.
    """
    return len(parse_pools(across_domains(settings.train, samples) if settings.across else settings.train, samples))


def divide(settings: PairSettings, of: int, device: str = "cpu") -> list[MatrixPart]:
    """All parts of a matrix, seed by seed, each in `of` parts."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    return [MatrixPart(replace(settings, seed=seed), number, of, device) for seed in seeds for number in range(of)]


def unite(settings: PairSettings, source: dict[str, str], found: Sequence[Measured]) -> PairResult:
    """What `score_pairs` answers, from what the parts of `divide` gave, in their order.

    Args:
        settings: of the matrix.
        source: where its features came from.
        found: a value a part.
    """
    own, of = iter(found), len(found) // settings.seeds
    seeds = range(settings.seed, settings.seed + settings.seeds)
    results = [conclude(replace(settings, seed=seed), source, list(islice(own, of))) for seed in seeds]
    return results[0] if len(results) == 1 else mean_over_seeds(results, settings)


def divide_shots(settings: PairSettings, shots: Iterable[int | None], of: int, device: str = "cpu") -> list[MatrixPart]:
    """All parts of the matrices of several numbers of shots."""
    return [part for number in shots for part in divide(replace(settings, shots=number), of, device)]


def unite_shots(
    settings: PairSettings, shots: Sequence[int | None], source: dict[str, str], found: Sequence[Measured]
) -> ShotCurve:
    """What `score_shots` answers, from what the parts of `divide_shots` gave, in their order."""
    own, each = iter(found), len(found) // len(shots)
    results: Mapping[str, PairResult] = {
        spell_shots(number): unite(replace(settings, shots=number), source, list(islice(own, each))) for number in shots
    }
    return ShotCurve.of(dict(results))
