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
from probekit.layouts.listing import IgnoredFile, ImportOptions, Listing, is_image, list_files, not_an_image

_IMAGES = "images"


@layouts.add("class-folders")
def class_folders(root: Path, options: ImportOptions) -> Listing:
    """Every image below a folder of ROOT; the folder's name is its class."""
    files, ignored = list_files(root)
    rows, expected = [], Counter[tuple[str, str]]()
    masks: dict[str, str] = {}
    for path in files:
        place = [part for part in path.parts if part not in (options.masks, _IMAGES)]
        place[-1] = path.stem
        if len(place) == 1:
            ignored.append(IgnoredFile(str(path), "lies in no class folder"))
            continue
        key = "/".join(place)
        is_mask = options.masks in path.parts[:-1]
        expected[place[0], ""] += not is_mask
        if not is_image(path):
            ignored.append(not_an_image(path))
        elif not is_mask:
            rows.append({"path": str(path), "class": place[0], "key": "/".join(place[1:]), "place": key})
        elif masks.setdefault(key, str(path)) != str(path):
            ignored.append(IgnoredFile(str(path), f"a second mask beside {masks[key]}"))
    table = pd.DataFrame(rows, columns=["path", "class", "key", "place"], dtype="str")
    notes = _check_folders(table, root)
    if masks:
        table["mask"] = [masks.get(key, "") for key in table["place"]]
        unused = sorted(set(masks.values()) - set(table["mask"]))
        ignored += [IgnoredFile(path, "a mask of no image") for path in unused]
        notes += _mask_notes(table)
    return Listing(root, table.drop(columns="place"), sorted(ignored), notes, expected, source=str(root))


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
