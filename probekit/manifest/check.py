"""What a manifest holds, and what is wrong with its images: unreadable, duplicate, leaking between splits."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd

from probekit import images, sources
from probekit.errors import ImageError
from probekit.manifest.columns import BOX, SPLITS
from probekit.manifest.files import Manifest
from probekit.manifest.masks import mask_source, read_mask
from probekit.manifest.splits import FEWEST_GROUPS
from probekit.sources import Sample

KINDS = {
    "unreadable": "the file, member or frame is missing, empty, truncated or no image",
    "no mask": "the mask is named but cannot be read",
    "mask size": "the mask's size is not the image's",
    "blank mask": "the mask of a fake marks no pixel, or the column mask_white turns it round",
    "box outside": "the box reaches beyond the image",
    "same bytes, other label": "one picture is called both real and fake",
    "same bytes, other generator": "one picture is said to be made by two generators",
    "same bytes, other split": "what is learned from is also tested on",
    "same bytes": "one picture counts twice in its split",
    "group in several splits": "relatives of a training image are tested on",
    "generator in one split": "nothing to train on, or nothing to test on",
    "one class": "nothing to tell apart",
    "no real images": "a generator has none in its domains: no probe can be trained on it",
    "too few groups": "nothing can be held out while something else is learned from and chosen on",
}
"""Kinds of problem, worst first within each subject."""

_BATCH = 4096

Progress = Callable[[int, int], None]
"""Called with the numbers of files done and in all."""


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What `check` found."""

    name: str
    samples: int
    files: int
    """Different files and members of archives among the samples."""
    size: int
    """Bytes of all of them that are readable."""
    problems: pd.DataFrame
    """path (empty where none is meant), kind (one of `KINDS`), detail."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of problems of each kind that occurs."""
        found = self.problems["kind"].value_counts()
        return {kind: int(found[kind]) for kind in KINDS if kind in found}

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "manifest": self.name,
            "samples": self.samples,
            "files": self.files,
            "bytes": self.size,
            "counts": self.counts,
            "problems": self.problems.to_dict(orient="records"),
        }


@dataclass(frozen=True)
class _File:
    reason: str = ""
    """Why it cannot be read."""
    sha256: str = ""
    size: int = 0
    width: int = 0
    height: int = 0


def check(manifest: Manifest, progress: Progress | None = None, pixels: bool = False, workers: int = 8) -> CheckReport:
    """Problems of a manifest's images and splits; every file is read and hashed, its header opened.

    Args:
        manifest: whose rows to check.
        progress: told how many files are done.
        pixels: decode every image and mask too, which also finds those that are truncated or blank.
        workers: threads that read files.
    """
    from probekit.samples import Samples  # which knows manifests

    samples = Samples.of_rows(manifest)
    table = manifest.table
    names = [sample._replace(path=path).name for sample, path in zip(samples, table["path"], strict=True)]
    wholes = [sample._replace(box=None) for sample in samples]
    files = _read_all(wholes, progress, pixels, workers)
    rows = [files[whole] for whole in wholes]
    problems = [(name, "unreadable", file.reason) for name, file in zip(names, rows, strict=True) if file.reason]
    problems += [*_masks(manifest, names, rows, pixels), *_boxes(table, names, rows)]
    problems += [*_duplicates(table, names, rows), *_divided_groups(table), *_lonely_generators(manifest)]
    sizes = {whole.entry: file.size for whole, file in files.items()}
    problems += [("", kind, detail) for kind, detail in unanswerable(table)]
    return CheckReport(
        name=manifest.name,
        samples=len(table),
        files=len(sizes),
        size=sum(sizes.values()),
        problems=pd.DataFrame(problems, columns=["path", "kind", "detail"], dtype="str"),
    )


def summarise(manifest: Manifest) -> pd.DataFrame:
    """Images of each domain and generator in each split and in all, and their groups; real ones first."""
    table = manifest.table
    by = ["domain", "label", "generator"]
    counts = table.groupby([*by, "split"]).size().unstack(fill_value=0).reindex(columns=list(SPLITS), fill_value=0)
    counts.columns.name = None
    counts["images"] = counts.sum(axis=1)
    counts["groups"] = table.groupby(by)["group"].nunique()
    return counts.reset_index()


def unanswerable(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Why questions about these samples must fail: kinds of `KINDS` with details; empty if they need not."""
    classes = table["label"].map({0: "real", 1: "fake"})
    if classes.nunique() == 1:
        other = {"real": "fake", "fake": "real"}[classes.iloc[0]]
        return [("one class", f"all samples are {classes.iloc[0]}: add {other} images.")]
    found = []
    with_real = set(table.loc[classes == "real", "domain"])
    for generator, domains in table.loc[classes == "fake"].groupby("generator")["domain"].unique().items():
        if not with_real & set(domains):
            named = ", ".join(repr(str(domain)) for domain in sorted(domains))
            detail = f"{generator}: none in its domain ({named}): add some, or correct the domain."
            found.append(("no real images", detail))
    groups = table.groupby(classes)["group"].nunique()
    for name in ("real", "fake"):
        if groups[name] < FEWEST_GROUPS:
            detail = f"{groups[name]} of {name} images, {FEWEST_GROUPS} are needed: add images, or make smaller groups."
            found.append(("too few groups", detail))
    return found


_Problem = tuple[str, str, str]


def _read_all(samples: Sequence[Sample], progress: Progress | None, pixels: bool, workers: int) -> dict[Sample, _File]:
    distinct = list(dict.fromkeys(samples))
    files: dict[Sample, _File] = {}
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(distinct), _BATCH):  # a million futures at once would take a gigabyte
            batch = distinct[start : start + _BATCH]
            for sample, file in zip(batch, pool.map(lambda sample: _read(sample, pixels), batch), strict=True):
                files[sample] = file
                if progress:
                    progress(len(files), len(distinct))
    return files


def _read(sample: Sample, pixels: bool) -> _File:
    try:
        content = sources.read(sample)
        if content.damage:
            return _File(reason=content.damage)
        if content.data is None or pixels:
            height, width = content.decode().shape[1:]
        if content.data is not None:
            header = images.inspect(content.data)
            width, height = header.width, header.height
    except ImageError as error:
        return _File(reason=str(error))
    size = content.stat.st_size if content.data is None else len(content.data)
    return _File("", content.digest.hex(), size, width, height)


def _masks(manifest: Manifest, names: Sequence[str], rows: Sequence[_File], pixels: bool) -> Iterator[_Problem]:
    if "mask" not in manifest.table:
        return
    for row, (path, mask, file) in enumerate(zip(names, manifest.table["mask"], rows, strict=True)):
        if not mask:
            continue
        try:
            header = images.inspect(mask_source(manifest, mask))
            marked = read_mask(manifest, row) if pixels and manifest.table["label"].iloc[row] else None
        except ImageError as error:
            yield path, "no mask", str(error)
            continue
        if not file.reason and (header.width, header.height) != (file.width, file.height):
            sizes = f"{header.width} × {header.height}, not {file.width} × {file.height}"
            yield path, "mask size", f"{mask} is {sizes}."
        if marked is not None and not marked.any():
            yield path, "blank mask", f"{mask} marks nothing as manipulated."


def _boxes(table: pd.DataFrame, names: Sequence[str], rows: Sequence[_File]) -> Iterator[_Problem]:
    if not set(BOX) <= set(table.columns):
        return
    for path, x1, y1, file in zip(names, table["x1"], table["y1"], rows, strict=True):
        if not file.reason and pd.notna(x1) and (x1 > file.width or y1 > file.height):
            yield path, "box outside", f"it ends at {x1} {y1}, the image at {file.width} {file.height}."


def _duplicates(table: pd.DataFrame, names: Sequence[str], rows: Sequence[_File]) -> Iterator[_Problem]:
    """Each repetition against the first; equal bytes with another frame or box are another sample."""
    parts = [column for column in ("frame", *BOX) if column in table]
    identities = table[parts].astype("str").itertuples(index=False, name=None) if parts else [()] * len(table)
    samples: Iterator[Any] = table.itertuples()
    firsts: dict[tuple[str, ...], tuple[str, Any]] = {}
    for name, row, file, identity in zip(names, samples, rows, identities, strict=True):
        if file.reason:
            continue
        first_name, first = firsts.setdefault((file.sha256, *identity), (name, row))
        if first is row:
            continue
        kind = "same bytes"
        if first.label != row.label:
            kind = "same bytes, other label"
        elif first.generator != row.generator:
            kind = "same bytes, other generator"
        elif first.split != row.split:
            kind = "same bytes, other split"
        here, there = f"{row.generator} in {row.split}", f"{first.generator} in {first.split}"
        yield name, kind, f"{here}; {first_name} is {there}."


def _divided_groups(table: pd.DataFrame) -> Iterator[_Problem]:
    splits = table.groupby("group")["split"]
    divided = splits.nunique()
    for group in divided.index[divided > 1]:
        counts = splits.get_group(group).value_counts()
        where = ", ".join(f"{counts[split]} in {split}" for split in SPLITS if split in counts)
        yield "", "group in several splits", f"{group}: {where}."


def _lonely_generators(manifest: Manifest) -> Iterator[_Problem]:
    if manifest.folds:  # every group is tested out of fold, whatever its split
        return
    by_generator = manifest.table.groupby("generator")["split"]
    for generator, found in by_generator.unique().items():
        if len(found) == 1:
            yield "", "generator in one split", f"{generator}: all its images are in {found[0]!s}."
