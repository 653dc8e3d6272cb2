"""Which samples are compared: of some generators, of every two of them, and those that all features have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from probekit.arrays import Int, Mask
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.manifest import REAL
from probekit.protocols import IDENTITY, generators, matched
from probekit.registry import unknown_name


@dataclass(frozen=True, eq=False)
class Pair:
    """Two generators, one of which may be real images, and their samples."""

    a: str
    b: str
    of_a: Mask
    """Real images: those of the domains of b."""
    of_b: Mask


def classes_of(samples: pd.DataFrame) -> list[str]:
    """`real`, where there are real images, and the generators of the fakes."""
    return [REAL] * bool((samples["label"] == 0).any()) + generators(samples)


def restrict(features: FeatureSet, chosen: Sequence[str] | None) -> FeatureSet:
    """The samples of these generators, and the real images; None leaves all.

    Raises:
        UnknownNameError: there is no such generator.
    """
    if chosen is None:
        return features
    known = generators(features.samples)
    for name in chosen:
        if name not in (*known, REAL):
            raise unknown_name("generator", name, known)
    fakes = (features.samples["label"] == 1) & features.samples["generator"].isin(chosen)
    rows = np.flatnonzero(fakes | (features.samples["label"] == 0))
    samples = features.samples.iloc[rows].reset_index(drop=True)
    return replace(features, samples=samples, blocks=tuple(block[rows] for block in features.blocks))


def rows_of(samples: pd.DataFrame, name: str) -> Mask:
    """The samples of a generator, or the real ones."""
    real = samples["label"] == 0
    found: Mask = (real if name == REAL else ~real & (samples["generator"] == name)).to_numpy()
    return found


def pairs_of(samples: pd.DataFrame) -> list[Pair]:
    """Every two of `classes_of`; real images stand beside fakes of their own domains alone.

    Raises:
        UsageError: there is one class only.
    """
    names = classes_of(samples)
    if len(names) < 2:
        raise UsageError(f"generators are compared with each other: there is {names[0] if names else 'none'} alone.")
    found = []
    for a, b in combinations(names, 2):
        of_a, of_b = rows_of(samples, a), rows_of(samples, b)
        together = matched(samples, of_a | of_b)
        found.append(Pair(a, b, of_a & together, of_b & together))
    return found


def remarks_on_domains(samples: pd.DataFrame, pairs: Sequence[Pair]) -> list[str]:
    """One line for generators that share no domain: what tells them apart may be the domain."""
    apart = []
    for pair in pairs:
        domains = [set(samples.loc[rows, "domain"]) for rows in (pair.of_a, pair.of_b)]
        if all(domains) and domains[0].isdisjoint(domains[1]):
            apart.append(f"{pair.a} and {pair.b}")
    if not apart:
        return []
    first = "; ".join(apart[:3]) + (f"; and {len(apart) - 3} more pairs" if len(apart) > 3 else "")
    return [f"of different domains, which may be all that tells them apart: {first}."]


def identities(samples: pd.DataFrame) -> pd.MultiIndex:
    """What tells samples apart, whatever their order."""
    columns = [name for name in IDENTITY if name in samples]
    return pd.MultiIndex.from_frame(samples[columns].astype(str))


def common_rows(every: Sequence[pd.DataFrame]) -> list[Int[np.ndarray, " n"]]:
    """For each table of samples the places of those that all have, in the order of the first.

    Raises:
        UsageError: there is none.
    """
    keys = [identities(samples) for samples in every]
    shared = keys[0]
    for other in keys[1:]:
        shared = shared[other.get_indexer(shared) >= 0]
    if not len(shared):
        raise UsageError("the features have no sample in common: extract them of the same images.")
    return [other.get_indexer(shared).astype(np.int64) for other in keys]
