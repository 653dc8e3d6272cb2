"""Whatever goes wrong in an extraction: nothing is lost, nothing is wrong, and one line says so."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from probekit import models
from probekit.errors import FeatureOverflowError, StoreError
from probekit.extract import ExtractSettings, extract
from probekit.features import load_features
from probekit.store import find_stores, list_stores

ROOT = Path(__file__).parents[2]
NPR = ExtractSettings(("npr",))
EVERY = 7  # of the writes, one in so many is tried: all of them take a quarter of an hour


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="needs fork, and limits on the size of files")
@pytest.mark.parametrize("scenario", ["extract", "gc", "gc-two-renames", "import"])
def test_a_kill_at_any_write_costs_the_unit_in_flight_and_nothing_else(tmp_path, scenario):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.crash_scenarios", str(tmp_path), str(EVERY), scenario]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    lives, wrong = json.loads(done.stdout)[scenario]
    assert wrong == [], done.stderr[-3000:]
    assert lives > 10


@contextmanager
def mounted(kind: str, at: Path, options: str, source: str = "none"):
    """Something mounted there, or the test skipped where this user may not mount."""
    at.mkdir(exist_ok=True)
    bind = ["--bind", source] if kind == "bind" else ["-t", kind, "-o", options, source]
    if (
        not shutil.which("mount")
        or subprocess.run(["mount", *bind, str(at)], capture_output=True, check=False).returncode
    ):
        pytest.skip("this user may not mount a file system")
    try:
        if kind == "bind":
            subprocess.run(["mount", "-o", f"remount,bind,{options}", str(at)], check=True, capture_output=True)
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True, capture_output=True)


def test_a_disk_that_fills_up_keeps_what_was_committed(make_manifest, tmp_path):
    manifest = make_manifest(40)
    with mounted("tmpfs", tmp_path / "small", "size=2m") as disk:
        (disk / "ballast").write_bytes(b"x" * 1_000_000)

        def fill_up():
            for n in range(4, 41, 4):
                part = replace(manifest, table=manifest.table[:n])
                extract(part, NPR, cache=disk / "cache", unit_size=2, device="cpu")
                (disk / f"more{n}").write_bytes(b"x" * 100_000)

        with pytest.raises(StoreError, match="No space left on device") as caught:
            fill_up()
        assert "\n" not in str(caught.value)
        (store,) = list_stores(disk / "cache")
        assert list(store.verify()) == []
        rows = store.rows
        assert rows > 0
        for ballast in [disk / "ballast", *disk.glob("more*")]:
            ballast.unlink()
        done = extract(replace(manifest, table=manifest.table[:16]), NPR, cache=disk / "cache", device="cpu")
        assert done.models[0].done == 16
        assert done.models[0].computed <= 16 - min(rows, 16)
        assert list(list_stores(disk / "cache")[0].verify()) == []


def test_a_store_that_cannot_be_written_answers_questions(make_manifest, tmp_path):
    manifest = make_manifest(6)
    extract(manifest, NPR, cache=tmp_path / "cache", device="cpu")
    expected = load_features(manifest, "npr", cache=tmp_path / "cache").matrix
    with mounted("bind", tmp_path / "fixed", "ro", str(tmp_path / "cache")) as cache:
        np.testing.assert_array_equal(load_features(manifest, "npr", cache=cache).matrix, expected)
        (store,) = list_stores(cache)
        assert list(store.verify()) == []
        assert extract(manifest, NPR, cache=cache, device="cpu").models[0].computed == 0
        more = make_manifest(8)
        with pytest.raises(StoreError, match=r"cannot be written \(Read-only file system\)"):
            extract(more, NPR, cache=cache, device="cpu")
        with pytest.raises(StoreError, match="Read-only file system"):
            store.prune(store.surplus(store.identities()[0][:2]))
        np.testing.assert_array_equal(load_features(manifest, "npr", cache=cache).matrix, expected)


def test_a_write_that_fails_is_one_line_and_the_next_run_goes_on(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(6)
    fsync, calls = os.fsync, []

    def full(file):
        calls.append(file)
        if len(calls) > 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return fsync(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        extract(manifest, NPR, cache=tmp_path / "cache", unit_size=2, device="cpu")
    monkeypatch.undo()
    assert extract(manifest, NPR, cache=tmp_path / "cache", device="cpu").models[0].done == 6
    assert list(list_stores(tmp_path / "cache")[0].verify()) == []


def spoilt(monkeypatch, value, row):
    """The model npr, whose n-th image gives a feature that cannot be kept."""
    find, seen = models.find, []

    def load(build):
        def build_spoilt(*arguments):
            net = build(*arguments)

            def forward(batch, taps):
                found = net(batch, taps)
                for number in range(len(batch.pixels)):
                    seen.append(number)
                    if len(seen) == row + 1:
                        for values in found.values():
                            values[number, 3] = value
                return found

            return forward

        return build_spoilt

    def find_spoilt(name, weights=None):
        model = find(name, weights)
        return replace(model, build=load(model.build))

    monkeypatch.setattr(models, "find", find_spoilt)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_a_feature_that_cannot_be_kept_names_its_image_and_keeps_earlier_work(
    make_manifest, tmp_path, monkeypatch, dtype, value
):
    manifest = make_manifest(6)
    settings = replace(NPR, dtype=dtype)
    spoilt(monkeypatch, value, row=4)
    arguments = {"cache": tmp_path / "cache", "unit_size": 2, "batch_size": 2, "workers": 1, "device": "cpu"}
    if dtype == "float32" and value == 1e6:
        assert extract(manifest, settings, **arguments).models[0].done == 6
        return
    with pytest.raises(FeatureOverflowError, match=r"0004.png: in tap blocks of npr, ") as caught:
        extract(manifest, settings, **arguments)
    assert "\n" not in str(caught.value)
    (store,) = list_stores(tmp_path / "cache")
    assert store.rows == 4
    assert list(store.verify()) == []
    monkeypatch.undo()
    assert extract(manifest, settings, **arguments).models[0].computed == 2


def test_every_byte_of_an_extracted_store_is_watched(make_manifest, tmp_path):
    manifest = make_manifest(5)
    (tmp_path / "images" / "0004.png").write_bytes(b"no image")
    extract(manifest, NPR, cache=tmp_path / "cache", device="cpu")
    extract(make_manifest(4), NPR, cache=tmp_path / "cache", device="cpu")
    (store,) = list_stores(tmp_path / "cache")
    files = [file for file in store.path.rglob("*") if file.is_file() and file.name != "fold.lock"]
    assert len(files) > 10
    for file in files:
        good = file.read_bytes()
        for position in np.linspace(0, len(good) - 1, 5).astype(int):
            damaged = bytearray(good)
            damaged[position] ^= 1 << (position % 8)
            file.write_bytes(damaged)
            assert list(store.verify()), f"byte {position} of {file}"
        file.write_bytes(good)
    assert list(store.verify()) == []


def test_a_store_of_a_newer_probekit_is_left_alone(make_manifest, tmp_path):
    manifest = make_manifest(3)
    extract(manifest, NPR, cache=tmp_path / "cache", device="cpu")
    (store,) = list_stores(tmp_path / "cache")
    group = zarr.open_group(store.path, mode="r+")
    group.attrs["probekit"] = group.attrs["probekit"] | {"format": 99}
    before = {file: file.read_bytes() for file in store.path.rglob("*") if file.is_file()}
    with pytest.raises(StoreError, match=r"format 99.*update probekit"):
        extract(manifest, NPR, cache=tmp_path / "cache", device="cpu")
    stores, damaged = find_stores(tmp_path / "cache")
    assert stores == []
    assert "update probekit" in damaged[store.path]
    assert {file: file.read_bytes() for file in store.path.rglob("*") if file.is_file()} == before
