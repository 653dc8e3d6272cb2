"""Files that other programs read, written batch by batch.

Each has the features of every tap, key and crop of every row, its status, the manifest's columns, and under `probekit`
the facts that the features can be made again from.

    npy            a folder: TAP.npy, key.npy (uint8, n × 32), crop.npy, status.npy, index.csv, probekit.json
    parquet        a table: one column of fixed-size lists for each tap; key in hexadecimal, crop and the rest
    safetensors    TAP, crop, key, status, and the rest as the bytes of a CSV file in the tensor `index.csv`
    hdf5           /features/TAP, /key, /crop, and one dataset for each other column in /index
"""

import json
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probekit.arrays import Shaped
from probekit.errors import UsageError
from probekit.exchange.table import Table

FACTS = "probekit"
NPY_FACTS = "probekit.json"
INDEX = "index.csv"
RESERVED = ("key", "crop", INDEX)
TEXT_ROWS = 65536  # rows of the manifest's columns that are turned into text at a time
SAFETENSORS_TYPES = {"float16": "F16", "float32": "F32", "uint8": "U8", "int16": "I16"}

OnRows = Callable[[int], None]
"""Called with the number of (row, tap) written since the last call."""


def write_npy(folder: Path, table: Table, on_rows: OnRows) -> None:
    """A folder that `np.load(..., mmap_mode="r")` reads."""
    folder.mkdir()
    for tap, shape in table.taps.items():
        features = np.lib.format.open_memmap(
            folder / f"{_file_name(tap)}.npy", mode="w+", dtype=table.dtype, shape=(len(table), *shape)
        )
        for rows, values in table.batches(tap):
            features[rows] = values
            on_rows(len(values))
        features.flush()
    np.save(folder / "key.npy", table.keys)
    np.save(folder / "crop.npy", table.crops)
    for name, status in table.statuses().items():
        np.save(folder / f"{_file_name(name)}.npy", status)
    with (folder / INDEX).open("wb") as file:
        for text in _csv(table.index()):
            file.write(text)
    (folder / NPY_FACTS).write_text(_json(table, indent=2), encoding="utf-8")


def write_parquet(path: Path, table: Table, on_rows: OnRows) -> None:
    """A table that pandas, DuckDB and embedding-atlas read; a batch is a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = pa.Table.from_pandas(table.index(), preserve_index=False)
    taps = [
        pa.field(tap, pa.list_(pa.from_numpy_dtype(np.dtype(table.dtype)), math.prod(shape)))
        for tap, shape in table.taps.items()
    ]
    schema = pa.schema([*index.schema, *taps], metadata={FACTS: _json(table)})
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        for batches in zip(*(table.batches(tap, step=table.step) for tap in table.taps), strict=True):
            rows = batches[0][0]
            lists = [
                pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), math.prod(values.shape[1:]))
                for _, values in batches
            ]
            here = index.slice(rows.start, rows.stop - rows.start)
            writer.write_table(pa.Table.from_arrays([*here.columns, *lists], schema=schema))
            on_rows(len(table.taps) * len(lists[0]))


def write_safetensors(path: Path, table: Table, on_rows: OnRows) -> None:
    """A file that `safetensors.safe_open` reads; the library itself writes only what is in memory as a whole."""
    texts = list(_csv(table.index()))
    n = len(table)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {tap: (table.dtype, (n, *s)) for tap, s in table.taps.items()}
    shapes |= {"crop": ("int16", (n,)), "key": ("uint8", (n, 32))} | dict.fromkeys(table.statuses(), ("uint8", (n,)))
    shapes |= {INDEX: ("uint8", (sum(map(len, texts)),))}
    header: dict[str, Any] = {"__metadata__": {FACTS: _json(table)}}
    end = 0
    for name, (dtype, shape) in shapes.items():
        begin, end = end, end + np.dtype(dtype).itemsize * math.prod(shape)
        header[name] = {"dtype": SAFETENSORS_TYPES[dtype], "shape": shape, "data_offsets": (begin, end)}
    packed = json.dumps(header).encode()
    packed += b" " * (-len(packed) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(packed)) + packed)
        for tap in table.taps:
            for _, values in table.batches(tap):
                file.write(_little(values))
                on_rows(len(values))
        for array in (table.crops.astype(np.int16), table.keys, *table.statuses().values()):
            file.write(_little(array))
        for text in texts:
            file.write(text)


def write_hdf5(path: Path, table: Table, on_rows: OnRows) -> None:
    """A file that h5py, MATLAB and R read.

    Raises:
        UsageError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise UsageError("HDF5 needs h5py: pip install 'probekit[hdf5]', or export to Parquet.") from error
    with h5py.File(path, "w") as file:
        file.attrs[FACTS] = _json(table)
        for tap, shape in table.taps.items():
            features = file.create_dataset(f"features/{tap}", (len(table), *shape), table.dtype)
            for rows, values in table.batches(tap):
                features[rows] = values
                on_rows(len(values))
        file["key"], file["crop"] = table.keys, table.crops
        index = table.index()
        for name in index.columns.drop("crop"):
            column = index[name]
            if column.dtype.kind in "iufb":
                file[f"index/{name}"] = column.to_numpy()
            else:
                texts = ["" if pd.isna(cell) else str(cell) for cell in column]
                file.create_dataset(f"index/{name}", data=texts, dtype=h5py.string_dtype())


WRITERS: dict[str, Callable[[Path, Table, OnRows], None]] = {
    "npy": write_npy,
    "parquet": write_parquet,
    "safetensors": write_safetensors,
    "hdf5": write_hdf5,
}


def check_names(table: Table) -> None:
    """Nothing, if no two columns of the file would have one name.

    Raises:
        UsageError: a column of the manifest is called like a tap, or a tap like the key.
    """
    for name, times in Counter([*table.taps, *table.index().columns, *RESERVED[2:]]).items():
        if times > 1:
            raise UsageError(
                f"{name!r} is both a tap or a column of the store and a column of the manifest: rename it."
            )


def _csv(index: pd.DataFrame) -> Iterator[bytes]:
    for begin in range(0, len(index), TEXT_ROWS):
        yield index[begin : begin + TEXT_ROWS].to_csv(index=False, header=begin == 0, lineterminator="\n").encode()


def _json(table: Table, indent: int | None = None) -> str:
    return json.dumps(table.facts, indent=indent, sort_keys=True, allow_nan=False)


def _little(values: Shaped[np.ndarray, "..."]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _file_name(tap: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "@.=-_" else "-" for letter in tap)
