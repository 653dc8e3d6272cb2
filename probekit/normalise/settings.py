"""What normalised copies are like."""

from dataclasses import dataclass
from typing import Literal

from probekit.errors import UsageError
from probekit.registry import one_of

Format = Literal["jpeg", "png"]
Boxes = Literal["cut", "keep"]

FORMATS: tuple[Format, ...] = ("jpeg", "png")
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
BOXES: tuple[Boxes, ...] = ("cut", "keep")
LARGEST = 16_384


@dataclass(frozen=True)
class NormaliseSettings:
    """All of it decides the bytes of the copies, together with the versions of Pillow and its libjpeg."""

    size: int = 256
    """Pixels of each side."""
    quality: int = 95
    """Factor of JPEG copies, 1 … 100."""
    format: str = "jpeg"
    """A name in `FORMATS`."""
    subsampling: str = "4:2:0"
    """Of the chroma of JPEG copies, a name in `SUBSAMPLINGS`."""
    resize: bool = True
    """The largest central square is resized (antialiased, Lanczos); else the central `size` pixels are taken as they
    are, which keeps the traces of single pixels."""
    enlarge: bool = False
    """Pictures that are smaller are resized up; else they are left out, counted and listed."""
    boxes: str = "cut"
    """`cut`: of a sample with a box, the box is the picture. `keep`: the whole picture is copied, and the box moves
    along."""

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LARGEST:
            raise UsageError(f"--size {self.size}: give 1 to {LARGEST} pixels.")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"--quality {self.quality}: give 1 to 100.")
        one_of("--format", self.format, FORMATS)
        one_of("--subsampling", self.subsampling, SUBSAMPLINGS)
        one_of("--boxes", self.boxes, BOXES)

    @property
    def suffix(self) -> str:
        """How the names of copies end."""
        return {"jpeg": ".jpg", "png": ".png"}[self.format]
