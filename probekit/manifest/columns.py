"""The contract of a manifest's table: which columns there are and what may stand in them."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from probekit.arrays import Mask
from probekit.errors import ManifestError
from probekit.remote import is_url, refusal

REQUIRED = ("path", "label", "generator")
FILLED_IN = ("domain", "split", "group")
"""Always there once a manifest is read: without a column, `domain` is empty and `group` is the file or member."""
TEXTS = ("path", "generator", "domain", "split", "group", "family", "mask", "mask_white", "member")
BOX = ("x0", "y0", "x1", "y1")
IDENTITY = ("path", "member", "frame", *BOX)
"""Two rows that agree in these are the same sample."""

REAL = "real"
"""The generator of real images; where they come from is their domain."""
SPLITS = ("train", "val", "test")
FAMILIES = ("FS", "FR", "EFS", "FE", "LOCAL")
WHITES = ("fake", "real")
"""What white pixels of a mask are; empty means `fake`."""


def validate(table: pd.DataFrame, source: Path | str) -> pd.DataFrame:
    """A copy with known columns first, in their types, `domain` and `group` filled in, and the index 0…n-1.

    `split` is left out when it was. The index of `table` is what messages call the row.

    Raises:
        ManifestError: the first row that breaks the contract, with its column and a remedy.
    """
    missing = [column for column in REQUIRED if column not in table]
    if missing:
        there = ", ".join(map(str, table.columns)) or "none"
        raise ManifestError(f"{source}: column {missing[0]!r} is missing (there are: {there}): add it.")
    if table.empty:
        raise ManifestError(f"{source}: there are no rows: a manifest needs at least one sample.")
    table = table.copy()
    for column in TEXTS:
        if column in table:
            table[column] = _texts(table[column])
    _check_names(table, source)
    _check_urls(table, source)
    _check_labels(table, source)
    _check_frames(table, source)
    _check_boxes(table, source)
    if "domain" not in table:
        table["domain"] = ""
    table["group"] = _groups(table)
    _check_duplicates(table, source)
    known = [column for column in (*REQUIRED, *FILLED_IN) if column in table]
    others = [column for column in table.columns if column not in known]
    return table[[*known, *others]].reset_index(drop=True)


def _check_names(table: pd.DataFrame, source: Path | str) -> None:
    for column in ("path", "generator"):
        for row in table.index[table[column] == ""]:
            raise ManifestError(f"{source} row {row}: {column} is empty: fill it in or delete the row.")
    for column, known in (("split", SPLITS), ("family", ("", *FAMILIES)), ("mask_white", ("", *WHITES))):
        if column in table:
            for row, found in table.loc[~table[column].isin(known), column].items():
                expected = ", ".join(name for name in known if name)
                raise ManifestError(
                    f"{source} row {row}: {column} is {found!r}, expected one of {expected}. Correct it."
                )


def _check_urls(table: pd.DataFrame, source: Path | str) -> None:
    """Nothing, if all URLs are read; a refused one is not quoted, because it may hold a secret."""
    for column in ("path", "mask"):
        if column in table:
            for row, url in table.loc[table[column].str.contains("://", regex=False), column].items():
                if is_url(url) and (reason := refusal(url)):
                    raise ManifestError(f"{source} row {row}: {column} is a URL that is not read: {reason}")


def _check_labels(table: pd.DataFrame, source: Path | str) -> None:
    """Turn labels into integers; only label 0 is called real."""
    labels = table["label"]
    if not (pd.api.types.is_integer_dtype(labels.dtype) and labels.isin([0, 1]).all()):
        labels = _texts(labels)
        for row, found in labels[~labels.isin(["0", "1"])].items():
            remedy = f"Map it with --label {found}=1." if found else "Fill it in."
            raise ManifestError(f"{source} row {row}: label is {found!r}, expected 0 or 1. {remedy}")
    table["label"] = labels.astype("int64")
    real = table["generator"] == REAL
    for row, name in table.loc[~real & (table["label"] == 0), "generator"].items():
        raise ManifestError(
            f"{source} row {row}: label is 0 (real), but generator is {name!r}. "
            "Call the generator 'real' and put where the image comes from into 'domain', or set label 1."
        )
    for row in table.index[real & (table["label"] == 1)]:
        raise ManifestError(
            f"{source} row {row}: label is 1 (fake), but generator is 'real'. Name what made the image, or set label 0."
        )


def _groups(table: pd.DataFrame) -> "pd.Series[str]":
    """The group of each row; without one, its file or member."""
    if "group" not in table:
        return file_names(table)
    empty = table["group"] == ""
    return table["group"].mask(empty, file_names(table)) if empty.any() else table["group"]


def file_names(table: pd.DataFrame) -> "pd.Series[str]":
    """The path of each row, and behind it the member where that is meant: one name for all frames of a video."""
    if "member" not in table:
        return table["path"]
    members = table["member"].fillna("").astype("str")
    return table["path"].mask(members != "", table["path"] + "/" + members)


def _check_frames(table: pd.DataFrame, source: Path | str) -> None:
    """Turn frame numbers into nullable integers."""
    if "frame" not in table:
        return
    frames = table["frame"].map(_text)
    for row, found in frames[~frames.str.fullmatch(r"[0-9]{0,9}")].items():
        raise ManifestError(f"{source} row {row}: frame is {found!r}, expected a whole number from 0, or nothing.")
    table["frame"] = pd.Series([int(value) if value else None for value in frames], table.index, dtype="Int64")


def _check_boxes(table: pd.DataFrame, source: Path | str) -> None:
    """Turn boxes into nullable integers; half-open, inside the picture's quadrant, not empty."""
    present = [column for column in BOX if column in table]
    if not present:
        return
    if len(present) < len(BOX):
        lacking = next(column for column in BOX if column not in table)
        raise ManifestError(f"{source}: column {lacking!r} is missing: a box needs x0, y0, x1 and y1.")
    boxes = table[list(BOX)].map(_text)
    for row, box in zip(boxes.index, boxes.itertuples(index=False, name=None), strict=True):
        if any(box):
            _check_box(box, f"{source} row {row}")
    for column in BOX:
        numbers = [int(value) if value else None for value in boxes[column]]
        table[column] = pd.Series(numbers, table.index, dtype="Int64")


def _check_box(box: tuple[str, ...], where: str) -> None:
    for column, value in zip(BOX, box, strict=True):
        if not value.isdecimal():
            raise ManifestError(f"{where}: {column} is {value!r}, expected a whole number of pixels from 0.")
    x0, y0, x1, y1 = map(int, box)
    for low, high, names in ((x0, x1, "x0 and x1"), (y0, y1, "y0 and y1")):
        if low >= high:
            raise ManifestError(f"{where}: {names} are {low} and {high}, expected the first to be smaller.")


def _check_duplicates(table: pd.DataFrame, source: Path | str) -> None:
    paths = normal_paths(table["path"])
    if _ascend(paths):
        return  # as those of an imported folder do: no two are equal, which a table of all paths takes a second to tell
    identity = table[[column for column in IDENTITY if column in table]].assign(path=paths).astype("str")
    repeated = identity.duplicated().to_numpy()
    if repeated.any():
        second = int(repeated.argmax())
        first = int((identity == identity.iloc[second]).all(axis=1).to_numpy().argmax())
        raise ManifestError(
            f"{source} row {table.index[second]}: path {table['path'].iloc[second]!r} "
            f"is already in row {table.index[first]}: delete one of them."
        )
    release_unused()


def _ascend(texts: "pd.Series[str]") -> bool:
    """Whether each text comes after the one before."""
    cells: Any = texts.array
    return bool((cells[:-1] < cells[1:]).all())


def release_unused() -> None:
    """Give memory back that Arrow holds for later: what compared ten million paths was a gigabyte."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def normal_paths(paths: pd.Series) -> pd.Series:
    """The paths without `//`, `/./` and `/../`, so that equal files have equal paths; URLs as they are.

    Only those that need it are looked at one by one: of a million it is seldom one.
    """
    odd = are_odd(paths)
    if odd.any():
        paths = paths.copy()
        paths[odd] = [path if is_url(path) else os.path.normpath(path) for path in paths[odd]]
    return paths


def are_odd(paths: pd.Series) -> Mask:
    """Which of the paths `os.path.normpath` may change."""
    return paths.str.contains(r"(?:^|/)\.{1,2}(?:/|$)|//|./$", regex=True).to_numpy(bool)


def _texts(cells: pd.Series) -> pd.Series:
    """Cells as text."""
    if isinstance(cells.dtype, pd.StringDtype):
        return cells.fillna("").astype("str")
    if pd.api.types.is_integer_dtype(cells.dtype) and not cells.hasnans:
        return cells.astype("str")
    return pd.Series([_text(value) for value in cells], cells.index, dtype="str")


def _text(value: object) -> str:
    """A cell as text; Parquet's nulls are empty; whole floats, which pandas makes of them, are integers."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if pd.notna(value) else ""  # type: ignore[call-overload]  # cells are scalars
