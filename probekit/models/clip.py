"""`clip`: OpenAI's ViT-L/14 with QuickGELU, Radford et al. 2021, arXiv:2103.00020, through open_clip.

`proj`, not L2-normalised, is the feature of UniversalFakeDetect (Ojha et al. 2023, arXiv:2302.10174).
"""

from pathlib import Path

from probekit import models
from probekit.models import Model
from probekit.models.open_clip import find_tower


@models.add("clip")
def find(name: str, file: Path | None) -> Model:
    """OpenAI's CLIP ViT-L/14 at 224 pixels."""
    return find_tower(name, "ViT-L-14", "openai", file)
