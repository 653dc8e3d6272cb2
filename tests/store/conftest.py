"""A store with a few rows, and ways to make more."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from probekit.store import Rows, Store, StoreSettings

SETTINGS = StoreSettings(
    model="srm", weights_sha256=None, view={"policy": "native"}, view_name="native512", precision="float32"
)


def make_rows(numbers: list[int], taps: dict[str, int], failed: set[int] = frozenset()) -> Rows:
    """Rows whose key and features follow from a number, so that any mix-up shows."""
    keys = np.stack([np.random.default_rng(number).integers(0, 256, 32, dtype=np.uint8) for number in numbers])
    return Rows(
        keys=keys,
        crops=np.zeros(len(numbers), np.int16),
        features={
            tap: np.array([[number + 512 * column for column in range(width)] for number in numbers], np.float32)
            for tap, width in taps.items()
        },
        reasons={
            key.tobytes(): f"reason {number}" for key, number in zip(keys, numbers, strict=True) if number in failed
        },
    )


def commit(store: Store, numbers: list[int], taps: dict[str, int], failed: set[int] = frozenset()) -> Rows:
    rows = make_rows(numbers, taps, failed)
    store.commit(rows, [f"image {number}" for number in numbers])
    return rows


@pytest.fixture
def new_store(tmp_path: Path) -> Callable[[], Store]:
    return lambda: Store.create(tmp_path / "cache", SETTINGS, {"default_tap": "a", "batch_size": 4})
