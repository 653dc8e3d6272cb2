"""Small pictures of samples, for sheets and pages; a file that is gone since it was read has none."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from probekit.arrays import UInt8
    from probekit.sources import Sample


def jpeg(sample: "Sample", side: int) -> bytes | None:
    """A JPEG at most `side` pixels wide and high; None if the image cannot be read any more."""
    from probekit import sources
    from probekit.errors import ImageError

    try:
        return sources.thumbnail(sample, side)
    except ImageError:
        return None


def pixels(sample: "Sample", side: int) -> "UInt8[np.ndarray, 'h w 3'] | None":
    """The pixels of that JPEG."""
    import numpy as np
    from PIL import Image

    found = jpeg(sample, side)
    return None if found is None else np.asarray(Image.open(io.BytesIO(found)).convert("RGB"))
