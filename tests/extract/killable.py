"""A process that extracts and logs every image that goes through the model: `python -m tests.extract.killable …`."""

import os
import sys
from pathlib import Path

from probekit import models
from probekit.extract import ExtractSettings, extract
from probekit.store import store
from tests.extract.conftest import manifest_of

MODEL = "srm"


def logging_forward_passes(build, log: Path):
    """The same model, with the pixels' digests of each forward pass appended to a log."""
    import hashlib

    def load(*arguments):
        net = build(*arguments)

        def forward(batch, taps):
            lines = [hashlib.sha256(pixels.numpy().tobytes()).hexdigest() for pixels in batch.pixels]
            with log.open("a") as file:
                file.write("".join(f"{os.getpid()} {line}\n" for line in lines))
            return net(batch, taps)

        return forward

    return load


def main(root: Path, cache: Path, log: Path, unit_size: int) -> None:
    from dataclasses import replace

    extract_module = sys.modules[extract.__module__]
    extract_module.FOLD_PARTS = store.FOLD_PARTS = 2  # so that a short life folds, and remembers keys
    extract_module.INDEX_PART = 2 * unit_size
    found = models.find
    models.find = lambda name, weights=None: (
        model := found(name, weights),
        replace(model, build=logging_forward_passes(model.build, log)),
    )[1]
    names = sorted(path.name for path in root.iterdir())
    manifest = manifest_of(root, names)
    extract(
        manifest, ExtractSettings((MODEL,)), cache=cache, unit_size=unit_size, batch_size=4, workers=2, device="cpu"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
