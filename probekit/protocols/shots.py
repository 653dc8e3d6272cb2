"""Shots: learning from, or registering, a few samples of each generator."""

import hashlib

import numpy as np
import pandas as pd

from probekit.arrays import Mask
from probekit.errors import ProbeError, UsageError

EVERY = "all"
"""The word for all samples that there are."""

IDENTITY = ("path", "member", "frame", "x0", "y0", "x1", "y1", "crop")
"""Columns that tell samples apart, as far as a manifest has them."""


def parse_shots(text: str, of: str = "images") -> list[int | None]:
    """`1,5,10,all` → [1, 5, 10, None]; `of` what, an error says.

    Raises:
        UsageError: something else than positive numbers and `all`.
    """
    found: list[int | None] = []
    for part in (part.strip() for part in text.split(",")):
        if part != EVERY and not (part.isdecimal() and int(part) > 0):
            raise UsageError(f"--shots {text}: write numbers of {of} and all, such as 1,5,10,50,all.")
        found.append(None if part == EVERY else int(part))
    return list(dict.fromkeys(found))


def draw_shots(samples: pd.DataFrame, train: Mask, shots: int, seed: int) -> Mask:
    """The first few training samples of each generator (of each domain) in the hash order of their groups.

    Fewer shots are part of more, and the images of one group come together for all generators, as in pairs of a
    photograph and its edits.

    Raises:
        ProbeError: a generator has fewer training samples.
    """
    identity = [name for name in IDENTITY if name in samples]
    own = samples.loc[train, ["domain", "generator", "group", *identity]]
    order = {group: hashlib.sha256(f"{seed}:{group}".encode()).digest() for group in own["group"].unique()}
    own = own.assign(order=own["group"].map(order)).sort_values(["order", *identity])
    makers = own.groupby(["domain", "generator"], sort=True)
    fewest = makers.size()
    if (fewest < shots).any():
        domain, generator = fewest.index.to_frame().iloc[int(fewest.argmin())]
        raise ProbeError(
            f"{shots} shots: {generator} of {domain} has {fewest.min()} training samples. Ask for fewer, or all."
        )
    drawn = np.zeros(len(samples), dtype=bool)
    drawn[samples.index.get_indexer(makers.head(shots).index)] = True
    return drawn
