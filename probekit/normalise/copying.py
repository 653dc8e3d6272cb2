"""All copies of a manifest, side by side and resumed where a kill stopped them.

A copy is written under another name and renamed when it is whole; it then has the time of its source, and the ledger
says what it was made of. A copy whose source is the same file, of the same size and time, is kept, so that a second run
writes only what is missing or has changed. The folder's `normalised.json` says of which manifest and root it is, and
with which settings: others are refused.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from probekit import sources
from probekit.errors import ImageError, ManifestError, UsageError
from probekit.files import whole
from probekit.fingerprint import JSONValue
from probekit.manifest import Manifest
from probekit.manifest.columns import BOX
from probekit.normalise.ledger import Ledger, Origin
from probekit.normalise.names import mask_names, names_of
from probekit.normalise.pictures import Box, Window, copy_of, mask_of
from probekit.normalise.settings import NormaliseSettings
from probekit.parallel import processors
from probekit.remote import is_url
from probekit.samples import Samples, full_names
from probekit.sources import Sample

RECORD = "normalised.json"
SCHEMA = 2
BATCH = 1024
DRAFTS = ".drafts-"
DAY = 86400  # a folder of drafts that old is left from a process that was killed

OnFile = Callable[[int, int], None]
"""Called with (samples done, all of them)."""


@dataclass(frozen=True, eq=False)
class Copied:
    """What became of a manifest's samples."""

    manifest: Manifest
    """Of the copies: the same labels, groups and splits; not written yet."""
    written: int
    kept: int
    """Finished copies of an earlier run."""
    failed: pd.DataFrame
    """path (with the member, frame or box that is meant), reason; they are not in the new manifest."""
    too_small: int
    """How many of those that failed are smaller than the copies."""

    def to_json(self) -> dict[str, JSONValue]:
        """For `--json`."""
        failed = self.failed.to_dict("records")
        return {"written": self.written, "kept": self.kept, "too_small": self.too_small, "failed": failed}


@dataclass(frozen=True)
class _Task:
    sample: Sample
    name: str
    mask: Path | None
    mask_name: str
    """Of the mask's copy; empty where there is none."""
    box: Box | None
    """That moves along."""

    @property
    def copies(self) -> list[tuple[str, str, Path]]:
        """Name, source and the source's file of each copy that the task needs."""
        picture = (self.name, self.sample.name, Path(self.sample.path))
        return [picture] if self.mask is None else [picture, (self.mask_name, str(self.mask), self.mask)]


@dataclass(frozen=True)
class _Done:
    written: tuple[tuple[str, Origin], ...] = ()
    """Name and source of each copy; none where they were finished before."""
    box: Box | None = None


def normalise(
    manifest: Manifest,
    name: str,
    to: Path,
    settings: NormaliseSettings,
    *,
    on_file: OnFile | None = None,
    workers: int | None = None,
) -> Copied:
    """Copies of all samples in a folder of their own, and the manifest of these copies.

    Args:
        manifest: the samples.
        name: of the new manifest.
        to: the folder; empty, new, or that of an earlier run with the same settings.
        settings: what the copies are like.
        on_file: told how many samples are done.
        workers: threads; one a processor unless told otherwise.

    Raises:
        UsageError: the folder holds something else, or the sources.
        OSError: it cannot be written.
    """
    to = to.absolute()
    tasks = _tasks(manifest, settings)
    _claim(manifest, to, settings)
    ledger = Ledger(to)
    answers: list[_Done | str] = []
    with _drafts(to) as drafts, ThreadPoolExecutor(workers or processors()) as pool:
        for start in range(0, len(tasks), BATCH):
            batch = tasks[start : start + BATCH]
            for answer in pool.map(lambda task: _copy(task, to, Path(drafts), ledger, settings), batch):
                answers.append(answer)
                ledger.add(answer.written if isinstance(answer, _Done) else ())
                if on_file:
                    on_file(len(answers), len(tasks))
    return _copied(manifest, name, to, settings, tasks, answers)


def _tasks(manifest: Manifest, settings: NormaliseSettings) -> list[_Task]:
    every = Samples.of_rows(manifest)
    if every.remote or any(map(is_url, manifest.table.get("mask", ()))):
        raise ManifestError(
            f"{manifest.name} has images or masks in buckets: copy them to a disk, then normalise them."
        )
    samples = list(every)
    wholes = [sample._replace(box=None) for sample in samples] if settings.boxes == "keep" else samples
    names = names_of(wholes, manifest.root.absolute(), settings.suffix)
    root = manifest.root.absolute()
    masks = [root / mask if mask else None for mask in manifest.table.get("mask", [""] * len(samples))]
    named = mask_names(names, [os.path.normpath(mask) if mask else "" for mask in masks])
    return [
        _Task(whole, name, mask, mask_name, sample.box if settings.boxes == "keep" else None)
        for sample, whole, name, mask, mask_name in zip(samples, wholes, names, masks, named, strict=True)
    ]


def _claim(manifest: Manifest, to: Path, settings: NormaliseSettings) -> None:
    """Write the record of the folder, or see that it is this one.

    Raises:
        UsageError: the folder holds something else.
    """
    record, root = to / RECORD, str(manifest.root.resolve())
    asked = {"schema": SCHEMA, "from": manifest.name, "root": root, "settings": asdict(settings)}
    if manifest.root.absolute().is_relative_to(to):
        raise UsageError(f"--to {to} holds the images of {manifest.name} themselves: choose another folder.")
    if record.is_file():
        if _read_record(record) != asked:
            raise UsageError(
                f"{to} has copies of another manifest, of images below another folder than {root}, or with other "
                f"settings ({record}): choose another folder."
            )
        return
    if to.is_dir() and any(not each.name.startswith(DRAFTS) for each in to.iterdir()):
        raise UsageError(f"{to} is not empty and holds no copies of probekit's: choose another folder.")
    to.mkdir(parents=True, exist_ok=True)
    with whole(record) as draft:
        draft.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")


def _read_record(path: Path) -> object:
    """What the record says; None where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _drafts(to: Path) -> "tempfile.TemporaryDirectory[str]":
    """A folder for what is being written, on the same file system; what dead processes left is removed."""
    for old in to.glob(f"{DRAFTS}*"):
        if time.time() - old.stat().st_mtime > DAY:
            shutil.rmtree(old, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=DRAFTS, dir=to)


def _copy(task: _Task, to: Path, drafts: Path, ledger: Ledger, settings: NormaliseSettings) -> _Done | str:
    """One sample and its mask; why not, where it cannot be read."""
    finished = all(ledger.holds(*copy) for copy in task.copies)
    try:
        if task.box is None and finished:
            return _Done()
        content = sources.read(task.sample)
        assert isinstance(content.stat, os.stat_result)  # of a file: `_tasks` refuses objects
        pixels = content.decode().permute(1, 2, 0).numpy()
        height, width = pixels.shape[:2]
        window = Window.of(width, height, settings)
        box = None if task.box is None else window.move(task.box)
        if finished:
            return _Done(box=box)
        written = []
        if task.mask is not None:
            mask, stat = _mask(task, (height, width), window)
            _write(mask, to / task.mask_name, drafts, stat)
            written.append((task.mask_name, Origin.of(str(task.mask), stat)))
        _write(copy_of(pixels, window, settings), to / task.name, drafts, content.stat)
        written.append((task.name, Origin.of(task.sample.name, content.stat)))
    except ImageError as error:
        return str(error)
    return _Done(tuple(written), box)


def _mask(task: _Task, size: tuple[int, int], window: Window) -> tuple[bytes, os.stat_result]:
    """The mask's copy, and its file before it was read; a mask of the whole picture is cut as the picture is."""
    assert task.mask is not None
    try:
        content = sources.read(Sample(str(task.mask)))
        assert isinstance(content.stat, os.stat_result)  # as above
        mask = content.decode()[0].numpy()
    except ImageError as error:
        raise ImageError(f"{task.mask}: {error}") from error
    if mask.shape != size and task.sample.box is not None:
        x0, y0, x1, y1 = task.sample.box
        mask = mask[y0:y1, x0:x1]
    if mask.shape != size:
        sizes = f"{mask.shape[1]} × {mask.shape[0]}, the image {size[1]} × {size[0]}"
        raise ImageError(f"its mask {task.mask} is {sizes}: correct it.")
    return mask_of(mask, window), content.stat


def _write(content: bytes, path: Path, drafts: Path, source: os.stat_result) -> None:
    """Under its name once it is whole, with the time of its source."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=drafts)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(draft).chmod(0o644)
    os.utime(draft, ns=(source.st_atime_ns, source.st_mtime_ns))
    Path(draft).replace(path)


def _copied(
    manifest: Manifest, name: str, to: Path, settings: NormaliseSettings, tasks: list[_Task], answers: list[_Done | str]
) -> Copied:
    done = [row for row, answer in enumerate(answers) if isinstance(answer, _Done)]
    lost = list(_lost(manifest, answers))
    failed = pd.DataFrame(lost, columns=["path", "reason"], dtype="str")
    facts = {
        "normalised": {"from": manifest.name, "sha256": manifest.sha256, "left_out": len(lost), **asdict(settings)},
        **{key: fact for key, fact in manifest.facts.items() if key == "split"},
    }
    table = _table(manifest, settings, tasks, answers, done)
    copied = replace(manifest, name=name, path=None, root=to, table=table, facts=facts)
    fresh = sum(1 for answer in answers if isinstance(answer, _Done) and answer.written)
    too_small = int(failed["reason"].str.contains("--enlarge", regex=False).sum())
    return Copied(copied, fresh, len(done) - fresh, failed, too_small)


def _lost(manifest: Manifest, answers: list[_Done | str]) -> Iterator[tuple[str, str]]:
    for name, answer in zip(full_names(manifest.table), answers, strict=True):
        if isinstance(answer, str):
            yield name, answer


def _table(
    manifest: Manifest, settings: NormaliseSettings, tasks: list[_Task], answers: list[_Done | str], done: list[int]
) -> pd.DataFrame:
    """The rows that were copied, with their new paths, masks and boxes, and what the originals were called."""
    originals = full_names(manifest.table.iloc[done])
    table = manifest.table.iloc[done].reset_index(drop=True)
    table["path"] = [tasks[row].name for row in done]
    if "mask" in table:
        table["mask"] = [tasks[row].mask_name for row in done]
    if set(BOX) <= set(table.columns) and settings.boxes == "keep":
        boxes = [answer.box or (None,) * 4 for answer in answers if isinstance(answer, _Done)]
        for column, edges in zip(BOX, zip(*boxes, strict=True), strict=True):
            table[column] = pd.array(list(edges), dtype="Int64")
    gone = ["member", "frame", *(BOX if settings.boxes == "cut" else ())]
    table = table.drop(columns=[column for column in gone if column in table])
    if "original" not in table:
        table["original"] = originals
    return table
