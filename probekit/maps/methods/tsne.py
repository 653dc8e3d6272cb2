"""t-SNE (van der Maaten and Hinton 2008) by openTSNE (Poličar et al. 2024, Journal of Statistical Software 109)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from probekit.arrays import Features
from probekit.errors import UsageError
from probekit.maps import methods
from probekit.maps.methods import Layout, Plane, Progress
from probekit.maps.settings import MULTISCALE, Perplexity

if TYPE_CHECKING:
    from openTSNE.affinity import Affinities

EARLY, LATE = 250, 500  # iterations with and without early exaggeration
PLACING = 250  # iterations for new samples
REPORT_EVERY = 25  # iterations
BARNES_HUT = 3000  # samples from which on interpolation by FFT is the quicker gradient
USUAL, NEW = 30.0, 5.0  # perplexity of a map, and of a new sample among those of the map
LARGE = 100_000  # samples
MOST_NEIGHBOURS = 1500  # of each sample, under `multiscale`: more do not fit into memory


@methods.add("tsne")
@dataclass(frozen=True)
class TSNE(methods.Method):
    """Minimises KL(P‖Q): P from Gaussians in the features, Q from a Student t with one degree of freedom on the plane.

    Perplexity by size, after Kobak and Berens 2019 (Nature Communications 10, 5416): 30, for fewer than 91 samples the
    (n − 1) / 3 that openTSNE can take; `multiscale` averages the neighbourhoods of perplexities 30 and n / 100, which
    keeps more of how clusters lie to each other. From 100,000 samples on they advise an exaggeration of 4 to the end,
    and so it is here. The learning rate is n over the exaggeration, at least 200 (Belkina et al. 2019, Nature
    Communications 10, 5415).
    """

    title: ClassVar[str] = "t-SNE"

    perplexity: Perplexity | None = None

    def fit(self, x: Features, seed: int, progress: Progress | None = None) -> Layout:
        """As `Method.fit`; the KL divergence is that of the last iteration."""
        import openTSNE

        found = self.perplexities(len(x))
        exaggeration = 4.0 if len(x) >= LARGE else 1.0
        model = openTSNE.TSNE(
            early_exaggeration_iter=EARLY,
            n_iter=LATE,
            exaggeration=None if exaggeration == 1 else exaggeration,
            negative_gradient_method=_gradient(len(x)),
            n_jobs=1,  # sums over threads come in any order: one thread is what makes the map reproducible
            random_state=seed,
            callbacks=_reporter(progress, EARLY + LATE),
            callbacks_every_iters=REPORT_EVERY,
        )
        embedding = model.fit(affinities=_affinities(x, found, seed), initialization=methods.principal_axes(x, seed))
        if progress is not None:
            progress(EARLY + LATE, EARLY + LATE)
        several = len(found) > 1
        return Layout(
            coordinates=np.array(embedding, dtype=np.float64),
            words=f"perplexit{'ies' if several else 'y'} {' and '.join(f'{value:.3g}' for value in found)}",
            perplexity=found if several else found[0],
            kl_divergence=float(embedding.kl_divergence),
            parameters={"exaggeration": exaggeration},
        )

    def place(self, x: Features, coordinates: Plane, new: Features, seed: int, progress: Progress | None) -> Plane:
        """At the median of its nearest samples' places, then optimised against them alone.

        openTSNE's `transform` (Poličar et al. 2023, Machine Learning 112) with its own settings: perplexity 5,
        exaggeration 1.5, 250 steps at a rate of 0.1; it centres the map first, which is undone at the end.
        """
        import openTSNE

        middle = (coordinates.max(axis=0) + coordinates.min(axis=0)) / 2
        perplexity = min(NEW, (len(x) - 1) / 3)
        old = openTSNE.TSNEEmbedding(
            coordinates - middle,
            _affinities(x, (perplexity,), seed),
            negative_gradient_method=_gradient(len(x)),
            n_jobs=1,
            random_state=seed,
            callbacks=_reporter(progress, PLACING),
            callbacks_every_iters=REPORT_EVERY,
        )
        placed = old.transform(new, perplexity=perplexity, k=min(25, int(3 * perplexity)), n_iter=PLACING)
        if progress is not None:
            progress(PLACING, PLACING)
        places: Plane = np.array(placed, dtype=np.float64) + middle
        return places

    def perplexities(self, n: int) -> tuple[float, ...]:
        """The perplexities for so many samples, ascending.

        Raises:
            UsageError: one that does not fit them.
        """
        most = (n - 1) / 3
        if self.perplexity is None:
            return (min(USUAL, most),)
        if self.perplexity == MULTISCALE:
            return USUAL, self._global(n)
        given = self.perplexity if isinstance(self.perplexity, tuple) else (self.perplexity,)
        wanted = tuple(sorted({float(value) for value in given}))
        for value in wanted:
            if not 1 < value <= most:
                raise UsageError(
                    f"--perplexity {value:g} does not fit {n} samples: choose one above 1 and up to {most:.1f}."
                )
        return wanted

    def _global(self, n: int) -> float:
        large = n / 100
        if large <= USUAL:
            raise UsageError(
                f"--perplexity {MULTISCALE} is 30 and n / 100, which is no more than 30 for {n} samples: name two, "
                "such as 10,50, or leave it out."
            )
        if 3 * large > MOST_NEIGHBOURS:
            raise UsageError(
                f"--perplexity {MULTISCALE} needs {3 * large:,.0f} neighbours of each of {n:,} samples, too many to "
                f"hold: map {MOST_NEIGHBOURS * 100 // 3:,} of them with --size, or leave it out."
            )
        return large


def _affinities(x: Features, perplexities: tuple[float, ...], seed: int) -> "Affinities":
    """Neighbourhoods in the features: exact for fewer than 1000 samples, else by Annoy."""
    from openTSNE import affinity

    if len(perplexities) > 1:
        return affinity.Multiscale(x, perplexities=list(perplexities), n_jobs=1, random_state=seed)
    return affinity.PerplexityBasedNN(x, perplexity=perplexities[0], n_jobs=1, random_state=seed)


def _gradient(n: int) -> str:
    return "bh" if n < BARNES_HUT else "fft"


def _reporter(progress: Progress | None, total: int) -> Callable[[int, float, object], None]:
    """What openTSNE calls now and then; its own count begins anew after the early exaggeration."""
    done = 0

    def report(_iteration: int, _error: float, _embedding: object) -> None:
        nonlocal done
        done += REPORT_EVERY
        if progress is not None:
            progress(min(done, total), total)

    return report
