"""What is searched for what."""

from dataclasses import dataclass
from typing import Literal

Rows = Literal["train", "val", "test", "all"]


@dataclass(frozen=True)
class RetrievalSettings:
    """What is searched for what."""

    gallery: Rows = "train"
    """Split whose rows are registered; `all` takes every row."""
    query: Rows = "test"
    """Split whose rows are searched."""
    folds: int = 0
    """Not 0: every sample is a query against all rows of other groups, whatever `gallery` and `query` say.
    One group at a time is left out, so the number itself changes nothing."""
    unknown: tuple[str, ...] = ()
    """Generators that are queries only: never registered."""
    k: int = 10
    """Neighbours that vote; fixed in advance, not chosen on data."""
    T: float = 0.07
    """Temperature of the vote."""
    condition: str = "l2"
    """As for probes, fitted to the gallery's rows; each part of the reference is then scaled to length 1."""
    bootstrap: int = 1000
    """Resamples of groups for 95 % intervals; 0 for none."""
    seed: int = 0
