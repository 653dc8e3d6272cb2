"""Manifests as files: found by name, read with every cell checked, written in one step."""

import csv
import hashlib
import itertools
import json
import os
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probekit.errors import ManifestError
from probekit.manifest.columns import validate
from probekit.manifest.splits import assign_splits, default_folds, split_report
from probekit.manifest.urls import below, fetched, joined, require_root
from probekit.remote import is_url, local_path

FOLDER = Path("manifests")
SUFFIXES = (".csv", ".parquet")
SCHEMA = 1
BLOCK = 1 << 20  # bytes of a file looked at together
CSV_ROWS = 65536  # rows turned into text together


@dataclass(frozen=True, eq=False)
class Manifest:
    """Samples and where their images lie."""

    name: str
    path: Path | None
    """The file it was read from or written to."""
    root: Path
    """Where relative paths of images and masks start."""
    table: pd.DataFrame
    """Validated: no two rows are one sample; `split` included, in the order of the file, with the index 0…n-1."""
    folds: int = 0
    """How many folds by group questions use unless told otherwise; 0 means that they use `split`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is known: layout, time of import, report of the split."""

    @classmethod
    def read(cls, choice: str | Path | None = None, folder: Path = FOLDER) -> "Manifest":
        """The manifest that `find` finds, its images relative to the recorded root or else to its own folder.

        A manifest may lie in a bucket, and so may the root: then paths become URLs.

        Raises:
            ManifestError: there is none, or it breaks the contract: file, row, column and remedy.
            RemoteError: a bucket cannot be reached.
        """
        choice = local_path(str(choice or os.environ.get("PROBEKIT_MANIFEST", "")))
        if not is_url(choice):
            path = find(choice, folder)
            return cls._read(path, str(path), str(path.parent))
        with fetched(choice) as path:
            return replace(cls._read(path, choice, choice.rpartition("/")[0]), path=None)

    @classmethod
    def _read(cls, path: Path, called: str, home: str) -> "Manifest":
        """The manifest in a file.

        Args:
            path: the file.
            called: what messages call it.
            home: the folder or URL where its root starts.
        """
        stem, called_stem = str(path.with_suffix("")), called.removesuffix(path.suffix)
        try:
            table, facts = read_table(path), _read_facts(path.with_suffix(".json"))
        except ManifestError as error:
            raise ManifestError(str(error).replace(stem, called_stem)) from error
        place = joined(home, facts.pop("root", "."))
        if is_url(place):
            require_root(place, f"{called_stem}.json")
        rows, table = table.index, validate(table, called)
        if is_url(place):
            table, place = below(table, place, rows, called), os.sep
        root = Path(os.path.normpath(place))
        folds = facts.pop("folds", 0)
        if "split" not in table:
            table.insert(table.columns.get_loc("group"), "split", assign_splits(table))  # type: ignore[arg-type]  # one column `group`
            folds = default_folds(table)
            facts["split"] = split_report(table, "assigned when read: the file has no column 'split'")
        return cls(path.stem, path, root, table, folds, facts)

    def write(self, folder: Path = FOLDER, overwrite: bool = False) -> "Manifest":
        """The same manifest, now in `folder`: its table in `NAME.csv`, the rest in `NAME.json`.

        Raises:
            ManifestError: the name is no file's, another manifest has it, or the folder cannot be written.
        """
        _check_name(self.name)
        path = folder / f"{self.name}.csv"
        content = _to_csv(self.table)
        if (twin := folder / f"{self.name}.parquet").exists():  # beside it, the name would be ambiguous
            raise ManifestError(f"{twin} has that name already: choose another, or remove it first.")
        if not overwrite and path.exists() and path.read_bytes() != content:
            raise ManifestError(f"{path} exists and differs: choose another name, or replace it with --force.")
        root = _portable(self.root, folder)
        facts = {"schema": SCHEMA, "root": root, "folds": self.folds, **self.facts}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _replace(path.with_suffix(".json"), json.dumps(facts, indent=2, ensure_ascii=False).encode() + b"\n")
            _replace(path, content)
        except OSError as error:
            raise ManifestError(f"{path} cannot be written ({error.strerror}): choose another folder.") from error
        return replace(self, path=path)

    def absolute_paths(self) -> list[Path]:
        """Where each sample's file lies, in the order of the table."""
        root = self.root.absolute()
        return [root / path for path in self.table["path"]]

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the table's content, whatever the file's format and the order of columns."""
        table, digest = self.table[sorted(self.table.columns)], hashlib.sha256()
        for begin in range(0, max(1, len(table)), CSV_ROWS):  # the whole text of a long table is not held at once
            rows, header = table.iloc[begin : begin + CSV_ROWS], begin == 0
            digest.update(_to_plain_csv(rows, header) or _to_csv(rows, header))
        return digest.hexdigest()


def find(choice: str | Path | None = None, folder: Path = FOLDER) -> Path:
    """The file of the manifest that is meant.

    Args:
        choice: a file, or a name in `folder`; None means PROBEKIT_MANIFEST, else the only manifest there.
        folder: where manifests with names live.

    Raises:
        ManifestError: there is none, or several fit; the message lists the candidates.
    """
    choice = str(choice or os.environ.get("PROBEKIT_MANIFEST", ""))
    present = _manifests_in(folder)
    names = ", ".join(path.stem for path in present)
    if not choice:
        if not present:
            raise ManifestError(f"there is no manifest in {folder}: make one with `probekit manifest import`.")
        if len(present) > 1:
            raise ManifestError(f"{folder} holds several manifests ({names}): choose one with --manifest NAME.")
        return present[0]
    if Path(choice).suffix in SUFFIXES:
        found = [path for path in (Path(choice), folder / choice) if path.is_file()][:1]
    else:
        found = [path for path in present if path.stem == choice]
    if len(found) > 1:
        raise ManifestError(f"manifest {choice!r} is both {found[0]} and {found[1]}: name the file.")
    if not found:
        known = f"{folder} has {names}" if present else f"{folder} has none"
        raise ManifestError(f"there is no manifest {choice!r} ({known}): name one of them or a file.")
    return found[0]


def _check_name(name: str) -> None:
    """Nothing, if a file of that name lies in the folder and shows there."""
    if not name or name.startswith(".") or not name.isprintable() or set(name) & set("/\\:"):
        raise ManifestError(f"--name {name!r} cannot name a manifest: use letters, digits, - and _, as in faces-2.")


def _manifests_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))


def read_table(path: Path) -> pd.DataFrame:
    """The file's cells; the index counts rows as a spreadsheet does, the header of a CSV file being row 1."""
    try:
        if path.suffix == ".csv":
            return _read_csv(path)
        table = pd.read_parquet(path)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise ManifestError(f"{path} cannot be read ({error}): give a CSV or Parquet file.") from error
    return table.set_axis(range(1, len(table) + 1))


def _read_csv(path: Path) -> pd.DataFrame:
    """All cells as text, empty lines left out; the index holds the number of each row in the file.

    Not by pandas, which takes a generator `None` for missing, a path `007` for 7, and shifts long rows.
    """
    table = _read_plain_csv(path) if _is_plain(path) else None
    return _read_any_csv(path) if table is None else table


def _is_plain(path: Path) -> bool:
    """Whether each line is a row and each comma ends a cell: no quotes, no empty lines, no old line ends."""
    before = b"\n"
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if b'"' in block or b"\r" in block or b"\n\n" in before + block or block.startswith(BOM_UTF8):
                return False
            before = block[-1:]
    return True


def _read_plain_csv(path: Path) -> pd.DataFrame | None:
    """The cells by pyarrow, in a hundredth of the time; None for whatever deserves a message of its own."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    with path.open(encoding="utf-8") as file:
        header = file.readline().rstrip("\n").split(",")
    if len(header) < 2 or len(set(header)) < len(header):
        return None
    cells = arrow.ConvertOptions(column_types=dict.fromkeys(header, pa.large_string()), strings_can_be_null=False)
    layout = arrow.ParseOptions(quote_char=False, ignore_empty_lines=False)
    try:
        found = arrow.read_csv(path, parse_options=layout, convert_options=cells)
    except pa.ArrowInvalid:
        return None
    columns = {name: pd.array(found[name].combine_chunks(), dtype="str") for name in header}
    table = pd.DataFrame(columns, index=pd.RangeIndex(2, found.num_rows + 2))
    empty = (table == "").all(axis=1)
    return table[~empty] if empty.any() else table


def _read_any_csv(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        header = next(rows, [])
        numbered = [(number, row) for number, row in enumerate(rows, start=2) if any(row)]
    if not header:
        raise ManifestError(f"{path} is empty: it needs a header, such as path,label,generator, and a row a sample.")
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise ManifestError(f"{path}: its cells are separated by {name}: save it with commas.")
    for column in header:
        if header.count(column) > 1:
            raise ManifestError(f"{path}: column {column!r} is there twice: rename one of them.")
    for number, row in numbered:
        if len(row) != len(header):
            raise ManifestError(
                f"{path} row {number}: {len(row)} cells, the header has {len(header)}: "
                "quote cells that contain a comma."
            )
    numbers = pd.Index([number for number, _ in numbered], dtype="int64")
    return pd.DataFrame([row for _, row in numbered], index=numbers, columns=header, dtype="str")


def _read_facts(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        schema, folds, root = facts.pop("schema", SCHEMA), facts.get("folds", 0), facts.get("root", ".")
        if not (isinstance(schema, int) and isinstance(folds, int) and isinstance(root, str)):
            raise TypeError("schema, folds or root is of the wrong type")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ManifestError(f"{path} cannot be read ({error}): correct it, or import the data again.") from error
    if schema > SCHEMA:
        raise ManifestError(f"{path} was written by a newer probekit: update probekit.")
    return dict(facts)


def _to_csv(table: pd.DataFrame, header: bool = True) -> bytes:
    return table.to_csv(index=False, lineterminator="\n", header=header).encode()


def _to_plain_csv(table: pd.DataFrame, header: bool) -> bytes:
    """The same bytes by pyarrow, in a fraction of the time; none where a cell may need quotes or other spelling."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not all(isinstance(kind, pd.StringDtype) or kind == "int64" for kind in table.dtypes):
        return b""
    if len(table.columns) < 2 or not len(table):
        return b""
    text = pa.large_string()
    cells = pa.Table.from_pandas(table, preserve_index=False)
    columns = [pc.fill_null(column.cast(text), "") for column in cells.itercolumns()]
    marks = [pa.scalar(mark, text) for mark in "," * (len(columns) - 1) + "\n"]
    pieces = itertools.chain.from_iterable(zip(columns, marks, strict=True))
    lines = pc.binary_join_element_wise(*pieces, pa.scalar("", text)).combine_chunks()
    begin, end = np.frombuffer(lines.buffers()[1], np.int64)[[lines.offset, lines.offset + len(lines)]]
    letters = np.frombuffer(lines.buffers()[2], np.uint8)[begin:end]  # of all lines, as they follow each other
    found = [np.count_nonzero(letters == ord(mark)) for mark in '"\r\n,']
    if found != [0, 0, len(table), len(table) * (len(columns) - 1)]:
        return b""  # some are in cells
    return (_to_csv(table[:0]) if header else b"") + letters.tobytes()


def _replace(path: Path, content: bytes) -> None:
    """Write in one step: a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _portable(root: Path, folder: Path) -> str:
    """Relative to the manifest's folder if it lies in the same project, which is then free to move."""
    root, folder = root.resolve(), folder.resolve()
    return os.path.relpath(root, folder) if root.is_relative_to(folder.parent) else str(root)
