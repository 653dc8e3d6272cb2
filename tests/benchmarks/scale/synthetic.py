"""Millions of finished rows on a small disk: real files under many names, an index and a store of real format.

    images/base/000.png … 999.png      a thousand files
    images/00000 → base, 00001 → base  a folder of that name for every thousand rows

So each of the rows has a path of its own, which `stat` really looks at; what the index remembers of them (size, time)
is true but for the digests, which are random, because a row must have a key of its own. Features are random, too.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from probekit.arrays import Keys
from probekit.extract import ExtractSettings
from probekit.extract.target import Target, open_target
from probekit.keys import KeyIndex
from probekit.store import Rows
from tests.benchmarks import material

MODEL = "npr"
SETTINGS = ExtractSettings(models=(MODEL,))
NAME = "bench"
FILES = 1000  # in a folder
COMMIT = 1 << 19  # rows committed together: far more than an extraction does, to have them in bearable time


def finish(folder: Path, n: int) -> None:
    """The state in which an extraction of n images leaves `images/`, `manifests/` and `cache/`."""
    root, cache = folder / "images", folder / "cache"
    name_files(root, n)
    write_manifest(folder / "manifests" / f"{NAME}.parquet", root, n)
    store, index = target_in(cache).store, KeyIndex.open(cache)
    stats = [os.stat(root / "base" / f"{number:03d}.png") for number in range(FILES)]  # noqa: PTH116  # as the index has them
    rng = np.random.default_rng(0)
    for rows in pieces(n):
        keys = random_keys(rows)
        digests = [key.tobytes() for key in keys]
        for row, digest in zip(rows, digests, strict=True):
            index.add(str(root / path_of(row)), stats[row % FILES], digest)
        index.flush()
        features = {"blocks": rng.random((len(rows), 63), dtype=np.float32)}
        store.commit(Rows(keys, np.zeros(len(rows), np.int16), features, {}), [""])
    store.fold()


def target_in(cache: Path) -> Target:
    """A model without weights and its store, as an extraction opens them."""
    return open_target(
        MODEL, taps=(), view=None, perturb="none", decoder="", precision=None, compiled=False, dtype="float16",
        cache=cache, weights=None, device="cpu", batch_size=None,
    )  # fmt: skip


def random_keys(rows: range) -> Keys:
    """A key for each row, the same at every call."""
    return np.random.default_rng(rows.start).integers(0, 256, (len(rows), 32), np.uint8)


def pieces(n: int) -> Iterator[range]:
    """All rows, `COMMIT` at a time."""
    for start in range(0, n, COMMIT):
        yield range(start, min(start + COMMIT, n))


def path_of(row: int) -> str:
    """The path of a row below the root."""
    return f"{row // FILES:05d}/{row % FILES:03d}.png"


def name_files(root: Path, n: int) -> None:
    """Make a thousand files, and a folder of them for every thousand rows."""
    for number, (_, data) in enumerate(material.tiny_pngs(root / "made", FILES)):
        (root / "base").mkdir(exist_ok=True)
        (root / "base" / f"{number:03d}.png").write_bytes(data)
    for number in range(-(-n // FILES)):
        (root / f"{number:05d}").symlink_to("base", target_is_directory=True)


def write_manifest(path: Path, root: Path, n: int) -> None:
    """A manifest in Parquet, written piece by piece: two rows a group, ten generators, 60/20/20."""
    path.parent.mkdir(parents=True)
    path.with_suffix(".json").write_text(f'{{"schema": 1, "root": "{os.path.relpath(root, path.parent)}", "folds": 0}}')
    writer = None
    for rows in pieces(n):
        table = pa.Table.from_pandas(listing(rows), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def listing(rows: range) -> pd.DataFrame:
    """The manifest's columns of these rows."""
    number = np.arange(rows.start, rows.stop)
    names = np.array(["real", *(f"generator-{kind}" for kind in range(10))])
    return pd.DataFrame(
        {
            "path": [path_of(row) for row in rows],
            "label": number % 2,
            "generator": names[np.where(number % 2 == 0, 0, 1 + number // 2 % 10)],
            "domain": "photographs",
            "split": np.array(["train", "train", "train", "val", "test"])[number // 2 % 5],
            "group": [f"source-{row // 2:07d}" for row in rows],
        }
    )
