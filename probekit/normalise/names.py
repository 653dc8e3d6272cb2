"""Where each copy lies: the paths of the sources mirrored, and never two sources at one place.

    real/a.jpg → images/real/a.jpg         fakes.zip, member x/a.png → images/fakes.zip/x/a.png.jpg
    real/a.png → images/real/a.png.jpg     clip.mp4, frame 12        → images/clip.mp4/frame000012.jpg

Names inside archives are cut into harmless parts: no copy lies outside its folder. Where two names differ in case only,
or would be the same, each gets eight digits of its own.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath

from probekit.sources import Sample

IMAGES, MASKS = "images", "masks"
ELSEWHERE = "elsewhere"
"""The folder of copies whose sources lie outside the manifest's root."""

_UNSAFE = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')


def names_of(samples: Sequence[Sample], root: Path, suffix: str) -> list[str]:
    """Relative path of each sample's copy; equal samples have the same.

    Args:
        samples: with absolute paths.
        root: absolute; what lies below it keeps its folders.
        suffix: how the names end.
    """
    first = {sample: _name(sample, str(root), suffix) for sample in dict.fromkeys(samples)}
    taken = Counter(name.casefold() for name in first.values())
    unique = {
        sample: name if taken[name.casefold()] == 1 else f"{name.removesuffix(suffix)}~{_digits(sample.name)}{suffix}"
        for sample, name in first.items()
    }
    return [f"{IMAGES}/{unique[sample]}" for sample in samples]


def mask_names(names: Sequence[str], masks: Sequence[str]) -> list[str]:
    """Relative path of the mask of each copy; empty where there is none.

    The boxes of one picture may have masks of their own: then each source has a place, with sixteen digits of its path.

    Args:
        names: of the copies, as `names_of` has them.
        masks: paths of their sources; empty where there is none.
    """
    each = {(name, mask) for name, mask in zip(names, masks, strict=True) if mask}
    several = Counter(name for name, _ in each)
    return [_mask_name(name, mask if several[name] > 1 else "") if mask else ""
            for name, mask in zip(names, masks, strict=True)]  # fmt: skip


def _mask_name(name: str, apart: str) -> str:
    name = f"{MASKS}/{name.removeprefix(IMAGES + '/')}"
    return f"{name.removesuffix('.png')}~{_digits(apart, 16)}.png" if apart else f"{name.removesuffix('.png')}.png"


def _name(sample: Sample, root: str, suffix: str) -> str:
    inside = os.path.relpath(sample.path, root) if sample.path.startswith(root.rstrip(os.sep) + os.sep) else ""
    if not inside:
        folder, _, file = sample.path.rpartition(os.sep)
        inside = f"{ELSEWHERE}/{PurePath(folder).name}-{_digits(folder)}/{file}"
    parts = [*PurePath(inside).parts] + [
        _safe(part) for part in PurePosixPath(sample.member).parts if part not in ("/", "..")
    ]
    if sample.frame is not None:
        parts.append(f"frame{sample.frame:06d}")
    if sample.box is not None:
        parts[-1] += "@" + "-".join(map(str, sample.box))
    name = "/".join(parts)
    return name if name.endswith(suffix) else name + suffix


def _safe(part: str) -> str:
    return _UNSAFE.sub("_", part)


def _digits(text: str, count: int = 8) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:count]
