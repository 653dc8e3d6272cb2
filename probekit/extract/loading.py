"""Loading: threads read, hash, decode and crop the next unit while the models work on the current one."""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from probekit import images
from probekit.errors import ImageError
from probekit.extract.plan import Plan, Unit
from probekit.keys import file_digest, sample_key
from probekit.views import View

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Loaded:
    """One sample as a thread left it; without crops when every store has it, or when there is a reason."""

    row: int
    digest: bytes | None = None
    status: os.stat_result | None = None
    key: bytes | None = None
    crops: "dict[View, Tensor]" = field(default_factory=dict)
    refused: dict[View, str] = field(default_factory=dict)
    """Views that cannot show this image, and why."""
    reason: str | None = None
    """Why no model can see it."""


def stream(units: Iterable[Unit], plan: Plan, workers: int) -> Iterator[tuple[Unit, list[Loaded]]]:
    """Each unit with its samples loaded; while one is used, the next is loading."""
    with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
        current: tuple[Unit, list[Future[Loaded]]] | None = None
        try:
            for unit in units:
                following = (unit, [pool.submit(_load, int(row), plan, unit) for row in unit.rows])
                if current:
                    yield current[0], [future.result() for future in current[1]]
                current = following
            if current:
                yield current[0], [future.result() for future in current[1]]
        finally:
            pool.shutdown(cancel_futures=True)


def _load(row: int, plan: Plan, unit: Unit) -> Loaded:
    path = Path(plan.samples.paths[row])
    try:
        status = path.stat()
        data = images.read_bytes(path)
    except FileNotFoundError:
        return Loaded(row, reason="there is no such file")
    except ImageError as error:
        return Loaded(row, reason=str(error).removeprefix(f"{path}: "))
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero byte
        return Loaded(row, reason=f"it cannot be opened ({error})")
    digest = file_digest(data)
    key = sample_key(digest, plan.samples.parts[row])
    try:
        pixels = _box(images.decode(data), plan.samples.parts[row])
    except ImageError as error:
        return Loaded(row, digest, status, key, reason=str(error))
    crops, refused = {}, {}
    for view in {target.view for target in unit.targets}:
        try:
            crops[view] = view.apply(pixels)[0]
        except ImageError as error:  # of this view alone: other models may see the image
            refused[view] = str(error)
    return Loaded(row, digest, status, key, crops, refused)


def _box(pixels: "Tensor", part: Mapping[str, int] | None) -> "Tensor":
    """The part of an image inside the manifest's box (half-open, pixels), or all of it.

    Raises:
        ImageError: the box reaches beyond the image.
    """
    if not part or "x0" not in part:
        return pixels
    x0, y0, x1, y1 = (part[name] for name in ("x0", "y0", "x1", "y1"))
    height, width = pixels.shape[1:]
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        raise ImageError(f"its box {x0},{y0},{x1},{y1} reaches beyond the image ({width} × {height})")
    return pixels[:, y0:y1, x0:x1]
