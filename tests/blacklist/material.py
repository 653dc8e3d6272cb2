"""Images that exist as features only, and blacklists of them in plain Python."""

import hashlib
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.blacklist import ImageSet
from probekit.heads.saved import Block
from probekit.store import StoreSettings

WIDTH = 6
TWINS = 100
"""Numbers that differ by this have equal features and different bytes."""
SETTINGS = StoreSettings("npr", None, {"policy": "native", "crop": 512}, "native512", "float32")
BLOCKS = (Block("blocks", WIDTH, SETTINGS),)


def key_of(number: int) -> str:
    return hashlib.sha256(f"image {number}".encode()).hexdigest()


def features_of(number: int) -> np.ndarray:
    """Small whole numbers, so that some similarities tie."""
    return np.random.default_rng(number % TWINS).integers(-3, 4, WIDTH).astype(np.float32) + 0.1


def image_set(numbers, blocks=BLOCKS, **changes) -> ImageSet:
    numbers = list(numbers)
    samples = pd.DataFrame({"path": [f"{n}.png" for n in numbers], "generator": "", "group": ""}, dtype=object)
    keys = np.array([list(bytes.fromhex(key_of(n))) for n in numbers], np.uint8).reshape(-1, 32)
    features = np.array([features_of(n) for n in numbers], np.float32).reshape(-1, WIDTH)
    failed = pd.DataFrame(columns=["path", "reason"])
    return ImageSet(**{"samples": samples, "keys": keys, "features": features, "blocks": blocks, "failed": failed,
                       "source": "numbers"} | changes)  # fmt: skip


def brute_force(registered: dict[int, str], query: int, k: int) -> list[tuple[int, str, float]]:
    """Number, generator and similarity of the nearest, in float64 from the formula; equal ones as registered."""

    def unit(number: int) -> np.ndarray:
        features = features_of(number).astype(np.float64)
        return (features / np.sqrt((features**2).sum())).astype(np.float32).astype(np.float64)

    found = [
        (number, generator, float(np.float32(unit(query) @ unit(number)))) for number, generator in registered.items()
    ]
    return sorted(found, key=lambda each: -each[2])[:k]  # stable


class Death(BaseException):
    """In place of the end of the process: nothing that is tried after it reaches the disk."""


class Reaper:
    """Dies at the n-th change below a folder, and at all that follow."""

    EVENTS = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir")
    WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def __init__(self) -> None:
        self.left: int | None = None
        self.below = ""
        self._thread = threading.get_ident()
        sys.addaudithook(self._hook)

    def within(self, folder: Path, changes: int | None) -> None:
        self.below, self.left = str(folder), changes

    def _hook(self, event: str, arguments: tuple) -> None:
        if self.left is None or threading.get_ident() != self._thread:
            return
        if event == "open":
            if not (isinstance(arguments[2], int) and arguments[2] & self.WRITES):
                return
        elif event not in self.EVENTS:
            return
        if not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        if os.fsdecode(arguments[0]).startswith(self.below):
            if self.left == 0:
                raise Death
            self.left -= 1
