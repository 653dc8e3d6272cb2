"""Images as they are given on the command line: files, folders, archives and videos."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from probekit import sources
from probekit.errors import ImageError, UsageError
from probekit.layouts.files import list_files
from probekit.sources import ARCHIVES, VIDEOS, Sample


def list_images(inputs: Sequence[Path], frames: int = 8) -> tuple[list[Sample], tuple[str, ...]]:
    """Files as given and the images in folders and archives, sorted, each once; and what these hold beside images.

    Args:
        inputs: files, folders and archives.
        frames: of each video, so many of its frames; 0 leaves videos out.

    Raises:
        UsageError: a folder or archive holds no image, or nothing is given; or PyAV is not installed for a video.
    """
    found: dict[Sample, None] = {}
    notes = []
    for given in inputs:
        if not frames and given.suffix.lower() in VIDEOS:
            notes.append(f"{given}: a video, left out by --frames 0.")
            continue
        if not os.path.isdir(given) and given.suffix.lower() not in ARCHIVES:  # noqa: PTH112  # Path.is_dir raises for
            found |= dict.fromkeys(_frames(Sample(str(given)), str(given), frames))  # a name that is too long
            continue
        listed = list_files(given)
        inside: dict[Sample, None] = {}
        others = []
        for file in listed.files:
            if file.is_image or (frames and file.suffix in VIDEOS):
                sample = Sample(str(listed.root / file.path), file.member)
                inside |= dict.fromkeys(_frames(sample, file.place, frames))
            else:
                others.append(file.name)
        others += [path for path, _ in listed.ignored]
        if not inside:
            raise UsageError(f"{given} holds no image ({len(others)} other files): give images or their folder.")
        if others:
            several = len(others) > 1
            what = f"{len(others)} files are no images by name" if several else "1 file is no image by name"
            notes.append(f"{given}: {what}, and left out ({'first: ' * several}{others[0]}).")
        found |= inside
    if not found:
        why = f" ({notes[0].removesuffix('.')})" if notes else ""
        raise UsageError(f"there is no image{why}: give images, folders or a manifest.")
    return list(found), tuple(notes)


def _frames(sample: Sample, name: str, most: int) -> list[Sample]:
    """The image itself; of a video some of its frames. One that cannot be read is one frame, and fails as such."""
    if not most or PurePath(name).suffix.lower() not in VIDEOS:
        return [sample]
    try:
        return [sample._replace(frame=number) for number in sources.frame_numbers(sample, most)]
    except ImageError:
        return [sample._replace(frame=0)]
