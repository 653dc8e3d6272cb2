"""What is searched for what."""

from dataclasses import dataclass
from typing import Literal

from probekit.errors import UsageError
from probekit.metrics import ranking
from probekit.neighbours import ENGINES, choose_engine
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
    """`flat` compares every query with every row; `ivf`, `hnsw` and `ivfpq` with some, and so may miss the nearest.
    `auto` is `flat` while that is quick, as `probekit.neighbours.choose_engine` says."""
    bootstrap: int = 1000
    """Resamples of groups for 95 % intervals; 0 for none."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k is {self.k}: ask for at least 1 neighbour.")
        if self.vote not in VOTES:
            raise unknown_name("vote", self.vote, VOTES)
        if self.index not in INDEXES:
            raise unknown_name("index", self.index, INDEXES)
        if self.index not in ("auto", FLAT) and (self.vote == "prototype" or self.class_rank != "max"):
            raise UsageError(f"--index {self.index} finds near rows only: centroids and topM need --index flat.")
        _ = self.top

    def engine(self, n: int, d: int) -> str:
        """What searches n gallery rows of d features."""
        if self.index != "auto":
            return self.index
        everything = self.vote == "prototype" or self.class_rank != "max"
        return FLAT if everything else choose_engine(n, d)

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
