"""Commits, a fold and a pruning, killed at their writes: `python -m tests.store.crash_store FOLDER EVERY`."""

import json
import sys
from pathlib import Path

import numpy as np
import zarr.codecs  # noqa: F401  # all that is heavy is imported once, before the first fork
import zarrs  # noqa: F401

from probekit.store import DONE, Store, find_stores, swap
from tests.crashing import every_death
from tests.store.conftest import SETTINGS, commit, make_rows

TAPS = {"a": 3, "b": 2}
KEPT = [1, 2, 5, 6]


def opened(place: Path) -> Store:
    return Store.create(place / "cache", SETTINGS, {"default_tap": "a", "batch_size": 4})


def prepare(place: Path) -> None:
    commit(opened(place), [1, 2, 3, 4], TAPS, {2, 3})
    opened(place).fold()


def act(place: Path) -> None:
    store = opened(place)
    commit(store, [4, 5, 6], TAPS, {6})
    commit(store, [3], {"a": 3})
    store.fold()
    store.prune(store.surplus(make_rows(KEPT, TAPS).keys))


def act_with_two_renames(place: Path) -> None:
    swap._exchange_names = lambda *_: False
    act(place)


def wrong(place: Path) -> list[str]:
    """What is damaged, or not as it was committed."""
    stores, damaged = find_stores(place / "cache")
    problems = [*damaged.values(), *(line for store in stores for line in store.verify())]
    rows = make_rows(list(range(1, 7)), TAPS)
    for store in stores:
        status = store.look_up(rows.keys, rows.crops, list(TAPS))
        for column, tap in enumerate(TAPS):
            done = status[:, column] == DONE
            if done.any() and not np.array_equal(
                store.read(rows.keys[done], rows.crops[done], tap), rows.features[tap][done]
            ):
                problems.append(f"tap {tap} has other features")
        if not status[[0, 1]].any(axis=1).all():
            problems.append("rows that stay are lost")
    return problems if stores else ["there is no store"]


def state(place: Path) -> object:
    (store,) = find_stores(place / "cache")[0]
    rows = make_rows(list(range(1, 7)), TAPS)
    left = sorted(path.name for path in store.path.parent.glob(".*"))
    return [
        wrong(place),
        store.look_up(rows.keys, rows.crops, list(TAPS)).tolist(),
        sorted(store.reasons().values()),
        left,
    ]


if __name__ == "__main__":
    folder, every = sys.argv[1:]
    report = {
        name: every_death(prepare, killed, wrong, state, Path(folder) / name, int(every))
        for name, killed in (("exchange", act), ("two renames", act_with_two_renames))
    }
    sys.stdout.write(json.dumps(report))
