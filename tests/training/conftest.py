"""Tiny trainings on real image files."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from probekit.attribution import AttributionSettings
from probekit.attribution import Question as Attribution
from probekit.manifest import Manifest
from probekit.pairs import PairSettings
from probekit.pairs import Question as Pairs
from probekit.training import Lesson, Trained, TrainSettings, train
from tests.training.material import manifest_of


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return manifest_of(tmp_path_factory.mktemp("pictures"))


def lesson_of(manifest: Manifest, train: str = "lama", task: str = "binary") -> Lesson:
    if task == "binary":
        (asked,) = Pairs.of(manifest.table, PairSettings(train=train)).training_sets()
        return Lesson.of(manifest.table, asked, ("real", "fake"))
    question = Attribution.of(manifest.table, AttributionSettings(generators=train))
    return Lesson.of(manifest.table, question.training_sets()[0], question.names)


@pytest.fixture
def damaged(manifest: Manifest) -> Iterator[Callable[[Sequence[int]], None]]:
    """Damages the pictures of rows of the manifest, until the end of the test."""
    kept: dict[Path, bytes] = {}

    def damage(rows: Sequence[int]) -> None:
        for path in manifest.table["path"].iloc[list(rows)]:
            file = manifest.root / path
            kept[file] = file.read_bytes()
            file.write_bytes(kept[file][:100])

    yield damage
    for file, content in kept.items():
        file.write_bytes(content)


@pytest.fixture
def learn(manifest: Manifest, tmp_path: Path) -> Callable[..., Trained]:
    """Trains a tiny network, from scratch unless told otherwise."""

    def train_one(
        lesson: str = "lama", task: str = "binary", name: str = "one", arch: str = "test_resnet", **options: object
    ) -> Trained:
        keywords = {key: options.pop(key) for key in ("weights", "force", "on_progress", "workers") if key in options}
        settings = TrainSettings(arch, **{"scratch": True, "size": 32, "batch_size": 4} | options)
        place = tmp_path / "cache" / "networks" / name
        return train(manifest, lesson_of(manifest, lesson, task), task, settings, place=place, **keywords)

    return train_one
