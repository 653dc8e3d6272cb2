"""Extraction on a Ray cluster of two nodes: the features of a local run, whatever becomes of workers and nodes."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import replace
from pathlib import Path

import pytest

from probekit.errors import ModelError, StoreError
from probekit.extract import ClusterSettings, ExtractSettings, Shard, extract
from probekit.features import load_features
from probekit.parallel.connecting import connected
from probekit.records import versions
from probekit.store import list_stores, writers
from tests.extract.conftest import manifest_of, write_image
from tests.nodes import MARKS, NODE, ROOT, remove_second, two_nodes, wait_until, workers

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = MARKS

IMAGES = 160
SRM = ExtractSettings(("srm",))


@pytest.fixture(scope="module")
def cluster():
    """Tests that remove the second node put another in its place."""
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    names = [f"{number:04d}.png" for number in range(IMAGES)]
    for number, name in enumerate(names):
        write_image(root / name, number, size=(96, 96))
    (root / names[7]).write_bytes(b"no image")
    (root / names[9]).write_bytes((root / names[100]).read_bytes())
    return manifest_of(root, names)


@pytest.fixture(scope="module")
def local(manifest, tmp_path_factory):
    """The result and the features of a run without Ray."""
    cache = tmp_path_factory.mktemp("local")
    result = extract(manifest, SRM, cache=cache, device="cpu", batch_size=4)
    return result, matrix(manifest, cache)


def matrix(manifest, cache):
    return load_features(manifest, "srm", cache=cache, allow_missing=True).matrix


def run(manifest, cluster, cache, **options):
    settings = ClusterSettings(cluster.address, **options.pop("on", {}))
    return extract(manifest, options.pop("settings", SRM), cache=cache, cluster=settings, batch_size=4, **options)


def assert_whole(manifest, cache, local, result):
    alone, features = local
    model = result.models[0]
    assert (model.rows, model.done, model.failed) == (IMAGES, IMAGES - 1, 1)
    assert result.failed.equals(alone.failed)
    assert matrix(manifest, cache).tobytes() == features.tobytes()
    (store,) = list_stores(cache)
    assert list(store.verify()) == []
    assert store.claims.living() == []
    again = extract(manifest, SRM, cache=cache, device="cpu")
    assert again.models[0].computed == 0


def test_two_nodes_give_the_features_of_a_local_run(manifest, cluster, local, tmp_path):
    seen = []
    result = run(manifest, cluster, tmp_path, unit_size=8, on_progress=seen.append)
    assert_whole(manifest, tmp_path, local, result)
    assert result.notes == ()
    # the same bytes under two names are one, unless two workers have them in their hands at the same time
    assert IMAGES - 1 <= result.images <= IMAGES
    assert 1 <= len(result.workers) <= 2  # the second may come when all is done: units are quick here
    assert sum(worker.units for worker in result.workers) == IMAGES / 8
    assert sum(worker.images for worker in result.workers) == result.images
    assert {worker.versions["torch"] for worker in result.workers} == {result.workers[0].versions["torch"]}
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert (seen[-1].done, seen[-1].total, seen[-1].failed) == (IMAGES, IMAGES, 1)
    again = run(manifest, cluster, tmp_path, unit_size=8)
    assert (again.images, again.workers) == (0, ())


def test_a_worker_killed_in_the_middle_of_a_unit_costs_what_it_had_in_its_hands(manifest, cluster, local, tmp_path):
    wait_until(lambda: not workers(), "workers outlived an earlier test")
    killed = []

    def kill_one(progress):
        if progress.computed >= 16 and not killed:
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    result = run(manifest, cluster, tmp_path, unit_size=4, on_progress=kill_one)
    assert killed
    assert_whole(manifest, tmp_path, local, result)
    assert len(result.notes) == 1
    assert result.notes[0].endswith("died; others took over.")
    computed = IMAGES - 2  # no image, and the bytes that two names share
    assert computed <= sum(worker.images for worker in result.workers) + 2 * 4 <= computed + 4 * 4


def test_a_node_may_vanish_and_another_may_come(manifest, cluster, local, tmp_path):
    nodes = []

    def exchange(progress):
        if progress.computed >= 24 and not nodes:
            remove_second(cluster)  # at once, else all may be done before it is missed
            nodes.append(cluster.add_node(**NODE))

    result = run(manifest, cluster, tmp_path, unit_size=4, on_progress=exchange)
    assert nodes
    assert_whole(manifest, tmp_path, local, result)
    assert len(result.notes) == 1


def test_a_killed_driver_leaves_what_the_next_one_goes_on_from(manifest, cluster, local, tmp_path):
    cache, script = tmp_path / "cache", Path(__file__).with_name("clustered.py")
    command = [sys.executable, str(script), str(manifest.root), str(cache), cluster.address, "24"]
    process = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: not workers(), "workers outlived their driver")
    (store,) = list_stores(cache)
    before = store.rows
    assert 24 <= before < 24 + 4 + 4 * 4, "two workers had two units of four images each in their hands"
    result = run(manifest, cluster, cache, unit_size=4)
    assert_whole(manifest, cache, local, result)
    assert result.models[0].computed <= IMAGES - before + 1


def test_local_processes_and_a_cluster_share_one_store(manifest, cluster, local, tmp_path):
    elsewhere = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("clustered.py")), str(manifest.root), str(tmp_path), "none"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    result = run(manifest, cluster, tmp_path, unit_size=4)
    assert elsewhere.wait() == 0
    assert_whole(manifest, tmp_path, local, result)


def test_a_network_in_padded_batches_gives_the_same_bits(manifest, cluster, shared_data, tmp_path):
    weights = shared_data / "weights" / "vit_tiny_patch16_224" / "model.safetensors"
    model = "timm:vit_tiny_patch16_224"
    settings = ExtractSettings((model,), taps=("cls@all",), precision="float32")
    few = replace(manifest, table=manifest.table.drop(7).head(40).reset_index(drop=True))
    common = {"weights": {model: weights}, "unit_size": 10}  # batches of 4: the last of each unit is padded
    extract(few, settings, cache=tmp_path / "local", device="cpu", batch_size=4, **common)
    run(few, cluster, tmp_path / "ray", settings=settings, **common)
    alone, together = (load_features(few, f"{model}#cls@11", cache=tmp_path / name).matrix for name in ("local", "ray"))
    assert together.tobytes() == alone.tobytes()


def test_the_shards_of_a_manifest_may_be_computed_with_ray_and_without(manifest, cluster, local, tmp_path):
    model = run(manifest, cluster, tmp_path, unit_size=8, shard=Shard(1, 2)).models[0]
    assert 0 < model.rows == model.done + model.failed < IMAGES
    rest = extract(manifest, SRM, cache=tmp_path, device="cpu", batch_size=4, shard=Shard(2, 2))
    assert rest.models[0].rows == IMAGES - model.rows
    assert matrix(manifest, tmp_path).tobytes() == local[1].tobytes()


def test_a_store_of_other_versions_is_refused_before_there_is_a_worker(manifest, cluster, tmp_path, monkeypatch):
    few = replace(manifest, table=manifest.table.head(4))
    extract(few, SRM, cache=tmp_path, device="cpu")
    monkeypatch.setattr(writers, "versions", lambda: versions() | {"torch": "1.13.1"})
    with pytest.raises(StoreError, match=r"torch .* there, 1\.13\.1 here.*--mixed-versions"):
        run(manifest, cluster, tmp_path)
    result = run(few, cluster, tmp_path)
    assert (result.models[0].done, result.workers) == (4, ()), "a finished store may be looked at"


def test_a_node_that_sees_another_cache_is_refused(manifest, cluster, tmp_path, monkeypatch):
    from probekit.extract import cluster as module

    monkeypatch.setattr(module._Driver, "_hold", lambda driver: None)  # as if the workers saw another disk
    with pytest.raises(StoreError, match=r"this node does not see the others' .*: the cache must be in a bucket or"):
        run(manifest, cluster, tmp_path)


def test_gpus_that_are_not_there_are_one_line(manifest, cluster, tmp_path):
    with pytest.raises(ModelError, match="the Ray cluster has no GPUs to compute on: use --device cpu, or add nodes"):
        run(manifest, cluster, tmp_path, device="cuda")


class Echo:
    """A worker that says what it is given; `die` ends its process, `fail` is an error."""

    def introduce(self):
        return os.getpid()

    def compute(self, unit):
        if unit == "die":
            os._exit(1)
        if unit == "fail":
            raise ModelError("this cannot be computed: leave it out.")
        return unit * 2


class Stillborn(Echo):
    def introduce(self):
        os._exit(1)


def echoes(place):
    return Echo()


def compute_all(cluster, units, build=echoes):
    found, hired = {}, []
    with (
        connected(cluster.address) as there,
        there.workers(build, on_worker=lambda place, pid: hired.append(place), gpus=False) as workers,
    ):
        found.update(workers.results(iter(units)))
        return found, hired, workers.notes


def test_every_unit_is_computed_once_and_no_place_has_two_workers(cluster):
    found, hired, notes = compute_all(cluster, range(100))
    assert found == {unit: 2 * unit for unit in range(100)}
    assert 1 <= len({place.node for place in hired}) == len(hired) <= 2  # the second may come when all is done
    assert notes == []


def test_workers_of_one_node_share_its_processors(cluster):
    hired, until = [], time.monotonic() + 60
    with (
        connected(cluster.address) as there,
        there.workers(
            echoes, on_worker=lambda place, pid: hired.append(place), gpus=False, workers_per_node=2
        ) as workers,
    ):
        units = itertools.takewhile(lambda _: len(hired) < 4 and time.monotonic() < until, itertools.count())
        deque(workers.results(units), maxlen=0)
    assert sorted(Counter(place.node for place in hired).values()) == [2, 2]
    assert {(place.cpus, place.threads) for place in hired} == {(0.5, 1)}


def test_without_units_nobody_is_hired(cluster):
    assert compute_all(cluster, []) == ({}, [], [])


def test_a_unit_that_kills_its_workers_is_found_out_among_others(cluster):
    with pytest.raises(ModelError, match="3 workers died of die: something in it may need more memory than a node has"):
        compute_all(cluster, [1, 2, "die", 3, 4])


def test_an_error_of_a_worker_keeps_its_words_and_names_the_node(cluster):
    with pytest.raises(ModelError, match=r"^\S+: this cannot be computed: leave it out\.$"):
        compute_all(cluster, [1, "fail"])


def test_workers_that_die_before_they_work_end_the_command(cluster):
    with pytest.raises(ModelError, match=r"every worker died .*: see Ray's logs there"):
        compute_all(cluster, [1], build=lambda place: Stillborn())
