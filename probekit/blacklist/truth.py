"""How right the answers were, where a manifest knows what made the images.

Rates are those of ISO/IEC 19795-1, at the threshold that gave the answers: FPIR, the share of images of nobody
registered that are named all the same, for both pools apart; and DIR, the share of a registered generator's images that
get its name. Nothing is chosen on these images.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Groups, Mask
from probekit.blacklist.changes import UNKNOWN
from probekit.blacklist.record import Record
from probekit.fingerprint import JSONValue, plain
from probekit.manifest import REAL
from probekit.metrics.open_set import exceeds

RIGHT, OTHER = "its own name", "another name"
ANSWERS = (RIGHT, OTHER, UNKNOWN)


@dataclass(frozen=True)
class Accepted:
    """Images of nobody registered that were named all the same."""

    pool: str
    """`real`, or `unregistered`: generators that are not registered."""
    n: int
    named: int
    expected_fpir: float | None
    """What the threshold was set for; None where that is not known."""

    @property
    def fpir(self) -> float:
        """Measured on these images."""
        return self.named / self.n

    @property
    def exceeded(self) -> bool:
        """Whether more are named than the expected FPIR and chance explain."""
        return self.expected_fpir is not None and exceeds(self.named, self.n, self.expected_fpir)


@dataclass(frozen=True)
class Identified:
    """Images of a registered generator that got its name."""

    generator: str
    n: int
    dir: float


@dataclass(frozen=True, eq=False)
class Truth:
    """The answers beside what made the images."""

    answers: pd.DataFrame
    """Counts: a row a truth (`real` first), a column each for its own name, another name and `unknown`."""
    pools: tuple[Accepted, ...]
    """`real` and `unregistered`, those of which there are images."""
    generators: tuple[Identified, ...]
    """Registered ones of which there are images."""

    @property
    def notes(self) -> list[str]:
        """A line for each pool whose FPIR is significantly above what the threshold was set for."""
        return [
            f"pool {pool.pool}: the threshold was set for FPIR {pool.expected_fpir:g} and names {pool.named} of these "
            f"{pool.n} images, {pool.fpir:.3f}, more than chance explains: it does not carry over to them."
            for pool in self.pools
            if pool.exceeded
        ]

    def to_json(self) -> dict[str, JSONValue]:
        """Plain values for `--json` and `run.json`."""
        keys = {RIGHT: "right", OTHER: "other", UNKNOWN: "unknown"}
        rows = self.answers.rename(columns=keys).rename_axis("truth").reset_index().to_dict("records")
        return {
            "answers": [{str(name): plain(value) for name, value in row.items()} for row in rows],
            "pools": [{**asdict(pool), "fpir": pool.fpir, "exceeded": pool.exceeded} for pool in self.pools],
            "generators": [asdict(each) for each in self.generators],
        }


def compare_with_truth(table: pd.DataFrame, record: Record, expected_fpir: float | None) -> Truth | None:
    """The answers beside the truth; None where no image has one, or nothing was answered for want of a threshold.

    Args:
        table: of `Matches`: generator (the answer) and truth, empty where nobody says.
        record: what is registered; a truth is registered if a generator of that name is.
        expected_fpir: of the threshold, None where it is not known.
    """
    if "truth" not in table:
        return None
    known = table[(table["truth"] != "") & (table["generator"] != "")]
    if known.empty:
        return None
    truth, answer = (known[name].to_numpy(dtype=object) for name in ("truth", "generator"))
    registered: Mask = np.isin(truth.astype(str), list(record.generators))
    pools = [
        Accepted(name, int(own.sum()), int((answer[own] != UNKNOWN).sum()), expected_fpir)
        for name, own in (("real", truth == REAL), ("unregistered", ~registered & (truth != REAL)))
        if own.any()
    ]
    generators = [
        Identified(name, int(own.sum()), float(np.mean(answer[own] == name)))
        for name in record.generators
        if (own := truth == name).any()
    ]
    return Truth(_counted(truth, answer), tuple(pools), tuple(generators))


def _counted(truth: Groups, answer: Groups) -> pd.DataFrame:
    said = np.where(answer == UNKNOWN, UNKNOWN, np.where(answer == truth, RIGHT, OTHER))
    names = sorted(set(truth), key=lambda name: (name != REAL, name))
    counts = {each: [int(((truth == name) & (said == each)).sum()) for name in names] for each in ANSWERS}
    return pd.DataFrame(counts, index=pd.Index(names))
