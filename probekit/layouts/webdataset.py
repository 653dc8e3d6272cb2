"""Shards of webdataset: `000.tar` with `abc.jpg` and, of the same key, `abc.cls` or `abc.json`.

A member's key is its name up to the first point after the last slash. The text of `.cls` is the label; from `.json` are
taken `label`, `generator`, `domain`, `split`, `group` and `family`, under other names with `--column generator=NAME`.
A label may be 0, 1, a name such as real, or the number of a class, then with `--label 3=1`.
"""

import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from probekit.errors import ImageError, ManifestError
from probekit.images import EXTENSIONS
from probekit.layouts import layouts
from probekit.layouts.classes import class_names
from probekit.layouts.files import File, IgnoredFile, list_files
from probekit.layouts.listing import ImportOptions, Listing, list_samples, table_of
from probekit.sources import VIDEOS
from probekit.sources.archives import open_archive

_COLUMNS = ("label", "generator", "domain", "split", "group", "family")


@layouts.add("webdataset")
def webdataset(root: Path, options: ImportOptions) -> Listing:
    """Every image and video of the shards under ROOT, or of the one shard that ROOT is."""
    base, _, files, ignored = list_files(root)
    keys: dict[tuple[str, str], list[File]] = {}
    for file in files:
        if file.member:
            keys.setdefault((file.path, _key(file.member)), []).append(file)
        else:
            ignored.append(IgnoredFile(file.name, "lies in no shard"))
    rows, unused = list[dict[str, str]](), Counter[str]()
    for (_, key), members in keys.items():
        about = _describe(members, base, options) | {"key": key}
        for file in members:
            suffix = file.suffix
            if suffix not in EXTENSIONS | VIDEOS:
                unused[suffix] += suffix not in (".cls", ".json")
            elif about.keys() & {"label", "generator"}:
                rows += [about | sample for sample in list_samples(file, base, options, ignored)]
            else:
                ignored.append(IgnoredFile(file.name, "no .cls and no .json names its label or generator"))
    columns = [name for name in (*_COLUMNS, *options.columns) if any(name in row for row in rows)]
    table = table_of(rows, ["path", "key", *columns])
    table["class"] = class_names(table) if rows else pd.Series(dtype="str")
    notes = [f"{n} members are not used: *{suffix}" for suffix, n in sorted(unused.items()) if n]
    return Listing(base, table, sorted(ignored), notes, source=str(root))


def _key(member: str) -> str:
    path = PurePosixPath(member)
    return str(path.with_name(path.name.split(".")[0] or path.name))


def _describe(members: list[File], base: Path, options: ImportOptions) -> dict[str, str]:
    """What the .cls and .json of one key say, by the manifest's columns."""
    about = {}
    for file in members:
        suffix = file.suffix
        if suffix not in (".cls", ".json"):
            continue
        try:
            text = open_archive(str(base / file.path)).read(file.member).decode("utf-8-sig").strip()
            found: Any = json.loads(text) if suffix == ".json" else {options.columns.get("label", "label"): text}
        except (ImageError, ValueError) as error:
            raise ManifestError(f"{file.name} cannot be read ({error}): correct the shard.") from error
        if not isinstance(found, dict):
            raise ManifestError(f'{file.name} holds no JSON object: it needs one such as {{"generator": "lama"}}.')
        for column in (*_COLUMNS, *options.columns):
            value = found.get(options.columns.get(column, column))
            if value is not None and not isinstance(value, dict | list):
                about[column] = str(int(value)) if isinstance(value, bool) else str(value)
    return about
