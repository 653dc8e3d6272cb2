"""Several devices are several processes at one store: the same features, each image computed once."""

import multiprocessing
import os

import numpy as np
import pytest

from probekit.errors import ManifestError, ModelError, UsageError
from probekit.extract import ExtractSettings, devices, extract
from probekit.features import load_features
from probekit.models import compute

SRM = ExtractSettings(("srm",))


@pytest.mark.slow
def test_two_processes_share_the_work_and_give_the_features_of_one(make_manifest, tmp_path):
    manifest = make_manifest(60)
    (tmp_path / "images" / "0007.png").write_bytes(b"no image")
    alone = extract(manifest, SRM, cache=tmp_path / "one", device="cpu", unit_size=4)
    seen = []
    both = extract(manifest, SRM, cache=tmp_path / "two", device="cpu,cpu", unit_size=4, on_progress=seen.append)
    assert (both.models[0].computed, both.models[0].done, both.models[0].failed) == (59, 59, 1)
    assert both.models[0].device == "cpu,cpu"
    assert both.images == 60  # a failure counts too: it was looked at
    assert both.failed.equals(alone.failed)
    first, second = (load_features(manifest, "srm", cache=tmp_path / cache).matrix for cache in ("one", "two"))
    assert np.array_equal(first, second)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert (seen[-1].done, seen[-1].total) == (60, 60)


@pytest.mark.slow
def test_an_error_in_a_process_is_the_error_of_the_whole(make_manifest, tmp_path):
    manifest = make_manifest(2)
    with pytest.raises(UsageError, match="srm has no tap 'clss'"):
        extract(manifest, ExtractSettings(("srm",), taps=("clss",)), cache=tmp_path / "cache", device="cpu,cpu")
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(ManifestError, match="is gone"):
        extract(manifest, SRM, cache=tmp_path / "cache", device="cpu,cpu")


def test_a_process_that_is_killed_while_it_speaks_is_one_that_died():
    ours, theirs = multiprocessing.Pipe(duplex=False)
    os.write(theirs.fileno(), (1000).to_bytes(4, "big") + b"half a message")
    theirs.close()
    worker = devices._Worker("cpu", multiprocessing.Process(), ours)
    devices._listen([worker], None)
    assert worker.result is None


@pytest.mark.slow
def test_the_others_take_over_from_a_process_that_is_killed(make_manifest, tmp_path):
    manifest = make_manifest(200)

    def kill_one(progress):
        children = multiprocessing.active_children()
        if progress.computed and len(children) == 2:
            children[0].kill()

    result = extract(
        manifest, SRM, cache=tmp_path / "cache", device="cpu,cpu", unit_size=4, batch_size=2, on_progress=kill_one
    )
    assert (result.models[0].done, result.models[0].failed) == (200, 0)
    assert result.notes == ("the process on cpu died (exit code -9); the others took over.",)


@pytest.mark.slow
def test_when_all_processes_are_killed_it_is_one_line_and_nothing_is_lost(make_manifest, tmp_path):
    manifest = make_manifest(100)

    def kill_all(progress):
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(ModelError, match=r"all processes died \(cpu: exit code -9, cpu: exit code -9\)"):
        extract(manifest, SRM, cache=tmp_path / "cache", device="cpu,cpu", on_progress=kill_all)
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].done == 100


@pytest.mark.slow
def test_failed_images_are_tried_again_by_one_of_the_processes_and_rehashing_sees_what_changed(make_manifest, tmp_path):
    manifest = make_manifest(20)
    for number in (3, 11):
        damaged = tmp_path / "images" / f"{number:04d}.png"
        stat = damaged.stat()
        damaged.write_bytes(bytes(stat.st_size))
        os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    common = {"cache": tmp_path / "cache", "device": "cpu,cpu", "unit_size": 4}
    assert extract(manifest, SRM, **common).models[0].failed == 2
    again = extract(manifest, SRM, **common, retry_failed=True)
    assert (again.models[0].done, again.models[0].failed) == (18, 2)
    whole = tmp_path / "images" / "0005.png"
    stat = whole.stat()
    whole.write_bytes(bytes(stat.st_size))
    os.utime(whole, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    rehashed = extract(manifest, SRM, **common, rehash=True)
    assert (rehashed.models[0].done, rehashed.models[0].failed) == (17, 3)


def test_without_a_driver_the_cpu_is_chosen_and_names_are_checked():
    assert compute.devices("cpu,cpu") == ("cpu", "cpu")
    for wrong in ("cpu,", "mps", "cuda:77", "gpu"):
        with pytest.raises(UsageError, match="--device"):
            compute.devices(wrong)
