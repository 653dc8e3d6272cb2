"""The engine between the image and the row: batches, memory, writing beside the computing."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from probekit import images, models
from probekit.errors import ImageError, ModelError, StoreError
from probekit.extract import ExtractSettings, extract, lane, loading
from probekit.features import load_features
from probekit.store import Store, list_stores
from tests.extract.conftest import manifest_of, write_image

SRM = ExtractSettings(("srm",))


def with_room_for(monkeypatch, crops: int) -> list[int]:
    """Let every model run out of memory beyond so many crops a batch; the sizes of all batches that were tried."""
    found, tried = models.find, []

    def cramped(build):
        def load(*arguments):
            net = build(*arguments)

            def forward(batch, taps):
                tried.append(len(batch.pixels))
                if len(batch.pixels) > crops:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
                return net(batch, taps)

            return forward

        return load

    def find(name, weights=None):
        model = found(name, weights)
        return replace(model, build=cramped(model.build))

    monkeypatch.setattr(models, "find", find)
    return tried


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_nothing_is_lost(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(40)
    extract(manifest, SRM, cache=tmp_path / "roomy", device="cpu", batch_size=16)
    tried = with_room_for(monkeypatch, 5)
    result = extract(manifest, SRM, cache=tmp_path / "cramped", device="cpu", batch_size=16)
    assert tried[:3] == [16, 8, 4]
    assert set(tried[2:]) == {4}
    assert (result.models[0].batch_size, result.models[0].computed) == (4, 40)
    assert result.notes == (
        "srm: no memory for batches of 16 on cpu, so they were halved to 4; "
        "features agree with those of other sizes within rounding.",
    )
    first, second = (load_features(manifest, "srm", cache=tmp_path / cache).matrix for cache in ("roomy", "cramped"))
    assert np.array_equal(first, second)  # srm computes each image on its own


def test_a_device_without_memory_for_a_single_crop_is_one_line(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(3)
    with_room_for(monkeypatch, 0)
    with pytest.raises(ModelError, match=r"srm: cpu has no memory for one crop of 48 × 40: choose a smaller --view"):
        extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", batch_size=2)
    assert list(list_stores(tmp_path / "cache")[0].verify()) == []


def test_batches_reach_across_units_and_every_unit_is_given_back(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(20)
    tried = with_room_for(monkeypatch, 100)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", batch_size=8, unit_size=3)
    assert tried == [8, 8, 4]
    store = list_stores(tmp_path / "cache")[0]
    assert store.rows == 20
    assert [claim.name for claim in (store.path / "journal" / "claims").glob("unit-*")] == []


@pytest.mark.parametrize("limit", ["COMMIT_SECONDS", "COMMIT_BYTES"])
def test_rows_that_wait_for_long_or_are_large_are_committed_in_the_middle_of_a_unit(
    make_manifest, tmp_path, monkeypatch, limit
):
    manifest = make_manifest(12)
    monkeypatch.setattr(lane, limit, 0)
    parts = []
    commit = lane.Lane._write
    monkeypatch.setattr(
        lane.Lane, "_write", lambda self, rows, *rest: (parts.append(len(rows)), commit(self, rows, *rest))[1]
    )
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", batch_size=4)
    assert sum(parts) == 12
    assert len(parts) > 1


@pytest.mark.parametrize(("limit", "most"), [(1, 5), (10**9, 20 + 20)])
def test_no_more_images_are_loaded_ahead_than_there_is_room_for(make_manifest, tmp_path, monkeypatch, limit, most):
    manifest = make_manifest(40)
    monkeypatch.setattr(loading, "AHEAD_BYTES", limit)
    started, ahead, load, feed = [0], [], loading._load, lane.Lane.put

    def counted(*arguments):
        started[0] += 1
        return load(*arguments)

    def put(self, image):
        ahead.append(started[0] - len(ahead))
        feed(self, image)

    monkeypatch.setattr(loading, "_load", counted)
    monkeypatch.setattr(lane.Lane, "put", put)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", batch_size=4, unit_size=10, workers=2)
    assert len(ahead) == 40
    # those that are handed over, and those that take their place; of the first too, whose size nobody knows yet
    assert max(ahead) <= most


def test_an_image_that_became_unreadable_fails_and_does_not_hold_up_the_rest(make_manifest, tmp_path, monkeypatch):
    """Its key is remembered from an earlier model, and neither its size nor its time has changed."""
    manifest = make_manifest(6)
    extract(manifest, ExtractSettings(("npr",)), cache=tmp_path / "cache", device="cpu")
    gone = tmp_path / "images" / "0003.png"

    found = images.read_bytes
    monkeypatch.setattr(images, "read_bytes", lambda path: found(path.with_name("gone.png") if path == gone else path))
    result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    assert (result.models[0].done, result.models[0].failed) == (5, 1)
    assert result.failed["path"].tolist() == [str(gone)]


def test_claims_are_given_back_when_taking_them_fails(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(4)
    update, calls = Store.update, []

    def fail_once(self):
        calls.append(self)
        if len(calls) == 2:
            raise StoreError("the disk is gone: bring it back.")
        update(self)

    monkeypatch.setattr(Store, "update", fail_once)
    with pytest.raises(StoreError, match="the disk is gone"):
        extract(manifest, ExtractSettings(("srm", "npr")), cache=tmp_path / "cache", device="cpu")
    for store in list_stores(tmp_path / "cache"):
        assert not list((store.path / "journal" / "claims").glob("unit-*"))
    result = extract(manifest, ExtractSettings(("srm", "npr")), cache=tmp_path / "cache", device="cpu")
    assert [model.done for model in result.models] == [4, 4]


def test_an_interrupt_gives_claims_back_and_keeps_what_was_committed(make_manifest, tmp_path):
    manifest = make_manifest(12)

    def interrupt(progress):
        if progress.computed >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", unit_size=2, batch_size=2, on_progress=interrupt)
    store = list_stores(tmp_path / "cache")[0]
    assert store.rows >= 4
    assert not list((store.path / "journal" / "claims").glob("unit-*"))
    assert list(store.verify()) == []


def test_rehashing_finds_what_changed_behind_equal_size_and_time_and_decodes_nothing_else(
    make_manifest, tmp_path, monkeypatch
):
    manifest = make_manifest(5)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    damaged = tmp_path / "images" / "0002.png"
    stat = damaged.stat()
    damaged.write_bytes(bytes(stat.st_size))
    os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].done == 5

    decoded, decode = [], images.decode
    monkeypatch.setattr(images, "decode", lambda data, **options: (decoded.append(data), decode(data, **options))[1])
    result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", rehash=True)
    assert (result.models[0].done, result.models[0].failed, result.models[0].computed) == (4, 1, 0)
    assert decoded == [bytes(stat.st_size)]
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].failed == 1


def test_running_out_of_memory_while_loading_is_no_failure_of_an_image(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(4)

    def exhausted(data, **options):
        raise MemoryError("no room for 12 GiB")

    monkeypatch.setattr(images, "decode", exhausted)
    with pytest.raises(MemoryError, match="no room for 12 GiB"):
        extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    monkeypatch.undo()
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].done == 4


def test_an_image_that_one_view_refuses_is_named_with_that_view(tmp_path):
    write_image(tmp_path / "images" / "a.png", 0)
    write_image(tmp_path / "images" / "wide.png", 1, size=(2, 17_000))  # more than WebP can hold
    manifest = manifest_of(tmp_path / "images", ["a.png", "wide.png"])
    settings = ExtractSettings(("npr", "srm"), perturb=("none", "webp:80"))
    seen = []
    result = extract(manifest, settings, cache=tmp_path / "cache", device="cpu", on_progress=seen.append)
    assert set(result.failed["view"]) == {"webp80-native512"}
    assert result.failed["model"].tolist() == ["npr", "srm"]
    assert [model.done for model in result.models] == [2, 1, 2, 1]
    assert seen[-1].failed == 1


def test_what_succeeds_on_a_second_try_is_reported_as_done(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(3)

    def broken(data, **options):
        raise ImageError("the disk stuttered: try again.")

    with monkeypatch.context() as patch:
        patch.setattr(images, "decode", broken)
        assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].failed == 3
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].failed == 3
    again = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", retry_failed=True)
    assert (again.models[0].done, again.models[0].failed, len(again.failed)) == (3, 0, 0)
