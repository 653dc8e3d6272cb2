"""Linear CKA between every two kinds of features, such as models and taps, over the same samples.

Kornblith et al. 2019, "Similarity of Neural Network Representations Revisited", eq. 5, with HSIC without its bias
(Song et al. 2012; Nguyen et al. 2021, eq. 3). The biased form, which most papers print, grows towards 1 as columns
outnumber samples, whatever the features: it stands beside the other, never in its place.

The debiased form leaves out pairs of a sample with itself, and takes all others for independent. Frames of one video,
or a photograph and its edits, are not: all features find them alike, so that even independent features would seem
to agree. One image of each group is therefore compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Float
from probekit.comparison.gram import gram_sums
from probekit.comparison.intervals import PARTS, deal_parts, jackknife, require_parts
from probekit.comparison.representations import Load, Representations
from probekit.comparison.verdicts import ends, models_of
from probekit.errors import UsageError
from probekit.fingerprint import JSONValue, plain
from probekit.metrics import json_row

ONE = 1 - 1e-12  # the largest value whose arctanh says more than rounding


@dataclass(frozen=True)
class CkaSettings:
    """What decides the numbers."""

    condition: str = "raw"
    """As for probes, fitted to all samples. CKA centres columns by itself, and no rotation or scale changes it."""
    generators: tuple[str, ...] | None = None
    """Compare on samples of these, and on real images; None takes all."""
    per_group: int = 1
    """Take so many images of each group, drawn by their names; 0 takes all. More than 1 make CKA too large, and its
    interval too narrow, where groups have several images."""
    sample: int | None = None
    """Take at most so many of these samples, those of a group together, but of one group at least; None takes all."""
    parts: int = PARTS
    """Parts of the groups that are left out in turn for intervals; 0 gives none."""
    seed: int = 0

    def __post_init__(self) -> None:
        require_parts(self.parts)
        if self.per_group < 0:
            raise UsageError(f"{self.per_group} images of each group for CKA: take 1 or more, or 0 for all.")
        if self.sample is not None and self.sample < 4:
            raise UsageError(f"--sample {self.sample}: CKA needs at least 4 samples.")


@dataclass(frozen=True, eq=False)
class CkaResult:
    """How alike the kinds of features are."""

    settings: CkaSettings
    names: tuple[str, ...]
    pairs: pd.DataFrame
    """Rows a, b (each pair once): cka (debiased), cka_lo, cka_hi, cka_biased, n."""
    n: int
    """Samples that were compared."""
    n_groups: int
    notes: tuple[str, ...]

    def matrix(self, value: str = "cka") -> pd.DataFrame:
        """A column of `pairs` as a symmetric matrix; its diagonal is 1."""
        found = pd.DataFrame(np.eye(len(self.names)), self.names, self.names)
        for a, b, number in self.pairs[["a", "b", value]].itertuples(index=False):
            found.loc[a, b] = found.loc[b, a] = number
        return found

    @property
    def verdicts(self) -> list[str]:
        """The most and the least alike, of two models where there are several."""
        model = models_of(self.names)
        across = self.pairs[self.pairs["a"].map(model) != self.pairs["b"].map(model)]
        within = self.pairs.drop(across.index)
        said = [
            (f"{where}{ends(rows, 'cka', ('least alike', 'most alike'), 'CKA')}", rows)
            for where, rows in (("between models: " if len(within) else "", across), ("within a model: ", within))
        ]
        return [f"{sentence} (n {self.n:,})." for sentence, rows in said if rows["cka"].notna().any()]

    def to_json(self) -> dict[str, JSONValue]:
        """Everything."""
        return {
            "names": list(self.names),
            "n": self.n,
            "n_groups": self.n_groups,
            "settings": plain(self.settings),
            "verdicts": self.verdicts,
            "pairs": [json_row(row) for row in self.pairs.to_dict("records")],
            "notes": list(self.notes),
        }


def compare_features(
    loads: Sequence[Load], settings: CkaSettings, *, on_progress: Callable[[int, int], None] | None = None
) -> CkaResult:
    """The CKA of every two kinds of features, on the samples that all have.

    Args:
        loads: give the features of each kind, again whenever they are asked: not all are held at once.
        settings: what decides the numbers.
        on_progress: is told how much of the work is done, and all of it.

    Raises:
        ModelError: a feature is not finite.
        UsageError: fewer than two kinds, or no sample that all have.
    """
    if len(loads) < 2:
        raise UsageError("CKA compares features with each other: name two models or taps at least.")
    features = Representations(
        loads,
        condition=settings.condition,
        generators=settings.generators,
        per_group=settings.per_group,
        most=settings.sample,
        seed=settings.seed,
    )
    groups = features.samples["group"].to_numpy()
    parts = deal_parts(groups, settings.parts, settings.seed)
    sums = gram_sums(features, parts, on_progress)
    debiased, biased = sums.cka()
    m = int(parts.max()) + 1
    left_out = np.stack([sums.cka(part)[0] for part in range(m)]) if m > 1 else np.empty((0, *debiased.shape))
    sizes = np.bincount(parts, minlength=m)
    rows = []
    for i in range(len(features)):
        for j in range(i + 1, len(features)):
            lo, hi = _interval(debiased[i, j], left_out[:, i, j], sizes[: len(left_out)])
            rows.append((features.names[i], features.names[j], debiased[i, j], lo, hi, biased[i, j], len(groups)))
    table = pd.DataFrame(rows, columns=["a", "b", "cka", "cka_lo", "cka_hi", "cka_biased", "n"])
    notes = _notes(features, debiased, settings.per_group)
    return CkaResult(settings, tuple(features.names), table, len(groups), len(np.unique(groups)), notes)


def _interval(value: float, left_out: Float[np.ndarray, " m"], sizes: Float[np.ndarray, " m"]) -> tuple[float, float]:
    """About arctanh(CKA), which has no ends, and back."""
    _, _, (low, high) = jackknife(
        float(np.arctanh(np.clip(value, -ONE, ONE))), np.arctanh(np.clip(left_out, -ONE, ONE)), sizes
    )
    return float(np.tanh(low)), float(np.tanh(high))


def _notes(features: Representations, debiased: Float[np.ndarray, "f f"], per_group: int) -> tuple[str, ...]:
    notes = []
    if features.grouped and per_group == 1:
        n = len(features.samples)
        notes.append(f"CKA is of one image of each group, {n:,} of {features.all:,}: others would be alike anyway.")
    elif features.grouped:
        notes.append("CKA takes several images of a group for independent ones: it is too large.")
    if features.lacking:
        notes.append(f"{features.lacking} samples that some features lack are left out of CKA.")
    still = [name for name, own in zip(features.names, np.diag(debiased), strict=True) if np.isnan(own)]
    if still:
        notes.append(
            f"CKA is undefined beside features that do not vary, or with fewer than 4 samples: {', '.join(still)}."
        )
    return tuple(notes)
