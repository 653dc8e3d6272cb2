"""What is killed at every write: `python -m tests.crash_scenarios FOLDER EVERY NAME …` prints a report."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pyarrow.parquet  # noqa: F401  # all that is heavy is imported once, before the first fork
import safetensors.torch  # noqa: F401
import torch
import torch._dynamo
import torchvision.transforms.v2.functional  # noqa: F401
import zarr.codecs  # noqa: F401
import zarrs  # noqa: F401

import probekit.models.npr  # noqa: F401
from probekit import models
from probekit.exchange import Declared, import_features
from probekit.exchange.readers import read
from probekit.extract import ExtractSettings, extract
from probekit.features import load_features
from probekit.manifest import Manifest
from probekit.store import DONE, find_stores, swap
from probekit.upkeep import Collection
from tests.crashing import every_death
from tests.extract.conftest import manifest_of, write_image
from tests.extract.killable import logging_forward_passes

MODEL, IMAGES, UNIT = "npr", 6, 2
KEPT = (0, 2, 3)


def images(place: Path, numbers=range(IMAGES)) -> Manifest:
    return manifest_of(place / "images", [f"{number}.png" for number in numbers])


def prepare_images(place: Path) -> None:
    for number in range(IMAGES):
        write_image(place / "images" / f"{number}.png", number, size=(24, 24))
    (place / "images" / "5.png").write_bytes(b"no image")
    (place / "cache").mkdir()


def extraction(place: Path) -> None:
    found, log = models.find, place / "log"
    models.find = lambda name, weights=None: (
        model := found(name, weights),
        replace(model, build=logging_forward_passes(model.build, log)),
    )[1]
    settings = ExtractSettings((MODEL,))
    extract(images(place), settings, cache=place / "cache", unit_size=UNIT, batch_size=1, workers=1, device="cpu")


def prepare_store(place: Path) -> None:
    prepare_images(place)
    extraction(place)


def prepare_file(place: Path) -> None:
    prepare_images(place)
    np.savez(place / "given.npz", features=features_of(range(IMAGES)), paths=[f"{n}.png" for n in range(IMAGES)])


def features_of(numbers) -> np.ndarray:
    return np.array([np.arange(8) + 100 * number for number in numbers], np.float32)


def importing(place: Path) -> None:
    declared = Declared("imported:other", source="a test")
    import_features(read(place / "given.npz"), declared, cache=place / "cache", manifest=images(place))


def collecting(place: Path) -> None:
    stores = find_stores(place / "cache")[0]
    outcome = Collection(place / "cache", stores, [images(place, KEPT)]).collect()
    assert not any(isinstance(refused, str) for refused in outcome.values()), outcome


def collecting_with_two_renames(place: Path) -> None:
    swap._exchange_names = lambda *_: False
    collecting(place)


def whole(place: Path) -> list[str]:
    """What is damaged: nothing ever may be."""
    stores, damaged = find_stores(place / "cache")
    return [*damaged.values(), *(line for store in stores for line in store.verify())]


def old_or_new(place: Path) -> list[str]:
    """The same, and the one store has all its rows, or all that stay."""
    wrong = whole(place)
    (store,) = find_stores(place / "cache")[0]
    keys, crops = store.identities()
    if len(keys) not in (IMAGES, len(KEPT)):
        wrong.append(f"{len(keys)} rows")
    done = store.look_up(keys, crops, ["blocks"])[:, 0] == DONE
    store.read(keys[done], crops[done], "blocks")
    return wrong


def state(place: Path, model: str, numbers=range(IMAGES)) -> object:
    """Everything that must be as after an undisturbed run."""
    (store,) = find_stores(place / "cache")[0]
    features = load_features(images(place, numbers), model, cache=place / "cache")
    digest = hashlib.sha256(features.matrix.tobytes()).hexdigest()
    return [digest, len(features.excluded), store.rows, len(store.reasons()), list(store.verify())]


def extracted(place: Path) -> object:
    passes = [line.split()[1] for line in (place / "log").read_text().splitlines()]
    again = len(passes) - len(set(passes))
    return [*state(place, MODEL), f"{again} images computed again" if again > UNIT else "no more than a unit"]


def collected(place: Path) -> object:
    left = sorted(path.name for path in (place / "cache").glob(".*"))
    claims = sorted(path.name for path in (place / "cache").glob("*/journal/claims/[!.]*"))
    return [*state(place, MODEL, KEPT), left, [name for name in claims if name not in ("fold.lock", "zarr.json")]]


SCENARIOS = {
    "extract": (prepare_images, extraction, whole, extracted),
    "gc": (prepare_store, collecting, old_or_new, collected),
    "gc-two-renames": (prepare_store, collecting_with_two_renames, old_or_new, collected),
    "import": (prepare_file, importing, whole, lambda place: state(place, "imported:other")),
}

if __name__ == "__main__":
    folder, every, *names = sys.argv[1:]
    torch.set_num_threads(1)
    report = {name: every_death(*SCENARIOS[name], Path(folder) / name, int(every)) for name in names}
    sys.stdout.write(json.dumps(report))
