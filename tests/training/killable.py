"""A process that trains a tiny network and notes each step: `python -m tests.training.killable PICTURES PLACE LOG`."""

import sys
from pathlib import Path

from probekit.training import TrainSettings, loop, train
from tests.training.conftest import lesson_of
from tests.training.material import manifest_of


def main(pictures: Path, place: Path, log: Path) -> None:
    loop.CHECKPOINT_SECONDS = 0.0
    manifest = manifest_of(pictures)
    settings = TrainSettings("test_resnet", scratch=True, size=32, batch_size=4, epochs=6, augment=("crop", "jpeg"))

    def note(progress: loop.Progress) -> None:
        with log.open("a") as file:
            file.write(f"{progress.done}\n")

    train(manifest, lesson_of(manifest), "binary", settings, place=place, on_progress=note)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
