"""What an extraction is asked for."""

from dataclasses import dataclass
from typing import Literal

from probekit.store.settings import NumberFormat, Precision


@dataclass(frozen=True)
class ExtractSettings:
    """What decides the features, besides the manifest."""

    models: tuple[str, ...]
    taps: tuple[str, ...] = ()
    """Requests for taps, in the grammar of `models.requests`; none means each model's default tap."""
    view: str | None = None
    """A policy of `views.POLICIES` in place of each model's own; `texture:3` for another number of crops."""
    perturb: tuple[str, ...] = ()
    """Chains of perturbations, or presets, in the grammar of `probekit.perturbations`; every model sees the images
    under each. Without any: the clean view alone, which `none` adds to others."""
    decoder: Literal["", "nvjpeg"] = ""
    """`nvjpeg`: JPEG files are decoded on the GPU, whose pixels differ from the CPU's by a few levels."""
    precision: Precision | None = None
    """None: bfloat16 where the hardware computes it fast, else float32."""
    compile: bool = False
    """Translate networks by torch.compile: their last bits differ, so they have stores of their own."""
    dtype: NumberFormat = "float16"
    """Number format in the store."""
