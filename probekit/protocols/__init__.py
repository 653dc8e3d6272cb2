"""Protocols: which samples a question trains on, chooses on and scores.

partitions.py   the manifest's split, or folds of whole groups
pools.py        generators as they are typed, and the real images that come along
shots.py        a few samples of each generator
turns.py        what one probe learns from, what its choices are made on, and what it scores
sources.py      where features came from, and that they are numbers
"""

from probekit.protocols.partitions import Partition, evaluation, group_folds, part_numbers, partitions, tested
from probekit.protocols.pools import (
    ALL,
    Pool,
    across_domains,
    all_but_one,
    fakes,
    generators,
    matched,
    members,
    missing_class,
    parse_pools,
    reals_of,
    trainable_pools,
)
from probekit.protocols.shots import EVERY, IDENTITY, draw_shots, parse_shots
from probekit.protocols.sources import Described, describe, remarks_on_sources, require_finite
from probekit.protocols.turns import (
    SELECTION_FOLDS,
    SELECTIONS,
    Turn,
    leaked,
    learned_from,
    turns,
)

__all__ = [
    "ALL",
    "EVERY",
    "IDENTITY",
    "SELECTIONS",
    "SELECTION_FOLDS",
    "Described",
    "Partition",
    "Pool",
    "Turn",
    "across_domains",
    "all_but_one",
    "describe",
    "draw_shots",
    "evaluation",
    "fakes",
    "generators",
    "group_folds",
    "leaked",
    "learned_from",
    "matched",
    "members",
    "missing_class",
    "parse_pools",
    "parse_shots",
    "part_numbers",
    "partitions",
    "reals_of",
    "remarks_on_sources",
    "require_finite",
    "tested",
    "trainable_pools",
    "turns",
]
