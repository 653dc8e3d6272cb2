"""Stores on an S3 server that answers 500, loses answers and is slow: the features of a store on a disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from probekit.errors import RemoteError
from probekit.extract import ClusterSettings, ExtractSettings, extract
from probekit.features import load_features
from probekit.paths import path_of
from probekit.remote import BucketPath, buckets
from probekit.store import list_stores
from tests.sources.conftest import IMAGES
from tests.sources.test_remote import manifest_of

boto3 = pytest.importorskip("boto3", reason="moto and boto3 are not installed")
pytest.importorskip("obstore", reason="the extra remote is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("ray"),  # one of them starts a cluster
    # moto's server closes its sockets when they are collected, and boto3 still asks for naive times
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:datetime:DeprecationWarning"),
]
ROOT = Path(__file__).parents[2]
SRM = ExtractSettings(("srm",))
CACHE = path_of("s3://faces/team/cache")


@pytest.fixture
def local(images, tmp_path):
    """A manifest over files of a disk, and its features in a store on a disk."""
    manifest = manifest_of(tmp_path / "images", images)
    extract(manifest, SRM, cache=tmp_path / "here", device="cpu")
    return manifest, load_features(manifest, "srm", cache=tmp_path / "here").matrix


def assert_alike(manifest, features):
    assert load_features(manifest, "srm", cache=CACHE).matrix.tobytes() == features.tobytes()
    (store,) = list_stores(CACHE)
    assert list(store.verify()) == []
    assert store.rows == IMAGES
    assert not list(store.path.glob("journal/parts/*.safetensors"))
    assert store.claims.living() == []


def test_images_and_store_on_a_server_that_fails_are_those_of_a_disk(s3, images, local):
    s3.fault = lambda number: {5: "500", 13: "break", 29: "slow"}.get(number % 37, "")
    there = manifest_of("/", [f"s3://faces/{name}" for name in images])
    result = extract(there, SRM, cache=CACHE, device="cpu", unit_size=16)
    assert (result.models[0].done, result.models[0].failed) == (IMAGES, 0)
    assert min(s3.faults[kind] for kind in ("500", "break", "slow")) >= 3
    assert {method for method, _ in s3.requests} >= {"GET", "HEAD", "PUT", "POST"}
    assert_alike(there, local[1])
    again = extract(there, SRM, cache=CACHE, device="cpu", unit_size=16)
    assert again.models[0].computed == 0


def test_what_plain_zarr_reads_is_there_and_nothing_lies_outside_the_cache(s3, local):
    extract(local[0], SRM, cache=CACHE, device="cpu")
    (store,) = list_stores(CACHE)
    from obstore.store import S3Store

    bucket = S3Store("faces", prefix=store.path.key, client_options={"allow_http": True})
    group = zarr.open_group(zarr.storage.ObjectStore(bucket, read_only=True), mode="r")
    keys, status = np.asarray(group["key"]), np.asarray(group["status"])
    assert keys.shape == (IMAGES, 32)
    assert (status == 1).all()
    assert {path.key.split("/")[0] for path in BucketPath("s3", "faces", "").files()} == {"real", "team"}
    assert {path.key.split("/")[1] for path in CACHE.parent.files()} == {"cache"}


def test_a_run_that_is_cut_off_after_any_write_is_finished_by_the_next(s3, local, monkeypatch):
    monkeypatch.setattr(buckets, "RETRIES", 0)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    manifest, features = local
    ended = False
    for writes in range(0, 200, 5):
        CACHE.delete_all()
        buckets._store.cache_clear()
        s3.writes = writes
        try:
            extract(manifest, SRM, cache=CACHE, device="cpu", unit_size=24)
            ended = True
        except RemoteError:
            pass
        s3.writes = None
        for path in CACHE.glob("*/journal/claims/*"):
            if path.name != "zarr.json":
                path.unlink()  # of this very process, which lives, unlike one that is killed
        extract(manifest, SRM, cache=CACHE, device="cpu", unit_size=24)
        assert_alike(manifest, features)
        if ended:
            break
    assert ended
    assert writes > 20


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    code = "import sys; sys.argv[0] = 'probekit'; from probekit_cli.app import main; main()"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PROBEKIT_CACHE": str(CACHE)}
    command = [sys.executable, "-c", code, "extract", "--model", "srm", "--device", "cpu", "--unit-size", "2", *options]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE)


def test_shards_of_several_processes_of_which_one_is_killed_leave_the_store_of_a_local_run(s3, local, tmp_path):
    manifest, features = local
    manifest.write(tmp_path / "manifests")
    s3.fault = lambda number: "slow" if number % 5 == 0 else ""
    running = [start(tmp_path, "--shard", f"{number}/4") for number in range(1, 5)]
    until = time.monotonic() + 120
    while not any(method == "PUT" and "/journal/parts/" in path for method, path in list(s3.requests)):
        assert time.monotonic() < until, "nothing is ever committed"
        time.sleep(0.05)
    running[2].send_signal(signal.SIGKILL)
    said = [process.communicate()[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, -signal.SIGKILL, 0], said
    s3.fault = lambda number: ""
    last = start(tmp_path)
    problem = last.communicate()[1].decode()
    assert last.returncode == 0, problem
    assert_alike(manifest, features)


def test_workers_of_a_cluster_write_into_a_bucket(s3, local):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    manifest, features = local
    settings = ClusterSettings("local", workers_per_node=2)
    result = extract(manifest, SRM, cache=CACHE, cluster=settings, unit_size=16)
    assert result.models[0].done == IMAGES == sum(worker.images for worker in result.workers)
    assert_alike(manifest, features)
