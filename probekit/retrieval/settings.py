"""What is searched for what."""

import math
import sys
from dataclasses import dataclass
from typing import Literal

from probekit.errors import UsageError
from probekit.metrics import ranking
from probekit.neighbours import ENGINES, choose_engine
from probekit.probes.conditions import LEARNED
from probekit.registry import unknown_name

Rows = Literal["train", "val", "test", "all"]
Vote = Literal["soft", "sum", "majority", "prototype"]

VOTES: dict[Vote, str] = {
    "soft": "the k nearest rows, each weighted exp(similarity / T)",
    "sum": "the k nearest rows, each weighted by its similarity",
    "majority": "the k nearest rows, one vote each",
    "prototype": "the nearest centroid of a class",
}
CENTROID = "centroid"
FLAT = "flat"
INDEXES = ("auto", *ENGINES)


@dataclass(frozen=True)
class RetrievalSettings:
    """What is searched for what."""

    gallery: Rows = "train"
    """Split whose rows are registered; `all` takes every row."""
    query: Rows = "test"
    """Split whose rows are searched."""
    gallery_generators: str = ""
    """Pools as `probekit.protocols` reads them (`lama,ldm@celeba`): only their fakes are registered, and the real
    images of those fakes' domains; empty: of all."""
    query_generators: str = ""
    """The same for what is searched."""
    gallery_domains: tuple[str, ...] = ()
    """Only rows of these domains are registered; empty: of all."""
    query_domains: tuple[str, ...] = ()
    """The same for what is searched."""
    folds: int = 0
    """Not 0: every sample is a query against all rows of other groups, whatever `gallery` and `query` say.
    One group at a time is left out, so the number itself changes nothing; with a projection, which learns from what
    is registered, so many folds of groups are searched one after another, each in the others."""
    unknown: tuple[str, ...] = ()
    """Generators that are queries only: never registered."""
    k: int = 10
    """Neighbours that vote; fixed in advance, not chosen on data."""
    T: float = 0.07
    """Temperature of the soft vote."""
    vote: Vote = "soft"
    """Who votes in the k-NN attribution: a name in `VOTES`."""
    class_rank: str = "max"
    """How classes are ranked: by their nearest row (`max`), the mean of their m nearest (`top5`) or their
    `centroid`."""
    condition: str = "l2"
    """As for probes, fitted to the gallery's rows; each part of the reference is then scaled to length 1."""
    index: str = "auto"
    """What ranks the closed set: `flat` compares every query with every row; `ivf`, `hnsw` and `ivfpq` with some, and
    may miss the nearest. `auto` is `flat` for up to 350,000 rows of 768 features, then `ivf`."""
    bootstrap: int = 1000
    """Resamples of groups for 95 % intervals; 0 for none."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k is {self.k}: ask for at least 1 neighbour.")
        if not self.T > 0 or math.isinf(self.T):
            raise UsageError(f"T is {self.T}: a temperature is a number above 0.")
        if self.folds < 0 or self.folds == 1 or self.bootstrap < 0:
            raise UsageError(f"folds {self.folds}, bootstrap {self.bootstrap}: 0 for none; folds are at least 2.")
        if self.vote not in VOTES:
            raise unknown_name("vote", self.vote, VOTES)
        if self.index not in INDEXES:
            raise unknown_name("index", self.index, INDEXES)
        if self.index not in ("auto", FLAT) and (self.vote == "prototype" or self.class_rank != "max"):
            raise UsageError(f"--index {self.index} finds near rows only: centroids and topM need --index flat.")
        _ = self.top

    @property
    def fitted(self) -> bool:
        """Whether the condition takes statistics from gallery rows, as a projection does."""
        return self.condition in LEARNED

    def engine(self, n: int, d: int) -> str:
        """What searches n gallery rows of d features."""
        if self.index != "auto":
            return self.index
        if self.vote == "prototype" or self.class_rank != "max":
            return FLAT
        return choose_engine(n, d, memory=sys.maxsize)  # no number may depend on how much memory is free

    @property
    def top(self) -> int | None:
        """How many of a class's nearest rows rank it; None for its centroid.

        Raises:
            UsageError: `class_rank` is none of `max`, `topM` and `centroid`.
        """
        if self.class_rank == CENTROID:
            return None
        number = self.class_rank.removeprefix("top")
        if self.class_rank == "max":
            return 1
        if number == self.class_rank or not number.isdecimal() or int(number) < 1:
            raise UsageError(f"class rank {self.class_rank!r}: write max, centroid, or topM such as top5.")
        return int(number)

    @property
    def neighbours_vote(self) -> ranking.Vote | None:
        """How the k nearest rows vote; None where prototypes do."""
        return None if self.vote == "prototype" else self.vote
