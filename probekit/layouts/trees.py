"""Data sets as they are published: rules say what each place in the tree means, the rest is common to all.

A rule is a pattern for paths below the root, without the file's ending; its named groups become columns. The first rule
that fits decides. What no rule fits is reported, never dropped in silence.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from probekit.layouts.classes import SPLIT_NAMES
from probekit.layouts.files import File, Files, IgnoredFile, list_files, not_an_image
from probekit.layouts.listing import ImportOptions, Listing, list_samples
from probekit.layouts.names import find_generator, name_generators
from probekit.sources import VIDEOS

LABELS = {"0": "0", "real": "0", "0_real": "0", "nature": "0", "1": "1", "fake": "1", "1_fake": "1", "ai": "1"}
"""How data sets write labels, in lower case, and what they mean here."""
ANYWHERE = "(?:.*/)?"
"""Begins patterns of trees that are recognised below any folders."""

_OWN = ("path", "class", "key", "label", "domain", "group")
"""Columns that stay where they are empty: without a group, each file is its own."""
_PAIR = "pair"


@dataclass(frozen=True)
class Rule:
    """What files at some places are."""

    pattern: str
    """Of the whole path below the root, without the file's ending; upper and lower case are one."""
    fills: Mapping[str, str] = field(default_factory=dict)
    """Columns beyond the pattern's groups, which `{name}` stands for. `pair` is equal for an image and its mask."""
    use: Literal["image", "mask", "none"] = "image"
    reason: str = ""
    """Why files are not used, where `use` is `none`."""

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern, ready."""
        return re.compile(self.pattern, re.IGNORECASE)


class Found(NamedTuple):
    """A file and what its rule says of it."""

    file: File
    about: Mapping[str, str]


@dataclass(frozen=True)
class Tree:
    """A data set on disk."""

    dataset: str
    """The layout's name, and that of its aliases in names.csv."""
    rules: Sequence[Rule]
    complete: Sequence[str] = ()
    """Generators that the whole data set has, to say which are not here."""
    published: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Number of images of a (class, split) of the whole data set, where it is known."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """What the data set calls a split, in lower case, where that means another one here."""
    reads: str = "(?!)"
    """Pattern of files that are read, but are no samples: lists of the authors."""
    mask_white: str = "fake"
    """What white pixels of its masks are."""
    choose: Callable[[list[Found]], tuple[list[Found], list[IgnoredFile]]] | None = None
    """Leaves out files that show what others show."""
    finish: Callable[[pd.DataFrame, Files, ImportOptions], tuple[pd.DataFrame, list[str]]] | None = None
    """Adds what only the whole table tells, such as groups."""


def read_tree(root: Path, options: ImportOptions, tree: Tree, extra: Sequence[tuple[Path, Tree]] = ()) -> Listing:
    """Every image, frame and mask that the tree's rules know.

    Args:
        root: where the data set is.
        options: how a person steers the import.
        tree: what it looks like.
        extra: other folders with trees of their own, whose files get absolute paths.
    """
    listed = list_files(root)
    tables, ignored, notes = [], list(listed.ignored), []
    for files, own in ((listed, tree), *((list_files(place), rules) for place, rules in extra)):
        table, left_out = _read_files(files, own, options)
        if files is not listed:
            table["path"] = [f"{files.root.resolve()}/{path}" for path in table["path"]]
            left_out = [IgnoredFile(f"{files.root}/{path}", reason) for path, reason in left_out]
            left_out += [IgnoredFile(f"{files.root}/{path}", reason) for path, reason in files.ignored]
        tables.append(table)
        ignored += left_out
    table = pd.concat(tables, ignore_index=True).fillna("") if len(tables) > 1 else tables[0]
    if tree.finish and len(table):
        table, more = tree.finish(table, listed, options)
        notes += more
    return finish_listing(listed.root, table, ignored, notes, tree, str(root))


def finish_listing(
    root: Path,
    table: pd.DataFrame,
    ignored: list[IgnoredFile],
    notes: list[str],
    tree: Tree,
    source: str,
    keeps_missing: bool = False,
) -> Listing:
    """The listing of a table with `missing`, its generators, labels and splits called as everywhere."""
    for column in ("class", "label", "split", "domain", "group"):
        if column not in table:
            table[column] = ""
    named = {**SPLIT_NAMES, **tree.splits}
    table["split"] = table["split"].map({name: named.get(name.lower(), name) for name in table["split"].unique()})
    table["label"] = table["label"].map({name: LABELS.get(name.lower(), name) for name in table["label"].unique()})
    table["class"] = table["class"].mask((table["class"] == "") & (table["label"] == "1"), "fake")
    table, renamed = name_generators(table, tree.dataset)
    notes = [*notes, *renamed, *_not_here(table, tree), *_mask_notes(table)]
    missing = table.pop("missing").astype(bool)
    empty = [name for name in table.columns if name not in _OWN and not (table[name] != "").any()]
    return Listing(
        root,
        table.drop(columns=empty),
        sorted(ignored),
        notes,
        missing=missing,
        published=tree.published,
        keeps_missing=keeps_missing,
        source=source,
    )


def _read_files(files: Files, tree: Tree, options: ImportOptions) -> tuple[pd.DataFrame, list[IgnoredFile]]:
    """A row for each sample, with the columns of all rules and `missing`; and the files that are none."""
    found, masks, ignored = _match(files.files, tree)
    if tree.choose:
        found, left_out = tree.choose(found)
        ignored += left_out
    names = [name for name in _columns(tree) if name != _PAIR]
    rows, used = list[tuple[object, ...]](), set[str]()
    for file, about in found:
        samples = list_samples(file, files.root, options, ignored)
        if not samples and options.frames <= 0:
            continue  # a video, and none are wanted
        mask = masks.get(about.get(_PAIR, ""), "")
        used.add(mask)
        fields = tuple(about.get(name, "") for name in names)
        for sample in samples or [{"path": file.path, "member": file.member}]:
            place = (sample["path"], sample.get("member", ""), sample.get("frame", ""))
            rows.append((*place, file.stem, mask, not samples, *fields))
    table = pd.DataFrame(rows, columns=["path", "member", "frame", "key", "mask", "missing", *names])
    table["mask_white"] = table["mask"].map(lambda mask: tree.mask_white if mask else "")
    ignored += [IgnoredFile(mask, "a mask of no image") for mask in sorted(set(masks.values()) - used)]
    return table, ignored


def _match(files: Sequence[File], tree: Tree) -> tuple[list[Found], dict[str, str], list[IgnoredFile]]:
    """Files that are images or videos, the masks by their pair, and the others."""
    found, masks, ignored = list[Found](), dict[str, str](), list[IgnoredFile]()
    reads = re.compile(tree.reads)
    for file in files:
        if not file.is_image and file.suffix not in VIDEOS:
            if not reads.fullmatch(file.place):
                ignored.append(not_an_image(file))
            continue
        rule, match = _first_match(file.trunk, tree.rules)
        if match is None or rule is None:
            ignored.append(IgnoredFile(file.name, f"no place of the tree of {tree.dataset}"))
            continue
        groups = {name: value or "" for name, value in match.groupdict().items()}
        about = groups | {name: text.format_map(groups) for name, text in rule.fills.items()}
        if rule.use == "none":
            ignored.append(IgnoredFile(file.name, rule.reason))
        elif rule.use == "mask":
            _take_mask(file, about[_PAIR], masks, ignored)
        else:
            found.append(Found(file, about))
    return found, masks, ignored


def _first_match(trunk: str, rules: Sequence[Rule]) -> tuple[Rule | None, re.Match[str] | None]:
    for rule in rules:
        if match := rule.compiled.fullmatch(trunk):
            return rule, match
    return None, None


def _take_mask(file: File, pair: str, masks: dict[str, str], ignored: list[IgnoredFile]) -> None:
    if file.suffix in VIDEOS:
        ignored.append(IgnoredFile(file.name, "masks in a video are not read: extract its frames"))
    elif file.member:
        ignored.append(IgnoredFile(file.name, "a mask inside an archive is not read: unpack it"))
    elif masks.setdefault(pair, file.path) != file.path:
        ignored.append(IgnoredFile(file.name, f"a second mask beside {masks[pair]}"))


def _columns(tree: Tree) -> list[str]:
    """The names of all columns that a rule for images fills."""
    names: dict[str, None] = {}
    for rule in tree.rules:
        if rule.use == "image":
            names |= dict.fromkeys([*rule.compiled.groupindex, *rule.fills])
    return [name for name in names if not name.startswith("_")]


def _not_here(table: pd.DataFrame, tree: Tree) -> list[str]:
    lacking = sorted({_canonical(name, tree) for name in tree.complete} - set(table["class"].unique()))
    return [f"generators of the whole data set that are not here: {', '.join(lacking)}"] if lacking else []


def _mask_notes(table: pd.DataFrame) -> list[str]:
    """How many images of each class have a mask, for those where any has."""
    if "mask" not in table:
        return []
    counts = (table["mask"] != "").groupby(table["class"]).agg(["sum", "size"])
    counts = counts[counts["sum"] > 0]
    shares = [f"{name} {masked} of {images}" for name, masked, images in counts.itertuples()]
    return [f"images with a mask: {', '.join(shares)}"] if shares else []


def _canonical(name: str, tree: Tree) -> str:
    known = find_generator(name, tree.dataset)
    return known.name if known else name
