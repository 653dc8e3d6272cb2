"""What the samples of a question are worth and where their features came from."""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from probekit.arrays import Float
from probekit.errors import ModelError
from probekit.models import tuned


def require_finite(samples: pd.DataFrame, blocks: Iterable[Float[np.ndarray, "n _"]]) -> None:
    """Nothing, when every feature is a number.

    Raises:
        ModelError: a feature is NaN or infinite; the message names the first image.
    """
    bad = np.zeros(len(samples), dtype=bool)
    for block in blocks:
        bad |= ~np.isfinite(block).all(axis=1)
    if bad.any():
        path = samples["path"].iloc[int(np.argmax(bad))]
        raise ModelError(
            f"{path}: its features are not finite ({bad.sum()} such samples): extract again or remove them."
        )


@runtime_checkable
class Described(Protocol):
    """Where a block of features came from."""

    @property
    def model(self) -> str:
        """Name of the model."""
        ...

    @property
    def tap(self) -> str:
        """Where the features left it."""
        ...

    @property
    def view(self) -> str:
        """How pixels reached it."""
        ...

    @property
    def precision(self) -> str:
        """Of the computation."""
        ...


def remarks_on_sources(model: str, folds: int) -> list[str]:
    """What a reader must know of the features of trained networks, where samples that these saw are scored.

    Args:
        model: as `describe` has it.
        folds: 0 for the split.
    """
    if tuned.FAMILY not in model or not folds:
        return []
    return [
        f"{model}: a network that learned from the train split, whose samples are scored here, too: probes are judged "
        "out of fold: --folds 0 scores the test split alone."
    ]


def describe(sources: Sequence[Described]) -> dict[str, str]:
    """Model, tap, view and precision; several parts joined by `+`, equal views and precisions named once."""
    return {
        "model": "+".join(source.model for source in sources),
        "tap": "+".join(source.tap for source in sources),
        "view": "+".join(dict.fromkeys(source.view for source in sources)),
        "precision": "+".join(dict.fromkeys(source.precision for source in sources)),
    }
