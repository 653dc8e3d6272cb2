"""The store: what is committed is read back, whatever happens in between."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probekit.errors import FeatureOverflowError, StoreCorruptError, StoreError
from probekit.store import ABSENT, DONE, FAILED, Store, find_stores, list_stores
from probekit.store.zarrays import ZarrArrays
from tests.store.conftest import SETTINGS, commit, make_rows

TAPS = {"a": 3}


def test_committed_rows_are_read_back_before_and_after_folding(new_store):
    store = new_store()
    rows = commit(store, [1, 2, 3], TAPS)
    for _ in range(2):
        assert (store.look_up(rows.keys, rows.crops, ["a"]) == DONE).all()
        np.testing.assert_array_equal(store.read(rows.keys, rows.crops, "a"), rows.features["a"])
        assert store.fold()
    np.testing.assert_array_equal(Store.open(store.path).read(rows.keys, rows.crops, "a"), rows.features["a"])


def test_rows_come_in_the_order_asked_for(new_store):
    store = new_store()
    rows = commit(store, list(range(600)), TAPS)
    store.fold()
    order = np.random.default_rng(0).permutation(600)[:350]
    np.testing.assert_array_equal(store.read(rows.keys[order], rows.crops[order], "a"), rows.features["a"][order])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.just("fold"),
            st.just("reopen"),
            st.tuples(
                st.lists(st.integers(0, 12), min_size=1, max_size=6, unique=True), st.sampled_from(["a", "b", "ab"])
            ),
        ),
        max_size=8,
    )
)
def test_any_sequence_of_commits_and_folds_agrees_with_a_dictionary(tmp_path_factory, steps):
    store = Store.create(tmp_path_factory.mktemp("cache"), SETTINGS, {"default_tap": "a", "batch_size": 4})
    expected: dict[tuple[int, str], np.ndarray] = {}
    for step in steps:
        if step == "fold":
            store.fold()
        elif step == "reopen":
            store = Store.open(store.path)
        else:
            numbers, taps = step
            rows = commit(store, numbers, {tap: {"a": 3, "b": 2}[tap] for tap in taps})
            for tap in taps:
                expected |= {(n, tap): rows.features[tap][i] for i, n in enumerate(numbers)}
    everything = make_rows(list(range(13)), TAPS)
    for column, tap in enumerate(["a", "b"]):
        status = store.look_up(everything.keys, everything.crops, ["a", "b"])[:, column]
        done = [number for number in range(13) if (number, tap) in expected]
        assert list(np.flatnonzero(status == DONE)) == done
        if done:
            found = store.read(everything.keys[done], everything.crops[done], tap)
            np.testing.assert_array_equal(found, [expected[number, tap] for number in done])


def test_a_tap_added_later_fills_the_rows_that_are_there(new_store):
    store = new_store()
    rows = commit(store, [1, 2, 3, 4], TAPS)
    store.fold()
    later = commit(store, [4, 2], {"b": 2})
    assert store.look_up(rows.keys, rows.crops, ["a", "b"]).tolist() == [[1, 0], [1, 1], [1, 0], [1, 1]]
    store.fold()
    assert store.look_up(rows.keys, rows.crops, ["a", "b"]).tolist() == [[1, 0], [1, 1], [1, 0], [1, 1]]
    np.testing.assert_array_equal(store.read(later.keys, later.crops, "b"), later.features["b"])
    assert store.rows == 4


def test_a_failed_image_keeps_its_reason_and_gives_way_to_a_later_success(new_store):
    store = new_store()
    rows = commit(store, [1, 2], TAPS, failed={2})
    for _ in range(2):
        assert store.look_up(rows.keys, rows.crops, ["a"])[:, 0].tolist() == [DONE, FAILED]
        assert store.reasons() == {rows.keys[1].tobytes(): "reason 2"}
        store.fold()
    commit(store, [2], TAPS)
    store.fold()
    assert store.look_up(rows.keys, rows.crops, ["a"])[:, 0].tolist() == [DONE, DONE]
    np.testing.assert_array_equal(store.read(rows.keys, rows.crops, "a")[1], make_rows([2], TAPS).features["a"][0])


def test_a_row_written_twice_is_one_row(new_store):
    one, other = new_store(), new_store()
    commit(one, [1, 2], TAPS)
    commit(other, [2, 3], TAPS)
    one.refresh()
    assert one.rows == 3
    one.fold()
    assert one.rows == 3
    assert ZarrArrays(one.path).rows()[0].shape == (3, 32)


@pytest.mark.parametrize("crash_at", range(7))
def test_a_crash_at_any_write_of_a_fold_loses_and_doubles_nothing(new_store, monkeypatch, crash_at):
    store = new_store()
    commit(store, [1, 2, 3], TAPS)
    store.fold()
    commit(store, [3, 4, 5], {"a": 3, "b": 2})
    writes = {"left": crash_at}
    original = zarr.Array.__setitem__

    def crash(array, selection, value):
        if writes["left"] == 0:
            raise KeyboardInterrupt
        writes["left"] -= 1
        original(array, selection, value)

    monkeypatch.setattr(zarr.Array, "__setitem__", crash)
    try:
        store.fold()
    except KeyboardInterrupt:
        crashed = True
    else:
        crashed = False
    monkeypatch.undo()
    assert crashed == (crash_at < 6)  # key, crop; tap and status of `a`; tap and status of `b`
    everything = make_rows([1, 2, 3, 4, 5], {"a": 3, "b": 2})
    for again in range(2):
        reopened = Store.open(store.path)
        status = reopened.look_up(everything.keys, everything.crops, ["a", "b"])
        assert status.tolist() == [[1, 0], [1, 0], [1, 1], [1, 1], [1, 1]]
        for tap, rows in (("a", slice(0, 5)), ("b", slice(2, 5))):
            found = reopened.read(everything.keys[rows], everything.crops[rows], tap)
            np.testing.assert_array_equal(found, everything.features[tap][rows])
        if not again:
            assert reopened.fold()
    assert reopened.rows == 5


def test_plain_zarr_reads_a_store_without_a_warning(new_store):
    store = new_store()
    rows = commit(store, [1, 2, 3], TAPS, failed={2})
    store.fold()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = zarr.open_group(store.path, mode="r")
        assert {name for name, _ in group.arrays()} == {"key", "crop", "status", "a"}
    np.testing.assert_array_equal(group["key"][:], rows.keys)
    assert group["key"].dtype == np.uint8
    assert group["a"].dtype == np.float16
    assert group["status"][:].tolist() == [[DONE], [FAILED], [DONE]]
    assert np.isnan(group["a"][1]).all()
    np.testing.assert_array_equal(group["a"][0], rows.features["a"][0])
    assert group.attrs["probekit"]["settings"]["model"] == "srm"


def test_keys_that_end_in_zero_bytes_stay_apart(new_store):
    store = new_store()
    rows = make_rows([1, 2], TAPS)
    rows.keys[0], rows.keys[1] = 7, 7
    rows.keys[1, 30:] = 0
    store.commit(rows, ["x", "y"])
    store.fold()
    np.testing.assert_array_equal(store.read(rows.keys[::-1].copy(), rows.crops, "a"), rows.features["a"][::-1])


def test_every_flipped_byte_of_features_is_noticed(new_store):
    store = new_store()
    rows = commit(store, list(range(40)), TAPS)
    store.fold()
    shard = store.path / "a" / "c" / "0" / "0"
    good = shard.read_bytes()
    for position in np.linspace(0, len(good) - 1, 25).astype(int):
        damaged = bytearray(good)
        damaged[position] ^= 0x10
        shard.write_bytes(damaged)
        assert list(store.verify()), f"byte {position} of {len(good)}"
        with pytest.raises(StoreError):
            Store.open(store.path).read(rows.keys, rows.crops, "a")
    shard.write_bytes(good)
    assert list(store.verify()) == []


def test_a_damaged_part_is_named_and_never_read(new_store):
    store = new_store()
    rows = commit(store, [1, 2], TAPS)
    (part,) = (store.path / "journal" / "parts").glob("*.safetensors")
    damaged = bytearray(part.read_bytes())
    damaged[-1] ^= 1
    part.write_bytes(damaged)
    assert part.name in next(iter(store.verify()))
    with pytest.raises(StoreCorruptError, match="damaged"):
        Store.open(store.path).read(rows.keys, rows.crops, "a")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (70000.0, "image 2: in tap a of srm, 7e.04 does not fit float16: extract with --dtype float32"),
        (np.nan, "gave nan"),
    ],
)
def test_a_feature_that_cannot_be_stored_names_tap_and_image(new_store, value, message):
    store = new_store()
    rows = make_rows([1, 2], TAPS)
    rows.features["a"][1, 2] = value
    with pytest.raises(FeatureOverflowError, match=message):
        store.commit(rows, ["image 1", "image 2"])
    assert store.rows == 0


def test_a_store_of_a_newer_format_is_refused(new_store):
    store = new_store()
    group = zarr.open_group(store.path, mode="r+")
    group.attrs["probekit"] = group.attrs["probekit"] | {"format": 99}
    with pytest.raises(StoreError, match=r"format 99.*update probekit"):
        Store.open(store.path)


def test_settings_that_do_not_give_the_address_are_refused(new_store):
    store = new_store()
    text = (store.path / "zarr.json").read_text()
    (store.path / "zarr.json").write_text(text.replace('"float32"', '"float64"', 1))
    with pytest.raises(StoreCorruptError, match="damaged"):
        Store.open(store.path)


def test_the_same_settings_open_the_same_store(new_store, tmp_path):
    assert new_store().path == new_store().path
    assert [store.path for store in list_stores(tmp_path / "cache")] == [new_store().path]


def test_a_cache_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot be written .* --cache"):
        Store.create(tmp_path / "cache", SETTINGS, {})


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
from tests.store.conftest import SETTINGS, commit
from probekit.errors import StoreError
from probekit.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store.create(Path(sys.argv[1]), SETTINGS, {"default_tap": "a", "batch_size": 4})
commit(store, [1, 2], {"a": 3})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    commit(store, list(range(3, 200)), {"a": 64})
except StoreError as error:
    print(error)
"""


def test_a_write_that_the_disk_refuses_keeps_what_was_committed(tmp_path):
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "cli")])}
    done = subprocess.run(
        [sys.executable, "-c", DISK_FULL, tmp_path], capture_output=True, text=True, check=True, env=environment
    )
    assert "cannot be written (File too large)" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    (store,) = list_stores(tmp_path)
    assert store.rows == 2
    assert [file.name for file in (store.path / "journal" / "parts").iterdir() if file.name.startswith(".")] == []


def test_a_status_other_than_done_is_not_read(new_store):
    store = new_store()
    rows = commit(store, [1], TAPS)
    other = make_rows([2], TAPS)
    assert store.look_up(other.keys, other.crops, ["a"])[0, 0] == ABSENT
    with pytest.raises(StoreError, match="1 rows of tap a"):
        store.read(np.concatenate([rows.keys, other.keys]), np.zeros(2, np.int16), "a")


def test_another_process_may_fold_at_any_time(new_store):
    reader, folder = new_store(), new_store()
    rows = commit(reader, [1, 2, 3], TAPS)
    assert (reader.look_up(rows.keys, rows.crops, ["a"]) == DONE).all()
    folder.fold()  # the reader's parts vanish
    np.testing.assert_array_equal(reader.read(rows.keys, rows.crops, "a"), rows.features["a"])
    more = commit(folder, [4, 5], TAPS)
    folder.fold()  # the reader's arrays are of before
    np.testing.assert_array_equal(reader.read(rows.keys, rows.crops, "a"), rows.features["a"])
    reader.update()
    assert (reader.look_up(more.keys, more.crops, ["a"]) == DONE).all()


def test_a_fold_takes_the_parts_that_are_there_once_it_is_alone(new_store, monkeypatch):
    store, quicker = new_store(), new_store()
    rows = commit(store, [1, 2], TAPS)
    listed = store._part_paths()
    quicker.fold()
    monkeypatch.setattr(store, "_part_paths", iter([listed, []]).__next__)
    assert store.fold()
    monkeypatch.undo()
    assert (store.look_up(rows.keys, rows.crops, ["a"]) == DONE).all()


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("a/c", "a: rows 0 to 2"),
        ("status/c", "lost rows"),
        ("status/c/0/1", "lost rows"),
        ("key/c", "key: rows 0 to 2"),
        ("crop/c", "crop: rows 0 to 2"),
        ("a/zarr.json", "zarr.json"),
        ("journal/seal.json", "seal.json is missing"),
    ],
)
def test_whatever_is_deleted_is_noticed(new_store, lost, named):
    store = new_store()
    commit(store, [1, 2, 3], {"a": 3, "b": 2})
    store.fold()
    assert list(store.verify()) == []
    target = store.path / lost
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert any(named in line for line in store.verify())


@pytest.mark.parametrize("lost", ["a/c", "status/c"])
def test_rows_that_are_lost_are_never_read_as_nan_or_absent(new_store, lost):
    store = new_store()
    rows = commit(store, [1, 2, 3], TAPS)
    store.fold()
    shutil.rmtree(store.path / lost)
    reopened = Store.open(store.path)
    with pytest.raises(StoreCorruptError, match=r"lost .*rows"):
        reopened.read(rows.keys, rows.crops, "a")


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("status/zarr.json", lambda text: text.replace('"a"', '"x"').replace('"b"', '"a"').replace('"x"', '"b"')),
        ("zarr.json", lambda text: text.replace('"batch_size": 4', '"batch_size": 8')),
        ("journal/reasons/[0-9a-f]*.json", lambda text: text.replace("reason 3", "reason 4")),
        ("journal/seal.json", lambda text: text.replace('"a":3', '"a":1')),
    ],
)
def test_changed_metadata_is_noticed_and_not_folded_over(new_store, file, change):
    store = new_store()
    commit(store, [1, 2, 3], {"a": 3, "b": 2}, failed={3})
    store.fold()
    (path,) = store.path.glob(file)
    assert change(path.read_text()) != path.read_text()
    path.write_text(change(path.read_text()))
    assert any(path.name in line for line in store.verify())
    if "reasons" not in file:
        commit(store, [4], TAPS)
        with pytest.raises(StoreCorruptError):
            store.fold()
        assert list(store.verify())


def test_every_flipped_byte_of_any_file_is_noticed(new_store):
    store = new_store()
    commit(store, [1, 2, 3], TAPS, failed={3})
    store.fold()
    commit(store, [4], TAPS)
    files = [file for file in store.path.rglob("*") if file.is_file() and file.name != "fold.lock"]
    for file in files:
        good = file.read_bytes()
        for position in np.linspace(0, len(good) - 1, 4).astype(int):
            damaged = bytearray(good)
            damaged[position] ^= 1
            file.write_bytes(damaged)
            assert list(store.verify()), f"byte {position} of {file}"
        file.write_bytes(good)
    assert list(store.verify()) == []


def test_a_fold_that_was_killed_is_no_damage_and_the_next_one_finishes_it(new_store, monkeypatch):
    store = new_store()
    commit(store, [1, 2], TAPS)
    monkeypatch.setattr("probekit.store.fold.Folding.finish", lambda _: None)  # killed before the last step
    store.fold()
    monkeypatch.undo()
    assert list(store.verify()) == []
    assert json.loads((store.path / "journal" / "seal.json").read_text())["seal"]["folding"]
    (store.path / "a" / "zarr.0.partial").touch()
    assert store.fold()
    assert not json.loads((store.path / "journal" / "seal.json").read_text())["seal"]["folding"]
    assert not list(store.path.rglob("*.partial"))
    assert list(store.verify()) == []


def test_images_that_all_failed_are_not_taken_for_lost(new_store):
    store = new_store()
    commit(store, [1, 2], TAPS, failed={1, 2})
    store.fold()
    assert list(store.verify()) == []


def test_an_image_that_was_read_in_the_end_has_no_reason_any_more(new_store):
    store = new_store()
    rows = commit(store, [1, 2], TAPS, failed={1, 2})
    store.fold()
    commit(store, [2], TAPS)
    for _ in range(2):
        store.refresh()
        assert store.reasons() == {rows.keys[0].tobytes(): "reason 1"}
        store.fold()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"zarr_format": 3, "node_type": "group", "attributes": {"probekit": 1}}']
)
def test_a_damaged_store_hides_no_other(new_store, text):
    store = new_store()
    broken = store.path.with_name("broken")
    broken.mkdir()
    (broken / "zarr.json").write_text(text)
    stores, damaged = find_stores(store.path.parent)
    assert [found.path for found in stores] == [store.path]
    assert list(damaged) == [broken]
    assert str(broken) in damaged[broken]


def test_looking_and_reading_write_nothing(new_store):
    store = new_store()
    rows = commit(store, [1, 2], TAPS)
    store.fold()
    commit(store, [3], TAPS, failed={3})

    def files():
        return {path: path.stat().st_mtime_ns for path in store.path.parent.rglob("*")}

    before = files()
    reader = Store.open(store.path)
    assert reader.read(rows.keys, rows.crops, "a").shape == (2, 3)
    assert (reader.rows, len(reader.reasons()), list(reader.verify())) == (3, 1, [])
    assert files() == before


def test_a_fold_syncs_only_what_it_wrote(new_store, monkeypatch):
    store = new_store()
    commit(store, [1], TAPS)
    store.fold()
    commit(store, [1], {"b": 2})
    synced = []
    monkeypatch.setattr(
        "probekit.store.zarrays.os.fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink())
    )
    store.fold()
    objects = {str(path.relative_to(store.path)) for path in synced if "c" in path.parts and path.is_file()}
    assert objects == {"b/c/0/0", "status/c/0/1"}


def test_a_draft_that_vanishes_while_a_fold_sweeps_is_no_trouble(new_store):
    store = new_store()
    commit(store, [1, 2], TAPS)
    claims = store.path / "journal" / "claims"
    claims.mkdir(exist_ok=True)
    (claims / ".unit-1.draft").symlink_to(claims / "renamed")  # listed, but gone when it is looked at
    assert store.fold()
    assert store.rows == 2
