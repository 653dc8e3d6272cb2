"""A process that extracts on a cluster, and may die on the way: `python clustered.py IMAGES CACHE ADDRESS [DIE_AT]`.

Without an address (`none`) it extracts itself. With a number it is killed when so many images are done.
"""

import os
import signal
import sys
from pathlib import Path

from probekit.extract import ClusterSettings, ExtractSettings, Progress, extract
from tests.extract.conftest import manifest_of

if __name__ == "__main__":
    images, cache, address, *rest = sys.argv[1:]
    die_at = int(rest[0]) if rest else float("inf")

    def die(progress: Progress) -> None:
        if progress.computed >= die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    extract(
        manifest_of(Path(images), sorted(path.name for path in Path(images).iterdir())),
        ExtractSettings(("srm",)),
        cache=Path(cache),
        cluster=ClusterSettings(address) if address != "none" else None,
        device="cpu",
        batch_size=4,
        unit_size=4,
        on_progress=die,
    )
