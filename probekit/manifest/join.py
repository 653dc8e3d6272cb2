"""Joining: one manifest of several, in which an image is one row and groups of different data sets stay apart."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probekit.arrays import Int
from probekit.errors import ManifestError, UsageError
from probekit.manifest.check import summarise, unanswerable
from probekit.manifest.columns import IDENTITY, SPLITS, validate
from probekit.manifest.copies import Progress, content_codes
from probekit.manifest.files import Manifest
from probekit.manifest.groups import linked_groups
from probekit.manifest.shared_names import Alike, alike_names, shared_generators
from probekit.manifest.splits import assign_splits, default_folds, split_report
from probekit.registry import unknown_name
from probekit.remote import full_path

Owners = Int[np.ndarray, " n"]
"""The number of the manifest of each row."""

DECISIVE = ("label", "generator", "split")
"""What one image has one of."""
REMEDIES = {
    "domain": "An image has one: give both manifests the same with --domain-of NAME=DOMAIN.",
    "split": "Correct one of them, or divide all anew with --resplit.",
}
PLACES = ("path", "mask")
"""Columns of files."""


@dataclass(frozen=True)
class JoinSettings:
    """How manifests become one."""

    domains: Mapping[str, str] = field(default_factory=dict)
    """Manifest → domain of all its samples; else samples keep theirs, and those without take the manifest's name."""
    same_groups: bool = False
    """Whether groups of equal names are one; else each is of its manifest alone, unless images link them."""
    resplit: bool = False
    """Whether all samples are divided anew, by group; else they keep their splits."""
    contents: bool = True
    """Whether files are compared by their bytes, too, not by their place alone."""
    seed: int = 0
    """Of a new split."""


@dataclass(frozen=True, eq=False)
class Joined:
    """The new manifest and what was found on the way."""

    manifest: Manifest
    counts: pd.DataFrame
    """As `summarise`: images of each domain, generator and split."""
    shared: pd.DataFrame
    """Fakes of generators that several domains have, a row a generator and a column a domain."""
    alike: tuple[Alike, ...]
    """Names that may mean one generator."""
    merged: int
    """Rows that were left out because another manifest has the same image."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "samples": len(self.manifest.table),
            "merged": self.merged,
            "rows": self.counts.to_dict(orient="records"),
            "shared_generators": {str(name): row.to_dict() for name, row in self.shared.iterrows()},
            "alike_generators": [{"names": [one.first, one.second], "manifests": list(one.of)} for one in self.alike],
            "notes": list(self.notes),
        }


def join(
    manifests: Sequence[Manifest], name: str, settings: JoinSettings | None = None, *, on_file: Progress | None = None
) -> Joined:
    """One manifest of these, in their order: an image that several have is one row, with what any of them says of it.

    Args:
        manifests: with different names.
        name: of the new one.
        settings: what is done about domains, groups and splits.
        on_file: told how many files have been compared.

    Raises:
        UsageError: fewer than two manifests, two of one name, or a setting for none of them.
        ManifestError: one image has two labels, generators, splits or domains; the message names both.
    """
    settings = settings or JoinSettings()
    _require_names(manifests, settings)
    rows, unread = _rows(manifests, settings, on_file)
    decisive = tuple(column for column in DECISIVE if not (settings.resplit and column == "split"))
    _refuse_contradictions(rows, rows.image, (*decisive, "domain"))
    _refuse_contradictions(rows, rows.content, decisive)
    groups = _groups(rows, settings)
    notes = [*_notes(rows), *_namesakes(rows, groups), *_unread(unread)]
    table, root = _completed(rows, groups), _common_root(manifests)
    for column in PLACES:
        if column in table:
            table[column] = [_below(root, path) for path in table[column]]
    if settings.resplit:
        table["split"] = assign_splits(table, settings.seed)
    table = validate(table, name)
    manifest = Manifest(name, None, root, table, default_folds(table), _facts(manifests, table, settings))
    generators = {one.name: one.table.loc[one.table["label"] == 1, "generator"] for one in manifests}
    return Joined(
        manifest,
        summarise(manifest),
        shared_generators(table),
        tuple(alike_names(generators)),
        len(rows.table) - len(table),
        (*notes, *_divided(table), *(f"{kind}: {detail}" for kind, detail in unanswerable(table))),
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """All rows of all manifests, one after the other."""

    names: tuple[str, ...]
    table: pd.DataFrame
    """With absolute paths, and the domains that are meant."""
    owner: Owners
    image: "pd.Series[int]"
    """Equal for rows of one image."""
    content: "pd.Series[int]"
    """Equal for copies, too, wherever they lie."""


def _require_names(manifests: Sequence[Manifest], settings: JoinSettings) -> None:
    names = [manifest.name for manifest in manifests]
    if len(names) < 2:
        raise UsageError("there is one manifest: name two or more to join.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"manifest {twice!r} is named twice: name each once, or rename one of the files.")
    strange = next((name for name in settings.domains if name not in names), None)
    if strange is not None:
        raise unknown_name("manifest to give a domain", strange, names)


def _rows(manifests: Sequence[Manifest], settings: JoinSettings, on_file: Progress | None) -> tuple[_Rows, int]:
    """All rows, and the number of files that could not be compared."""
    from probekit.samples import Samples  # which knows manifests

    parts = [_absolute(manifest, settings.domains.get(manifest.name)) for manifest in manifests]
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    table = _without_gaps(pd.concat(parts, ignore_index=True))
    image = table.groupby([column for column in IDENTITY if column in table], dropna=False, sort=False).ngroup()
    content, unread = image, 0
    if settings.contents:
        samples = Samples.of_rows(Manifest("", None, Path(os.sep), table))
        content, unread = content_codes(samples[:], owner, on_file)
    return _Rows(tuple(manifest.name for manifest in manifests), table, owner, image, content), unread


def _absolute(manifest: Manifest, domain: str | None) -> pd.DataFrame:
    """The rows of one manifest as they can stand beside those of others."""
    table, root = manifest.table.copy(), str(manifest.root.absolute())
    for column in PLACES:
        if column in table:
            table[column] = [full_path(root, path) if path else "" for path in table[column]]
    table["domain"] = table["domain"].replace("", manifest.name) if domain is None else domain
    return table


def _without_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Texts that a manifest lacks are empty; numbers stay unknown."""
    return table.fillna({column: "" for column in table if table[column].dtype.kind == "O"})


def _refuse_contradictions(rows: _Rows, key: "pd.Series[int]", columns: Sequence[str]) -> None:
    """Nothing, if manifests agree in these columns wherever they have rows of one key.

    Raises:
        ManifestError: they do not; the message names the first image and both manifests.
    """
    table, owner = rows.table, rows.owner
    first = pd.Series(range(len(key))).groupby(key).transform("min").to_numpy()  # the row where the key first occurs
    for column in columns:
        cells = table[column].to_numpy()
        wrong = np.flatnonzero((cells != cells[first]) & (owner != owner[first]))
        if not len(wrong):
            continue
        row, other = int(wrong[0]), int(first[wrong[0]])
        path, twin = table["path"][row], table["path"][other]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ManifestError(
            f"{path}: {column} is {str(cells[row])!r} in {rows.names[owner[row]]} and {str(cells[other])!r} in "
            f"{rows.names[owner[other]]}{'' if path == twin else f', where its copy is {twin}'}{more}. "
            f"{REMEDIES.get(column, 'Correct one of them.')}"
        )


def _groups(rows: _Rows, settings: JoinSettings) -> "pd.Series[str]":
    """Of each manifest alone, but for those that images or copies link."""
    prefix = "" if settings.same_groups else np.array([f"{name}/" for name in rows.names], dtype=object)[rows.owner]
    return linked_groups(prefix + rows.table["group"], rows.image, rows.content)


def _completed(rows: _Rows, groups: "pd.Series[str]") -> pd.DataFrame:
    """One row an image, in the order of first occurrence; what its first row leaves empty comes from the next."""
    table = rows.table.assign(group=groups)
    if not rows.image.duplicated().any():
        return table
    filled = table.mask(table.astype("str") == "").groupby(rows.image, sort=False).first()
    return _without_gaps(filled[list(table.columns)].reset_index(drop=True))


def _notes(rows: _Rows) -> list[str]:
    """What a reader must know of the rows as they were."""
    notes = []
    for domain, own in rows.table.groupby("domain", sort=False).groups.items():
        names = [rows.names[number] for number in np.unique(rows.owner[own])]
        if len(names) > 1:
            notes.append(
                f"domain {str(domain)!r} is in {', '.join(names)}: their real images serve the fakes of all. "
                "--domain-of NAME=DOMAIN keeps them apart."
            )
    if merged := int(rows.image.duplicated().sum()):
        notes.append(f"images that several manifests have: {merged}, each as one row.")
    images = pd.DataFrame({"image": rows.image, "owner": rows.owner}).groupby(rows.content).nunique()
    if copies := int(images.loc[(images > 1).all(axis=1), "image"].sum()):
        notes.append(f"images with copies elsewhere: {copies}; each keeps its row, and copies share a group.")
    return notes + _disagreements(rows)


def _disagreements(rows: _Rows) -> list[str]:
    """Columns in which manifests say different things of one image."""
    notes = []
    for column in rows.table.columns.drop([*DECISIVE, "domain", "group", *IDENTITY], errors="ignore"):
        cells = rows.table[column].mask(rows.table[column].astype("str") == "")
        if several := int((cells.groupby(rows.image).nunique() > 1).sum()):
            notes.append(
                f"column {column!r} differs in shared images: {several}; that of the manifest named first is kept."
            )
    return notes


def _namesakes(rows: _Rows, groups: "pd.Series[str]") -> list[str]:
    """Groups of one name in several manifests that nothing links."""
    apart = groups.groupby(rows.table["group"]).nunique()
    found = apart.index[apart > 1]
    if not len(found):
        return []
    own = np.unique(rows.owner[(rows.table["group"] == found[0]).to_numpy()])
    there = " and ".join(rows.names[number] for number in own)
    return [
        f"groups of equal names: {len(found)} (first: {found[0]!r} in {there}). They stay apart, as no image links "
        "them: --same-groups takes them for one."
    ]


def _unread(files: int) -> list[str]:
    return [f"files that cannot be read: {files}; whether they are copies is not known."] if files else []


def _divided(table: pd.DataFrame) -> list[str]:
    """Groups that splits divide."""
    splits = table.groupby("group")["split"].nunique()
    divided = splits.index[splits > 1]
    if not len(divided):
        return []
    there = [split for split in SPLITS if split in set(table.loc[table["group"] == divided[0], "split"])]
    return [
        f"groups in several splits: {len(divided)} (first: {divided[0]!r} in {' and '.join(there)}): relatives of "
        "training images would be tested on. --resplit divides all anew."
    ]


def _common_root(manifests: Sequence[Manifest]) -> Path:
    return Path(os.path.commonpath([os.path.abspath(manifest.root) for manifest in manifests]))  # noqa: PTH100  # as text, which commonpath takes; resolve() would follow links


def _below(root: Path, path: str) -> str:
    """Relative to the root, if it lies there and the root is more than the beginning of all paths."""
    start = str(root) + os.sep
    return path.removeprefix(start) if len(root.parts) > 1 else path


def _facts(manifests: Sequence[Manifest], table: pd.DataFrame, settings: JoinSettings) -> dict[str, Any]:
    how = f"assigned by group, 60/20/20 %, seed {settings.seed}" if settings.resplit else "kept from those joined"
    parts = [{"name": one.name, "sha256": one.sha256, "samples": len(one.table)} for one in manifests]
    return {"joined": parts, "split": split_report(table, how)}
