"""How much memory features may take: `--memory 8GiB`, else half of what the machine, or the job's group, has.

Workers of a cluster that share a node share it, too.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli.options import EVALUATION

if TYPE_CHECKING:
    import pandas as pd

    from probekit.features import FeatureSet, FeatureStream

UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SHARE = 0.5
ASSUMED = 8 << 30  # bytes, on systems that do not tell
OWN_GROUPS, CONTROL_GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

HELP = "What would take more is read in blocks instead: 8GiB. Default: half of the machine's memory"

Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help=f"{HELP}, which the workers of a node share.",
        rich_help_panel=EVALUATION,
    ),
]
MemoryHere = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help=f"{HELP}. For this machine alone, without --engine ray.",
        rich_help_panel=EVALUATION,
    ),
]

Needed = Callable[["pd.DataFrame", int], int]
"""(samples, columns of their features) → bytes that the question takes with all of them in memory."""


@dataclass(frozen=True)
class Limit:
    """What may be in the memory of one process."""

    size: int
    """Bytes."""
    needed: Needed
    sharing: int = 1
    """Processes that were given as much each, out of what there is for all."""

    @classmethod
    def of(cls, typed: str | None, needed: Needed, sharing: int = 1) -> "Limit":
        """A share of the limit that was typed, else of half of the machine's memory.

        Args:
            typed: as on the command line.
            needed: by the question.
            sharing: how many processes there are for it on a machine.

        Raises:
            UsageError: it is no size.
        """
        size = int(SHARE * there_is()) if typed is None else parse_size(typed)
        return cls(max(1, size // sharing), needed, sharing)

    def fits(self, samples: "pd.DataFrame", width: int) -> bool:
        """Whether features of so many columns can be loaded."""
        return self.needed(samples, width) <= self.size

    def why(self, stream: "FeatureSet | FeatureStream") -> str:
        """What features that are not loaded would take, and what there is."""
        from probekit.features import spell_need

        needed = self.needed(stream.samples, sum(stream.widths))
        return spell_need(stream, needed, self.size) + (" for each worker" if self.sharing > 1 else "")

    def loaded(self, features: "FeatureSet | FeatureStream", question: str) -> "FeatureSet":
        """The features, which are in memory.

        Raises:
            UsageError: they are not, and the question is not answered over blocks.
        """
        from probekit.errors import UsageError
        from probekit.features import FeatureSet

        if not isinstance(features, FeatureSet):
            raise UsageError(f"{question} is not answered over blocks, and {self.why(features)}: give more --memory.")
        return features


def parse_size(typed: str) -> int:
    """`8GiB`, `8GB`, `8G`, `500MiB` in bytes; a kilo is 1024.

    Raises:
        UsageError: it is no size with a unit, or none above 0.
    """
    from probekit.errors import UsageError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt])i?b?", typed.strip().lower())
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if size < 1:
        raise UsageError(f"--memory {typed!r}: write a size such as 8GiB or 500MiB, with its unit, or leave it out.")
    return size


def there_is(groups: Path = OWN_GROUPS, mounted: Path = CONTROL_GROUPS) -> int:
    """Bytes of the machine, or of the control groups that a batch system or a container gave this job, if fewer.

    Args:
        groups: the file that names the process's own groups.
        mounted: the folder of all groups.
    """
    known = "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {})
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else ASSUMED
    named = groups.read_text().splitlines() if groups.exists() else []
    given = [limit.read_text().strip() for line in named for limit in _limits(mounted, line)]
    return min([machine, *(int(text) for text in given if text != "max")])


def _limits(mounted: Path, named: str) -> Iterator[Path]:
    """The files of the limits over a group, which each of its ancestors may have set too.

    Args:
        mounted: the folder of all groups.
        named: a line of /proc/self/cgroup: `0::/job/step` of version 2, `9:memory:/job/step` of version 1.
    """
    _, controllers, group = named.split(":", 2)
    if controllers and "memory" not in controllers.split(","):
        return
    top = mounted / controllers
    own = top / group.lstrip("/")
    for folder in (own, *own.parents):
        limit = folder / ("memory.limit_in_bytes" if controllers else "memory.max")
        if folder.is_relative_to(top) and limit.exists():
            yield limit


def of_probes(folds: int) -> Needed:
    """What probes take, which learn from the train split, or out of fold from nearly all samples."""
    return partial(_of_probes, folds=folds)


def _of_probes(samples: "pd.DataFrame", width: int, folds: int) -> int:
    from probekit.trials import memory_needed

    return memory_needed(samples, width, folds)


def of_retrieval(samples: "pd.DataFrame", width: int) -> int:
    """What searches take."""
    from probekit.retrieval import memory_needed

    return memory_needed(samples, width)
