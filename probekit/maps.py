"""Maps: features laid out on a plane by t-SNE, with figures that say how far to believe the picture.

    raw features → condition (each part on its own) → PCA to 50 dimensions → t-SNE, initialised by PCA

Distances are Euclidean; under the condition `l2` their order is that of cosine similarity. Labels take no
part in the layout. Trustworthiness and purity compare the plane with the conditioned features before PCA.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Features, Float, Groups, Int
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue, plain
from probekit.manifest.columns import IDENTITY
from probekit.probes.conditions import fit_condition
from probekit.protocols import require_finite

FEWEST = 5  # samples; t-SNE needs a perplexity above 1, and a perplexity of p needs 3p neighbours
EARLY, LATE = 250, 500  # iterations with and without exaggeration
REPORT_EVERY = 25  # iterations

Progress = Callable[[int, int], None]
"""Called with iterations done and in all."""


@dataclass(frozen=True)
class MapSettings:
    """What decides where a sample lies."""

    condition: str = "zscore"
    """As for probes, fitted to all samples: a map is a description, nothing is tested on it."""
    pca: int = 50
    """Dimensions kept before t-SNE."""
    perplexity: float | None = None
    """None: 30, or (n - 1) / 3 for fewer than 91 samples."""
    neighbours: int = 10
    """Nearest neighbours whose generators make the purity."""
    quality_sample: int = 3000
    """Beyond this many samples, trustworthiness and purity are measured on a seeded random subset."""
    seed: int = 0


@dataclass(frozen=True)
class MapResult:
    """A map and what it is worth."""

    reference: str
    settings: MapSettings
    points: pd.DataFrame
    """x, y, path, label, generator, domain, split, group; one row a sample, in manifest order."""
    perplexity: float
    explained: float
    """Share of the variance that PCA kept."""
    kl_divergence: float
    trustworthiness: float
    """1: no sample has a false neighbour on the plane (Venna and Kaski 2001, as in scikit-learn)."""
    trustworthiness_neighbours: int
    purity_features: float
    """Mean share of a sample's nearest neighbours of its own generator, among the conditioned features."""
    purity_map: float
    """The same on the plane."""
    purity_chance: float
    """The same were the generators shuffled."""
    purity_neighbours: int
    n_quality: int
    """Samples on which trustworthiness and purity were measured."""

    @property
    def coordinates(self) -> Float[np.ndarray, "n 2"]:
        """Where each sample lies, float64."""
        return self.points[["x", "y"]].to_numpy()

    @property
    def caption(self) -> str:
        """The quality figures in one line, to stand on the picture."""
        n = len(self.points)
        measured = "" if self.n_quality == n else f" (on {self.n_quality} of {n})"
        return (
            f"trustworthiness {self.trustworthiness:.2f} · "
            f"{self.purity_neighbours}-NN purity {self.purity_map:.2f}, "
            f"features {self.purity_features:.2f}, chance {self.purity_chance:.2f}{measured} · "
            f"perplexity {self.perplexity:.3g}"
        )

    def to_json(self) -> dict[str, JSONValue]:
        """Everything but the points."""
        names = [name for name in self.__dataclass_fields__ if name != "points"]
        return {"n": len(self.points), **{name: plain(getattr(self, name)) for name in names}}


def embed_map(features: FeatureSet, settings: MapSettings, progress: Progress | None = None) -> MapResult:
    """The t-SNE map of all samples; the same seed gives the same numbers.

    Raises:
        UsageError: fewer than 5 samples, an unfit perplexity, or features that are all equal.
        ModelError: a feature is not finite.
        UnknownNameError: there is no such condition.
    """
    perplexity = _perplexity(len(features.samples), settings)
    conditioned = _conditioned(features, settings.condition)
    reduced, explained = _principal_components(conditioned, settings.pca, settings.seed)
    coordinates, kl_divergence = _tsne(reduced, perplexity, settings.seed, progress)

    sample = _quality_sample(len(coordinates), settings)
    generator = features.samples["generator"].to_numpy(dtype=object)[sample]
    near = min(settings.neighbours, len(sample) - 1)
    trusted = min(5, (len(sample) - 1) // 2)
    where = [column for column in IDENTITY if column in features.samples]
    columns = [*where, "label", "generator", "domain", "split", "group"]
    return MapResult(
        reference=features.reference,
        settings=settings,
        points=pd.DataFrame({"x": coordinates[:, 0], "y": coordinates[:, 1]}).join(features.samples[columns]),
        perplexity=perplexity,
        explained=explained,
        kl_divergence=kl_divergence,
        trustworthiness=_trustworthiness(conditioned[sample], coordinates[sample], trusted),
        trustworthiness_neighbours=trusted,
        purity_features=_purity(conditioned[sample], generator, near),
        purity_map=_purity(coordinates[sample], generator, near),
        purity_chance=_chance(generator),
        purity_neighbours=near,
        n_quality=len(sample),
    )


def _perplexity(n: int, settings: MapSettings) -> float:
    if n < FEWEST:
        raise UsageError(f"a map needs at least {FEWEST} samples with features, and there are {n}: extract more.")
    most = (n - 1) / 3
    if settings.perplexity is None:
        return min(30.0, most)
    if not 1 < settings.perplexity <= most:
        raise UsageError(
            f"--perplexity {settings.perplexity:g} does not fit {n} samples: choose one above 1 and up to {most:.1f}."
        )
    return settings.perplexity


def _conditioned(features: FeatureSet, condition: str) -> Features:
    require_finite(features.samples, features.blocks)
    matrix = features.matrix
    conditioned = fit_condition(condition, matrix, features.widths).apply(matrix)
    if np.ptp(conditioned, axis=0).max(initial=0.0) == 0:
        raise UsageError(
            f"all {len(matrix)} samples have the same features under the condition {condition}: "
            "there is nothing to map."
        )
    return conditioned


def _principal_components(x: Features, most: int, seed: int) -> tuple[Features, float]:
    """Coordinates along the axes of largest variance, at most this many, and the share of it they keep."""
    from sklearn.decomposition import PCA

    pca = PCA(min(most, *x.shape), svd_solver="auto", random_state=seed)
    reduced = pca.fit_transform(x)
    return reduced, float(pca.explained_variance_ratio_.sum())


def _tsne(
    x: Features, perplexity: float, seed: int, progress: Progress | None
) -> tuple[Float[np.ndarray, "n 2"], float]:
    import openTSNE

    total = EARLY + LATE
    done = 0

    def report(_iteration: int, _error: float, _embedding: object) -> None:
        nonlocal done
        done += REPORT_EVERY
        if progress is not None:
            progress(min(done, total), total)

    model = openTSNE.TSNE(
        perplexity=perplexity,
        initialization=_initial(x, seed),
        early_exaggeration_iter=EARLY,
        n_iter=LATE,
        negative_gradient_method="bh" if len(x) < 3000 else "fft",
        n_jobs=1,  # sums over threads come in any order: one thread is what makes the map reproducible
        random_state=seed,
        callbacks=report,
        callbacks_every_iters=REPORT_EVERY,
    )
    embedding = model.fit(x)
    if progress is not None:
        progress(total, total)
    return np.array(embedding, dtype=np.float64), float(embedding.kl_divergence)


def _initial(x: Features, seed: int) -> Float[np.ndarray, "n 2"]:
    """The first two principal axes at a spread of 1e-4, equal samples set apart by a hundredth of that."""
    axes = np.zeros((len(x), 2))
    axes[:, : x.shape[1]] = x[:, :2] / x[:, 0].std() * 1e-4
    return axes + np.random.default_rng(seed).normal(scale=1e-6, size=axes.shape)


def _quality_sample(n: int, settings: MapSettings) -> Int[np.ndarray, " m"]:
    """All samples in order, or a seeded subset of them in order."""
    if n <= settings.quality_sample:
        return np.arange(n)
    return np.sort(np.random.default_rng(settings.seed).choice(n, settings.quality_sample, replace=False))


def _trustworthiness(x: Features, coordinates: Float[np.ndarray, "n 2"], k: int) -> float:
    from sklearn.manifold import trustworthiness

    return float(trustworthiness(x, coordinates, n_neighbors=k))


def _purity(x: Features, generator: Groups, k: int) -> float:
    """Mean share of the k nearest other samples that are of the sample's own generator."""
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(return_distance=False)
    return float(np.mean(generator[nearest] == generator[:, None]))


def _chance(generator: Groups) -> float:
    """Expected purity under shuffled generators: Σ nᶜ (nᶜ - 1) / (n (n - 1))."""
    n, counts = len(generator), np.unique(generator.astype(str), return_counts=True)[1]
    return float(np.sum(counts * (counts - 1)) / (n * (n - 1)))
