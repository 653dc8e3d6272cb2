"""DeepfakeBench's JSON (Yan et al., NeurIPS 2023, arXiv:2307.01426), also that of DF40 and of DeepfakeGenome.

`{dataset: {label: {split: {compression: {video: {label, frames: [path, …]}}}}}}`; split and compression may be absent.
A label that ends in `_real` or is `real` means real, any other is a generator's, `_fake` at its end left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from probekit.errors import ManifestError, UsageError
from probekit.layouts import layouts
from probekit.layouts.classes import SPLIT_NAMES
from probekit.layouts.listed import list_rows
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.names import find_generator
from probekit.layouts.source_videos import source_groups
from probekit.layouts.trees import Tree

TREE = Tree("deepfakebench", ())

_KIND = re.compile(r"(?:(?P<name>.+)[_-])?(?P<kind>real|fake)", re.IGNORECASE)
_COMPRESSIONS = ("raw", "c0", "c23", "c40")
_DOMAINS = (
    (re.compile(r"FaceForensics.*|FF-.*|FaceShifter|.*_ff", re.IGNORECASE), "ff"),
    (re.compile(r"Celeb-DF-v2|.*_cdf", re.IGNORECASE), "cdf"),
    (re.compile(r"DeepFakeDetection|DFD", re.IGNORECASE), "dfd"),
)
"""Which data set the images of an entry come from, by the entry's name; others are domains of their own."""


@layouts.add("deepfakebench")
def deepfakebench(root: Path, options: ImportOptions) -> Listing:
    """The frames in the JSON file or folder of `--listing`, else of the JSON files in ROOT or ROOT/dataset_json."""
    files = _find(options.listing or root)
    table = pd.DataFrame([row for file in files for row in _rows(file)])
    if table.empty:
        raise UsageError(f"{files[0]} names no frames: give the JSON files of DeepfakeBench with --listing.")
    videos = list(zip(table["domain"], table["video"], strict=True))
    group_of = source_groups(videos)
    table["group"] = [group_of[video] for video in videos]
    table["_known"] = table["class"].map(_is_known)  # `simswap` counts before `FSAll`
    table = table.sort_values("_known", kind="stable").drop(columns="_known").reset_index(drop=True)
    return list_rows(root if root.is_dir() else root.parent, table, [], TREE, ", ".join(file.name for file in files))


def _find(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    files = sorted(place.glob("*.json")) or sorted(place.glob("dataset_json/*.json"))
    if not files:
        raise UsageError(f"{place} holds no JSON file: give those of DeepfakeBench with --listing FILE or DIR.")
    return files


def _rows(file: Path) -> Iterator[dict[str, str]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"{file} cannot be read ({error}): correct it, or leave it out.") from error
    for trail, video in _videos(content, ()):
        if len(trail) < 3:
            raise ManifestError(f"{file}: {'/'.join(trail)} has frames, but no data set, label and video above it.")
        about = _describe(trail, video)
        masks = {Path(path).stem: path for path in video.get("masks", ())}
        for frame in video["frames"]:
            yield {**about, "path": frame, "mask": masks.get(Path(frame).stem, "")}


def _videos(node: Any, trail: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:  # noqa: ANN401  # JSON
    """Every entry with frames and the names above it."""
    if not isinstance(node, dict):
        return
    if isinstance(node.get("frames"), list):
        yield trail, node
        return
    for name, below in node.items():
        yield from _videos(below, (*trail, name))


def _describe(trail: tuple[str, ...], video: Mapping[str, Any]) -> dict[str, str]:
    dataset, label, *between = trail
    label = str(video.get("label", "")) if isinstance(video.get("label"), str) else label
    levels = between[:-1]
    match = _KIND.fullmatch(label)
    real = match is not None and match["kind"].lower() == "real"
    name = (match["name"] or dataset) if match else label
    return {
        "class": "real" if real else name,
        "label": "0" if real else "1",
        "domain": next((domain for pattern, domain in _DOMAINS if pattern.fullmatch(dataset)), dataset),
        "split": next((SPLIT_NAMES[level.lower()] for level in levels if level.lower() in SPLIT_NAMES), ""),
        "compression": next((level for level in levels if level in _COMPRESSIONS), ""),
        "video": between[-1],
    }


def _is_known(name: str) -> bool:
    return find_generator(name, TREE.dataset) is not None
