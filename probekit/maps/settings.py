"""What decides where a sample lies."""

from dataclasses import dataclass, field

from probekit.errors import UsageError
from probekit.fingerprint import ADDED_LATER

MULTISCALE = "multiscale"

Perplexity = float | tuple[float, ...] | str
"""One number, several that are averaged, or `multiscale`."""


@dataclass(frozen=True)
class MapSettings:
    """What decides where a sample lies, and what the map is measured by."""

    condition: str = "zscore"
    """As for probes, fitted to all samples: a map is a description, nothing is tested on it."""
    pca: int = 50
    """Dimensions kept before the layout."""
    perplexity: Perplexity | None = None
    """Of t-SNE alone, by size: None is 30, or (n - 1) / 3 for fewer than 91 samples; `multiscale` is 30 and n / 100."""
    neighbours: int = 10
    """Nearest neighbours whose generators make the purity."""
    quality_sample: int = 3000
    """Beyond this many samples, trustworthiness and purity are measured on a seeded random subset."""
    seed: int = 0
    method: str = field(default="tsne", metadata=ADDED_LATER)
    """A name in `maps.methods`."""
    size: int | None = field(default=None, metadata=ADDED_LATER)
    """Map a seeded sample of so many, every generator in proportion; None maps all."""

    def __post_init__(self) -> None:
        if isinstance(self.perplexity, str) and self.perplexity != MULTISCALE:
            raise UsageError(f"--perplexity {self.perplexity}: give a number, several as 30,100, or {MULTISCALE}.")
        if self.size is not None and self.size < 1:
            raise UsageError(f"--size {self.size}: map at least one sample.")
