"""The map of a set of features."""

from dataclasses import asdict, replace

import numpy as np

from probekit.arrays import Int
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.maps import methods
from probekit.maps.methods import FEWEST, Progress
from probekit.maps.preparing import prepare
from probekit.maps.quality import measure
from probekit.maps.result import MapResult, points_of
from probekit.maps.sampling import stratified
from probekit.maps.settings import MapSettings


def embed_map(features: FeatureSet, settings: MapSettings, progress: Progress | None = None) -> MapResult:
    """The map of all samples, or of a seeded part of them; the same seed gives the same numbers.

    Raises:
        UsageError: fewer than 5 samples, an unfit perplexity, features that are all equal, or an extra that is not
            installed.
        ModelError: a feature is not finite.
        UnknownNameError: there is no such condition or method.
    """
    from threadpoolctl import threadpool_limits

    method = methods.create(settings)
    of = len(features.samples)
    if settings.size is not None and settings.size < of:
        generators = features.samples["generator"].to_numpy(dtype=object)
        features = rows_of(features, stratified(generators, settings.size, settings.seed))
    n = len(features.samples)
    if n < FEWEST:
        raise UsageError(f"a map needs at least {FEWEST} samples with features, and there are {n}: extract more.")
    with threadpool_limits(limits=1):  # sums over threads come in any order
        prepared = prepare(features, settings)
        layout = method.fit(prepared.components, settings.seed, progress)
        quality = measure(prepared.conditioned, layout.coordinates, features.samples, settings)
    return MapResult(
        reference=features.reference,
        settings=settings,
        points=points_of(layout.coordinates, features.samples),
        perplexity=layout.perplexity,
        explained=prepared.explained,
        kl_divergence=layout.kl_divergence,
        method=method.title,
        parameters=layout.parameters,
        words=layout.words,
        of=of,
        components=prepared.components,
        **asdict(quality),
    )


def rows_of(features: FeatureSet, rows: Int[np.ndarray, " m"]) -> FeatureSet:
    """The same features of these samples alone."""
    samples = features.samples.iloc[rows].reset_index(drop=True)
    return replace(features, samples=samples, blocks=tuple(block[rows] for block in features.blocks))
