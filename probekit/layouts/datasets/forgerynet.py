"""ForgeryNet (He et al., CVPR 2021, arXiv:2103.05630): images and videos in lists with their classes.

A line of `image_list*.txt` is `path binary triple class`, a line of `video_list*.txt` is `n path n × (start length
fake) binary triple class`. Of the 16 classes 0 is real; a fake video is fake in the named segments alone, and only
frames of those are taken.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from probekit.errors import ImageError, ManifestError, UsageError
from probekit.layouts import layouts
from probekit.layouts.classes import SPLIT_NAMES
from probekit.layouts.files import which_exist
from probekit.layouts.listed import list_rows
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.trees import Tree
from probekit.sources import Sample, frame_numbers

CLASSES = (
    *("real", "FaceShifter", "FS-GAN", "DeepFakes", "BlendFace", "MMReplacement", "DeepFakes-StarGAN-Stack"),
    *("Talking Head Video", "ATVG-Net", "StarGAN-BlendFace-Stack", "First Order Motion", "StyleGAN2", "MaskGAN"),
    *("StarGAN2", "SC-FEGAN", "DiscoFaceGAN"),
)
"""The approaches by their number in the lists."""
TREE = Tree("forgerynet", (), complete=CLASSES[1:])

_FOLDERS = ("", "images", "image", "image2", "videos", "video")
"""Where paths of a list may begin, below its folder."""


@layouts.add("forgerynet")
def forgerynet(root: Path, options: ImportOptions) -> Listing:
    """`{Training,Validation,Test}/{image,video}_list*.txt`, images in `images`, masks in `spatial_localize`."""
    images, videos = _find_lists(root, "image_list*.txt"), _find_lists(root, "video_list*.txt")
    if not images and not videos:
        raise UsageError(f"{root} has no Training/image_list….txt or the like: unpack the lists beside the images.")
    rows = [row for file in images for row in _image_rows(root, file)]
    notes = list[str]()
    if options.frames:
        rows += [row for file in videos for row in _video_rows(root, file, options.frames, notes)]
    elif videos:
        notes.append("videos are left out (--frames 0)")
    table = pd.DataFrame(rows).fillna("").assign(domain="forgerynet")
    return list_rows(root, table, notes, TREE, str(root))


def _find_lists(root: Path, pattern: str) -> list[Path]:
    return sorted({*root.glob(pattern), *root.glob(f"*/{pattern}"), *root.glob(f"*/*/{pattern}")})


def _split_of(file: Path, root: Path) -> str:
    """The split that a list's folder or its own name speaks of; empty if none does."""
    for part in (*file.relative_to(root).parts[:-1], *file.stem.split("_")):
        if part.lower() in SPLIT_NAMES:
            return SPLIT_NAMES[part.lower()]
    return ""


def _image_rows(root: Path, file: Path) -> Iterator[dict[str, str]]:
    lines = list(_lines(file, fields=4))
    base = _base(root, file, [line[0] for line in lines])
    split = _split_of(file, root)
    for path, *labels in lines:
        row = _row(base, path, labels[:3], split, file)
        row["mask"] = _mask(file.parent.relative_to(root).as_posix(), path) if row["label"] == "1" else ""
        yield row


def _video_rows(root: Path, file: Path, most: int, notes: list[str]) -> Iterator[dict[str, str]]:
    lines = list(_lines(file, fields=5))
    base = _base(root, file, [line[1] for line in lines])
    split, genuine = _split_of(file, root), 0
    for segments, path, *rest in lines:
        row = _row(base, path, rest[-3:], split, file)
        fake = _fake_frames(file, path, segments, rest)
        try:
            numbers = frame_numbers(Sample(str(root / row["path"])), most)
        except ImageError:
            yield {**row, "frame": "0"}  # not there: counted as missing
            continue
        taken = [number for number in numbers if rest[-1] == "0" or number in fake]
        genuine += len(numbers) - len(taken)
        yield from ({**row, "frame": str(number)} for number in taken)
    if genuine:
        notes.append(f"{file.name}: {genuine} frames of fake videos lie outside the manipulated segments: left out")


def _fake_frames(file: Path, path: str, segments: str, fields: list[str]) -> set[int]:
    numbers = [int(field) for field in fields if field.isdecimal()]
    if not segments.isdecimal() or len(numbers) != len(fields) or len(fields) != 3 * int(segments) + 3:
        raise ManifestError(f"{file}: {path} has {len(fields) - 3} numbers for {segments} segments: correct the line.")
    triples = (numbers[3 * n : 3 * n + 3] for n in range(int(segments)))
    return {frame for start, length, fake in triples if fake for frame in range(start, start + length)}


def _row(base: str, path: str, labels: list[str], split: str, file: Path) -> dict[str, str]:
    """A listed file by its three labels: real or fake, replaced or remaining identity, and the approach."""
    binary, _, number = labels
    if not number.isdecimal() or int(number) >= len(CLASSES):
        raise ManifestError(
            f"{file}: {path} is of class {number!r}, expected 0 to {len(CLASSES) - 1}: correct the line."
        )
    if binary != str(min(int(number), 1)):
        raise ManifestError(
            f"{file}: {path} is of class {number}, but its first label is {binary!r}: correct the line."
        )
    folder = path.rpartition("/")[0]
    return {
        "path": f"{base}{path}",
        "class": CLASSES[int(number)],
        "label": binary,
        "split": split,
        "class_number": number,
        "group": f"forgerynet/{folder}" if folder.count("/") > 1 else "",
    }


def _base(root: Path, file: Path, paths: list[str]) -> str:
    """What stands before a list's paths to make them paths from `root` on: the folder where most of some are found."""
    some = paths[:: max(1, len(paths) // 50)]
    own = file.parent.relative_to(root).as_posix()
    bases = [f"{'' if own == '.' else own + '/'}{folder}{'/' if folder else ''}" for folder in _FOLDERS]
    return max(bases, key=lambda base: sum(which_exist(root, [base + path for path in some])))


def _mask(folder: str, path: str) -> str:
    """The mask of an image: `train_release/…` has it in `train_mask_release/…`, others without their first folder."""
    first, _, rest = path.partition("/")
    inside = f"{first.replace('train_release', 'train_mask_release')}/{rest}" if "train" in first else rest
    return f"{'' if folder == '.' else folder + '/'}spatial_localize/{inside}"


def _lines(file: Path, fields: int) -> Iterator[list[str]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            found = line.split()
            if found and len(found) < fields:
                raise ManifestError(
                    f"{file} line {number}: {len(found)} fields, at least {fields} are needed: correct it."
                )
            if found:
                yield found
