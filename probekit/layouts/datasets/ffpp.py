"""FaceForensics++ (Rössler et al., ICCV 2019, arXiv:1901.08971), with DFD, which comes with it.

A fake's name is `TARGET_SOURCE`; what pairs link is one group. The authors' `train.json`, `val.json` and `test.json`,
anywhere below the root, say the split. Both are for the frames of a video as for the video itself.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from probekit.errors import ManifestError
from probekit.layouts import layouts
from probekit.layouts.files import Files, IgnoredFile, list_files
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.source_videos import source_groups, split_videos
from probekit.layouts.trees import ANYWHERE, Found, Rule, Tree, read_tree
from probekit.sources import VIDEOS

SPLIT_LISTS = r"(?:.*/)?(?:train|val|test)\.json"
"""Where the authors' split stands."""
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")

_WHERE = "(?P<compression>raw|c0|c23|c40)/(?:videos|frames|images)/(?P<video>[^/]+)(?:/(?P<stem>[^/]+))?"
_ANY_QUALITY = "(?:(?:raw|c0|c23|c40)/)?"  # masks of one serve all
_MASKS = _ANY_QUALITY + "masks/" + _ANY_QUALITY + "(?:videos/|frames/|images/)?(?P<video>[^/]+)(?:/(?P<stem>[^/]+))?"
_PAIR = {"pair": "{class}/{video}/{stem}"}
_FAKE, _DFD = {"label": "1", "domain": "ff", **_PAIR}, {"label": "1", "domain": "dfd", **_PAIR}
_ORIGINALS = ANYWHERE + "original_sequences/"
_MANIPULATED = ANYWHERE + "manipulated_sequences/"
_ANY, _ACTORS = "(?P<class>[^/]+)/", "(?P<class>DeepFake[s]?Detection)/"

REALS = Rule(_ORIGINALS + "youtube/" + _WHERE, {"class": "real", "label": "0", "domain": "ff"})


def link_videos(table: pd.DataFrame, files: Files, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    """The table with the groups of its videos and, where the authors' lists are, the split of those without one.

    Raises:
        ManifestError: a list of the split is no list of pairs.
    """
    videos = list(zip(table["domain"], table["video"], strict=True))
    group_of = source_groups(videos)
    table = table.assign(group=[group_of[video] for video in videos])
    notes = _describe_groups(table)
    split_of = read_splits([files, *(list_files(place) for domain, place in options.reals.items() if domain == "ff")])
    own = split_videos(table.loc[table["domain"] == "ff", "video"], split_of)
    listed = table["video"].map(own).where(table["domain"] == "ff", "").fillna("")
    given = table["split"] if "split" in table else pd.Series("", table.index)
    if not split_of and not (given != "").any():
        notes.append("no train.json, val.json and test.json here: the authors' split is not used")
    return table.assign(split=given.where(given != "", listed)), notes


def read_splits(places: list[Files]) -> dict[str, str]:
    """For each recording of FaceForensics++ its split, from the JSON lists of pairs below the folders."""
    return {recording: split for files in places for path, split in _lists(files) for recording in _recordings(path)}


def _lists(files: Files) -> Iterator[tuple[Path, str]]:
    for file in files.files:
        if not file.member and re.fullmatch(SPLIT_LISTS, file.place):
            yield files.root / file.path, file.stem


def _recordings(path: Path) -> Iterator[str]:
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read ({error}): correct it, or remove it.") from error
    if not (isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)):
        raise ManifestError(f'{path} is no list of pairs such as [["071", "054"]]: correct it, or remove it.')
    for pair in pairs:
        yield from map(str, pair)


def _describe_groups(table: pd.DataFrame) -> list[str]:
    videos = table.drop_duplicates(["domain", "class", "video"])
    notes = []
    for domain in ("ff", "cdf", "dfd"):
        sizes = videos.loc[videos["domain"] == domain, "group"].value_counts()
        if len(sizes):
            found = f"{sizes.sum()} videos of {len(sizes)} groups of recordings"
            notes.append(f"{domain}: {found}, at most {sizes.max()} in one")
    return notes


def _prefer_frames(found: list[Found]) -> tuple[list[Found], list[IgnoredFile]]:
    """Not a video and its extracted frames, too."""
    places = [(about.get("class", ""), about["compression"], about["video"]) for _, about in found]
    extracted = {place for place, (file, _) in zip(places, found, strict=True) if file.suffix not in VIDEOS}
    kept, left_out = [], []
    for place, one in zip(places, found, strict=True):
        if one.file.suffix in VIDEOS and place in extracted:
            left_out.append(IgnoredFile(one.file.name, "a video whose extracted frames are here"))
        else:
            kept.append(one)
    return kept, left_out


def _finish(table: pd.DataFrame, files: Files, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    table, notes = link_videos(table, files, options)
    found = sorted(set(table["compression"]))
    if len(found) > 1:
        notes.append(f"videos are here as {' and '.join(found)}: --only compression={found[0]} takes one of them")
    return table, notes


TREE = Tree(
    "ffpp",
    rules=(
        REALS,
        Rule(_ORIGINALS + "actors/" + _WHERE, {"class": "real", "label": "0", "domain": "dfd"}),
        Rule(_MANIPULATED + _ACTORS + _WHERE, _DFD),
        Rule(_MANIPULATED + _ANY + _WHERE, _FAKE),
        Rule(_MANIPULATED + _ANY + _MASKS, _PAIR, use="mask"),
    ),
    complete=METHODS,
    reads=SPLIT_LISTS,
    choose=_prefer_frames,
    finish=_finish,
)


@layouts.add("ffpp")
def ffpp(root: Path, options: ImportOptions) -> Listing:
    """`{original,manipulated}_sequences/METHOD/COMPRESSION/{videos,frames,images,masks}`."""
    return read_tree(root, options, TREE)
