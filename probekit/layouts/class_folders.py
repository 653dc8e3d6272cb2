"""One folder a class: ROOT/lama/…/0001.png; folders below a class mean nothing.

Masks lie in folders called `masks`, in parallel with the images: ROOT/masks/lama/0001.png, or
ROOT/lama/masks/0001.png beside ROOT/lama/images/0001.png.
"""

from collections import Counter
from pathlib import Path, PurePosixPath

import pandas as pd

from probekit.errors import UsageError
from probekit.layouts import layouts
from probekit.layouts.classes import SPLIT_NAMES
from probekit.layouts.files import File, IgnoredFile, list_files, not_an_image
from probekit.layouts.listing import ImportOptions, Listing, list_samples, table_of

_IMAGES = "images"


@layouts.add("class-folders")
def class_folders(root: Path, options: ImportOptions) -> Listing:
    """Every image below a folder of ROOT; the folder's name is its class."""
    base, _, files, ignored = list_files(root)
    rows, expected = [], Counter[tuple[str, str]]()
    masks: dict[str, str] = {}
    for file in files:
        parts = file.parts
        place = [part for part in parts if part not in (options.masks, _IMAGES)]
        place[-1] = file.stem
        if len(place) == 1:
            ignored.append(IgnoredFile(file.name, "lies in no class folder"))
            continue
        key = "/".join(place)
        if options.masks in parts[:-1]:
            _take_mask(file, key, masks, ignored)
            continue
        samples = list_samples(file, base, options, ignored)
        expected[place[0], ""] += max(len(samples), 1)
        about = {"class": place[0], "key": "/".join(place[1:]), "place": key}
        rows += [sample | about for sample in samples]
    table = table_of(rows, ["path", "class", "key", "place"])
    notes = _check_folders(table, root)
    if masks:
        table["mask"] = [masks.get(key, "") for key in table["place"]]
        unused = sorted(set(masks.values()) - set(table["mask"]))
        ignored += [IgnoredFile(path, "a mask of no image") for path in unused]
        notes += _mask_notes(table)
    return Listing(base, table.drop(columns="place"), sorted(ignored), notes, expected, source=str(root))


def _take_mask(file: File, key: str, masks: dict[str, str], ignored: list[IgnoredFile]) -> None:
    if not file.is_image:
        ignored.append(not_an_image(file))
    elif file.member:
        ignored.append(IgnoredFile(file.name, "a mask inside an archive is not read: unpack it"))
    elif masks.setdefault(key, file.path) != file.path:
        ignored.append(IgnoredFile(file.name, f"a second mask beside {masks[key]}"))


def _check_folders(table: pd.DataFrame, root: Path) -> list[str]:
    classes = sorted(set(table["class"]))
    if classes and all(name.lower() in SPLIT_NAMES for name in classes):
        raise UsageError(
            f"{root} has folders of splits ({', '.join(classes)}), not of classes: "
            "use --layout template --template '{split}/{generator}/{name}'."
        )
    below = {part for key in table["key"] for part in PurePosixPath(key).parts[:-1]}
    splits = sorted(name for name in below if name.lower() in SPLIT_NAMES)
    if not splits:
        return []
    return [
        f"folders {', '.join(splits)} below the classes are not taken as splits: "
        "for that use --layout template --template '{generator}/{split}/{name}'"
    ]


def _mask_notes(table: pd.DataFrame) -> list[str]:
    notes = []
    for name, masks in table.groupby("class")["mask"]:
        present = int((masks != "").sum())
        if present:
            notes.append(f"{name}: {present} of {len(masks)} images have a mask")
    return notes
