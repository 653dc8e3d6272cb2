"""A process that extracts and logs every image that goes through the model: `python -m tests.extract.killable …`."""

import os
import sys
import time
from pathlib import Path

from probekit import models
from probekit.extract import ExtractSettings, extract, lane, work
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


def wait_for_the_others(gate: Path) -> None:
    """Return once `gate/go` exists, after telling that this process has got so far."""
    (gate / str(os.getpid())).touch()
    while not (gate / "go").exists():
        time.sleep(0.01)


def main(root: Path, cache: Path, log: Path, unit_size: int, gate: Path | None) -> None:
    from dataclasses import replace

    lane.FOLD_PARTS = store.FOLD_PARTS = 2  # so that a short life folds, and remembers keys
    work.INDEX_PART = 2 * unit_size
    found = models.find
    models.find = lambda name, weights=None: (
        model := found(name, weights),
        replace(model, build=logging_forward_passes(model.build, log)),
    )[1]
    names = sorted(path.name for path in root.iterdir())
    manifest = manifest_of(root, names)
    if gate:
        wait_for_the_others(gate)
    extract(
        manifest, ExtractSettings((MODEL,)), cache=cache, unit_size=unit_size, batch_size=4, workers=2, device="cpu"
    )


if __name__ == "__main__":
    images, store_folder, passes, size, *gates = sys.argv[1:]
    main(Path(images), Path(store_folder), Path(passes), int(size), Path(gates[0]) if gates else None)
