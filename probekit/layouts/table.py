"""A listing in CSV or Parquet: a row an image, with columns of any names (`--column path=filename`).

`label` may be 0, 1 or a name such as real; without it the generator's name decides, and the other way round.
"""

from pathlib import Path, PurePosixPath

import pandas as pd

from probekit.errors import ManifestError, UsageError
from probekit.layouts import layouts
from probekit.layouts.classes import class_names
from probekit.layouts.files import which_exist
from probekit.layouts.listing import ImportOptions, Listing
from probekit.manifest import read_table
from probekit.manifest.columns import file_names


@layouts.add("table")
def table(root: Path, options: ImportOptions) -> Listing:
    """Every row of `options.listing`, or of ROOT if that is a file; missing files are counted."""
    source = options.listing or root
    if not source.is_file():
        raise UsageError(f"{source} is no file: layout 'table' needs a CSV or Parquet file (--listing FILE).")
    root = root.parent if root.is_file() else root
    rows = _rename(read_table(source), options, source)
    if rows.empty:
        raise ManifestError(f"{source}: the listing has no rows: it needs one for every image.")
    rows["path"] = rows["path"].astype("str")
    rows["class"] = class_names(rows)
    rows["key"] = [PurePosixPath(path).stem for path in file_names(rows)]
    missing = pd.Series([not there for there in which_exist(root, rows["path"].tolist())], rows.index, dtype=bool)
    return Listing(root, rows, missing=missing, keeps_missing=True, source=str(source))


def _rename(rows: pd.DataFrame, options: ImportOptions, source: Path) -> pd.DataFrame:
    there = ", ".join(map(str, rows.columns)) or "none"
    for column, name in options.columns.items():
        if name not in rows:
            raise UsageError(f"--column {column}={name}: {source} has no column {name!r} (there are: {there}).")
    replaced = [column for column in options.columns if column in rows and options.columns[column] != column]
    rows = rows.drop(columns=[column for column in replaced if column not in options.columns.values()])
    rows = rows.rename(columns={name: column for column, name in options.columns.items()})
    if "path" not in rows or not {"generator", "label"} & set(rows.columns):
        raise UsageError(
            f"{source} has columns {there}, but path and generator or label are needed: "
            "name them with --column path=NAME."
        )
    return rows
