"""`kill -9` at any moment costs the unit in flight and nothing else."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from probekit.extract import ExtractSettings, extract
from probekit.features import load_features
from probekit.store import list_stores
from tests.extract.conftest import manifest_of, write_image
from tests.extract.killable import MODEL

IMAGES, UNIT, KILLS = 240, 8, 20
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for number in range(IMAGES):
        write_image(root / f"{number:04d}.png", number, size=(96, 96))
    return root


@pytest.fixture(scope="module")
def uninterrupted(images, tmp_path_factory):
    cache = tmp_path_factory.mktemp("whole")
    manifest = manifest_of(images, sorted(path.name for path in images.iterdir()))
    extract(manifest, ExtractSettings((MODEL,)), cache=cache, batch_size=4, device="cpu")
    return manifest, load_features(manifest, MODEL, cache=cache).matrix


def start(images: Path, cache: Path, log: Path, *gate: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "tests.extract.killable",
        str(images),
        str(cache),
        str(log),
        str(UNIT),
        *map(str, gate),
    ]
    return subprocess.Popen(command, env=environment, cwd=ROOT)


def done_rows(cache: Path) -> int:
    return sum(store.rows for store in list_stores(cache)) if cache.exists() else 0


def is_folding(cache: Path) -> bool:
    return any('"folding":true' in seal.read_text() for seal in cache.glob("*/journal/seal.json"))


def is_writing_keys(cache: Path) -> bool:
    return any(cache.glob("keys/.*.parquet"))


@pytest.mark.slow
@pytest.mark.timeout(900)  # twenty processes begin, and wait for their processor
def test_twenty_kills_leave_the_features_of_an_uninterrupted_run(images, uninterrupted, tmp_path):
    manifest, expected = uninterrupted
    cache, log = tmp_path / "cache", tmp_path / "log"
    log.touch()
    moments = random.Random(0)

    def passes() -> int:
        return len(log.read_text().splitlines())

    killed = folding = 0
    for life in range(KILLS):
        process, already = start(images, cache, log), passes()
        wanted = already + moments.randint(0, 2 * UNIT)  # forward passes of this life, then death soon after
        ripe = {
            0: lambda wanted=wanted: passes() > wanted,
            1: lambda already=already: (passes() > already and is_folding(cache)) or passes() > already + 3 * UNIT,
            2: lambda already=already: is_writing_keys(cache) or passes() > already + 3 * UNIT,  # the moment was missed
            3: lambda: passes() >= IMAGES,  # the last fold and the last keys
        }[3 if life >= KILLS - 3 else life % 3]
        while process.poll() is None and not ripe():
            time.sleep(0.001)
        if not is_folding(cache):
            time.sleep(moments.random() * 0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        folding += is_folding(cache)
        store = next(iter(list_stores(cache)), None)
        assert store is None or list(store.verify()) == []
    assert killed >= KILLS - 2, "the extraction ended too soon"
    assert folding, "no kill fell into a fold"
    assert start(images, cache, log).wait() == 0

    found = load_features(manifest, MODEL, cache=cache)
    assert found.matrix.tobytes() == expected.tobytes()
    assert done_rows(cache) == IMAGES
    passes = Counter(line.split()[1] for line in log.read_text().splitlines())
    assert len(passes) == IMAGES
    assert sum(passes.values()) - IMAGES <= killed * UNIT  # no more than the unit in flight at each kill
    again = extract(manifest, ExtractSettings((MODEL,)), cache=cache, device="cpu")
    assert again.models[0].computed == 0


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_share_one_store(images, uninterrupted, tmp_path, processes):
    manifest, expected = uninterrupted
    cache, log = tmp_path / "cache", tmp_path / "log"
    log.touch()
    gate = tmp_path / "gate"
    gate.mkdir()
    running = [start(images, cache, log, gate) for _ in range(processes)]
    while len(list(gate.iterdir())) < processes and all(process.poll() is None for process in running):
        time.sleep(0.01)
    (gate / "go").touch()
    assert [process.wait() for process in running] == [0] * processes
    assert np.array_equal(load_features(manifest, MODEL, cache=cache).matrix, expected)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len(lines) == IMAGES, "an image was computed twice"
    assert len({pid for pid, _ in lines}) > 1, "one process did all the work"
