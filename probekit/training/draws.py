"""Draws: every random number of a training is a function of the seed and of what it is drawn for.

So no order of threads, and no interruption, changes any of them: nothing that was drawn has to be remembered.
"""

import hashlib

import numpy as np


def generator_for(*parts: int | str | bytes) -> np.random.Generator:
    """What is drawn from for that purpose: Philox, keyed by the SHA-256 of all parts."""
    return np.random.Generator(np.random.Philox(key=number_for(*parts)))


def number_for(*parts: int | str | bytes, bits: int = 128) -> int:
    """A number of so many bits for that purpose."""
    spelled = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in spelled)).digest()
    return int.from_bytes(digest[: bits // 8], "big")
