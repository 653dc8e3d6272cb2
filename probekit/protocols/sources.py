"""What the samples of a question are worth and where their features came from."""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from probekit.arrays import Float
from probekit.errors import ModelError


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


def describe(sources: Sequence[Described]) -> dict[str, str]:
    """Model, tap, view and precision; several parts joined by `+`, equal views and precisions named once."""
    return {
        "model": "+".join(source.model for source in sources),
        "tap": "+".join(source.tap for source in sources),
        "view": "+".join(dict.fromkeys(source.view for source in sources)),
        "precision": "+".join(dict.fromkeys(source.precision for source in sources)),
    }
