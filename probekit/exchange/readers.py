"""Other people's feature files: an array with a row for each image, and the ids of those rows.

Read are npy, npz, pt (only tensors, lists and texts: nothing in it is run), Parquet, safetensors, and folders of npy
files as `export` writes them. An id is a path that the manifest has, or a key: 64 hexadecimal digits or 32 bytes.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probekit.arrays import Int, Keys, Mask, Shaped
from probekit.errors import UsageError
from probekit.store import DONE

ID_NAMES = ("key", "path", "paths", "id", "ids", "filename", "filenames", "file", "files", "image", "images", "names")
"""Names under which ids are looked for, the first that is there."""
CROP, STATUS = "crop", "status"

Arrays = dict[str, Any]
"""Name → NumPy array or list of texts; a file with one nameless array has it under the empty name."""


@dataclass(frozen=True)
class Given:
    """Features as a file has them."""

    file: Path
    features: Shaped[np.ndarray, "n ..."]
    ids: Sequence[str] | Keys
    crops: Int[np.ndarray, " n"]
    failed: Mask
    """Rows that the file itself says have no features, by a status other than 1."""
    described: str
    """Which array and which ids were taken, where there was a choice."""

    def name(self, row: int) -> str:
        """How an error calls a row: counted from 0, as the array does, and its id."""
        known = self.ids[row] if isinstance(self.ids[row], str) else np.asarray(self.ids[row]).tobytes().hex()
        return f"{self.file} row {row} ({known})"


def read(file: Path, *, features: str | None = None, ids: str | None = None, tap: str = "") -> Given:
    """Features and ids of a file.

    Args:
        file: the file.
        features: name of the array or column of features; None: the only one, or the one that is called like the tap.
        ids: name of the array or column of ids, or a file that has them: text with an id on each line, csv with a
            column, npy; None: the first of ID_NAMES.
        tap: what the features will be called.

    Raises:
        UsageError: the file cannot be read, or does not say which features or ids are meant, or their numbers differ.
    """
    arrays = _load(file)
    name = _choose_features(file, arrays, features, tap)
    values = np.asanyarray(arrays[name])
    found, id_name = _ids(file, arrays, ids)
    if len(found) != len(values):
        raise UsageError(
            f"{file}: {len(values)} rows of features, but {len(found)} ids ({id_name}): each row needs one."
        )
    crops = arrays.get(CROP)
    crops = np.zeros(len(values), np.int16) if crops is None or name == CROP else np.asarray(crops)
    if crops.shape != (len(values),) or crops.dtype.kind not in "iu":
        raise UsageError(
            f"{file}: {CROP!r} must have a whole number for each row: rename it if it means something else."
        )
    described = f"features: {name or 'the array'} {'×'.join(map(str, values.shape))} {values.dtype}; ids: {id_name}"
    status = arrays.get(f"{STATUS}.{name}", arrays.get(STATUS))
    known = isinstance(status, np.ndarray) and status.shape == (len(values),) and status.dtype.kind in "iu"
    failed = np.asarray(status != DONE) if known else np.zeros(len(values), bool)
    return Given(file, values, found, crops.astype(np.int16), failed, described)


def _load(file: Path) -> Arrays:
    readers = {
        ".npy": _read_npy,
        ".npz": _read_npz,
        ".pt": _read_pt,
        ".pth": _read_pt,
        ".parquet": _read_parquet,
        ".safetensors": _read_safetensors,
    }
    if file.is_dir():
        return {path.stem: _read(path, _read_npy)[""] for path in sorted(file.glob("[!.]*.npy"))}
    if file.suffix not in readers:
        raise UsageError(f"{file}: no format is known by {file.suffix!r}: give one of {', '.join(readers)}.")
    return _read(file, readers[file.suffix])


def _read(file: Path, reader: Callable[[Path], Arrays]) -> Arrays:
    from pickle import UnpicklingError  # the name alone: torch and NumPy raise it where they refuse to unpickle
    from zipfile import BadZipFile

    from safetensors import SafetensorError

    try:
        return reader(file)
    except FileNotFoundError as error:
        raise UsageError(f"{file}: there is no such file.") from error
    except (ValueError, UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if re.search(r"pickle|weights_only|weights only|Python objects", str(error), re.IGNORECASE):
            reason = "it holds Python objects, which could run any code; save numbers as arrays and paths as text"
        raise UsageError(f"{file} cannot be read: {reason}.") from error
    except (OSError, EOFError, RuntimeError, BadZipFile, SafetensorError) as error:
        raise UsageError(
            f"{file} cannot be read ({str(error).splitlines()[0] if str(error) else 'it is cut'})."
        ) from error


def _read_npy(file: Path) -> Arrays:
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    return {"": array if array.dtype.kind not in "US" else array.astype(str).tolist()}


def _read_npz(file: Path) -> Arrays:
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    return {name: a.astype(str).tolist() if a.dtype.kind in "US" else a for name, a in found.items()}


def _read_pt(file: Path) -> Arrays:
    """What torch.save wrote; `models.weights.read` will not do, it refuses the lists of ids beside the tensors."""
    import torch

    loaded = torch.load(file, map_location="cpu", weights_only=True)
    if isinstance(loaded, torch.Tensor):
        return {"": _numpy(loaded)}
    if not isinstance(loaded, Mapping):
        raise UsageError(f"{file} holds a {type(loaded).__name__}, expected a tensor or a dictionary of tensors.")
    tensors = {str(name): _numpy(each) for name, each in loaded.items() if isinstance(each, torch.Tensor)}
    if tensors and len(tensors) == len(loaded) and {each.ndim for each in tensors.values()} == {1}:
        if len({each.shape for each in tensors.values()}) > 1:
            raise UsageError(f"{file}: its vectors differ in length.")
        return {"": np.stack(list(tensors.values())), "path": list(tensors)}  # path → vector
    texts = {
        str(name): list(each)
        for name, each in loaded.items()
        if isinstance(each, list | tuple) and all(isinstance(item, str) for item in each)
    }
    return tensors | texts


def _read_parquet(file: Path) -> Arrays:
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: Arrays = {}
    table = pq.read_table(file, page_checksum_verification=True)
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            found[name] = ["" if cell is None else cell for cell in column.to_pylist()]
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            found[name] = column.to_numpy(zero_copy_only=False)
        elif pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
            lengths = set(column.value_lengths().to_pylist())
            if len(lengths) != 1 or None in lengths:
                raise UsageError(f"{file}: column {name!r} has rows of different lengths, or none.")
            found[name] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), lengths.pop())
    return found


def _read_safetensors(file: Path) -> Arrays:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as tensors:
        return {name: _numpy(tensors.get_tensor(name)) for name in tensors.keys()}  # noqa: SIM118  # not a dictionary


def _numpy(tensor: Any) -> Shaped[np.ndarray, "..."]:  # noqa: ANN401  # a torch.Tensor, whose module is not loaded here
    """The tensor as an array; NumPy has no bfloat16, which float32 holds exactly."""
    values = tensor.detach()
    array: Shaped[np.ndarray, "..."] = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    return array


def _choose_features(file: Path, arrays: Arrays, wanted: str | None, tap: str) -> str:
    candidates = [n for n, a in arrays.items() if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.ndim >= 2]
    if wanted is not None:
        if wanted not in candidates:
            raise UsageError(f"{file} has no array of features {wanted!r}: it has {_listed(candidates)}.")
        return wanted
    if tap in candidates:
        return tap
    if len(candidates) != 1:
        remedy = "name one with --features" if candidates else "expected numbers, one row for each image"
        raise UsageError(f"{file}: its arrays of features are {_listed(candidates)}: {remedy}.")
    return candidates[0]


def _ids(file: Path, arrays: Arrays, wanted: str | None) -> tuple[Sequence[str] | Keys, str]:
    """The ids and where they were found."""
    if wanted is None:
        name = next((name for name in ID_NAMES if name in arrays), None)
        if name is None:
            raise UsageError(
                f"{file} does not say which row is which image: name the ids with --ids COLUMN or --ids FILE."
            )
        return _as_ids(file, name, arrays[name]), name
    if wanted in arrays:
        return _as_ids(file, wanted, arrays[wanted]), wanted
    if not Path(wanted).is_file():
        raise UsageError(f"--ids {wanted}: neither a file, nor in {file}, which has {_listed(arrays)}.")
    return _ids_of_file(Path(wanted)), wanted


def _as_ids(file: Path, name: str, values: Any) -> Sequence[str] | Keys:  # noqa: ANN401  # a list or an array
    if isinstance(values, list):
        return values
    if values.dtype == np.uint8 and values.shape[1:] == (32,):
        return np.asarray(values)
    raise UsageError(f"{file}: {name!r} holds {values.dtype} {values.shape}, expected paths, or keys (uint8, n × 32).")


def _ids_of_file(file: Path) -> Sequence[str] | Keys:
    if file.suffix == ".npy":
        return _as_ids(file, "the array", _read(file, _read_npy)[""])
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            if file.suffix != ".csv":
                return lines.read().splitlines()
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} cannot be read as text ({error}).") from error
    name = next((name for name in ID_NAMES if rows and name in rows[0]), None)
    if name is None:
        raise UsageError(f"{file} has no column of ids: call it path or key.")
    return [row[name] or "" for row in rows]


def _listed(names: Sequence[str] | Arrays) -> str:
    return ", ".join(name or "one without a name" for name in names) or "none"
