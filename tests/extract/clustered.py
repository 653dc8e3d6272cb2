"""A process that extracts on a cluster and prints how far it is: `python clustered.py IMAGES CACHE ADDRESS`."""

import sys
from pathlib import Path

from probekit.extract import ClusterSettings, ExtractSettings, extract
from tests.extract.conftest import manifest_of

if __name__ == "__main__":
    images, cache, address = sys.argv[1:]
    extract(
        manifest_of(Path(images), sorted(path.name for path in Path(images).iterdir())),
        ExtractSettings(("srm",)),
        cache=Path(cache),
        cluster=ClusterSettings(address) if address != "none" else None,
        device="cpu",
        batch_size=4,
        unit_size=4,
        on_progress=lambda progress: print(progress.computed, flush=True),
    )
