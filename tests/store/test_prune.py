"""Pruning: the rows that stay are as they were, and at any moment there is one whole store."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probekit.errors import StoreCorruptError, StoreError
from probekit.store import ABSENT, DONE, Rows, Store, find_stores, remove_store, swap
from probekit.store.claims import Claims
from probekit.store.locks import exclusive
from probekit.store.seal import Seal
from tests.store.conftest import SETTINGS, commit, make_rows
from tests.store.test_claims import run_until_dead

TAPS = {"a": 3}
ROOT = Path(__file__).parents[2]


def keys_of(numbers):
    return make_rows(list(numbers), TAPS).keys if numbers else np.zeros((0, 32), np.uint8)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    commits=st.lists(
        st.tuples(
            st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True),
            st.sampled_from(["a", "b", "ab"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    keep=st.sets(st.integers(0, 12)),
    fails=st.sets(st.integers(0, 9), max_size=3),
)
def test_what_stays_is_what_the_store_said_before(tmp_path_factory, commits, keep, fails):
    store = Store.create(tmp_path_factory.mktemp("cache"), SETTINGS, {"default_tap": "a", "batch_size": 4})
    for numbers, taps, folds in commits:
        commit(store, numbers, {tap: {"a": 3, "b": 2}[tap] for tap in taps}, fails)
        store.refresh()
        if folds:
            store.fold()
    everything = make_rows(list(range(10)), TAPS)
    before = store.look_up(everything.keys, everything.crops, ["a", "b"])
    reasons = store.reasons()
    surplus = store.surplus(keys_of(sorted(keep)))
    pruned = store.prune(surplus)
    stays = np.isin(np.arange(10), list(keep))
    after = store.look_up(everything.keys, everything.crops, ["a", "b"])
    np.testing.assert_array_equal(after, np.where(stays[:, None], before, ABSENT))
    for column, tap in enumerate("ab"):
        done = np.flatnonzero(after[:, column] == DONE)
        if len(done):
            found = store.read(everything.keys[done], everything.crops[done], tap)
            expected = make_rows(done.tolist(), {tap: {"a": 3, "b": 2}[tap]}).features[tap]
            np.testing.assert_array_equal(found, expected)
    kept_keys = {key.tobytes() for key in everything.keys[stays]}
    assert store.reasons() == {key: reason for key, reason in reasons.items() if key in kept_keys}
    assert list(store.verify()) == []
    assert (pruned.kept, pruned.dropped) == (store.rows, surplus.dropped)
    assert surplus.rows == pruned.kept + pruned.dropped
    assert not Store.open(store.path).surplus(keys_of(sorted(keep)))
    assert list(store.path.parent.glob(".*")) == []


def test_rows_that_came_after_the_look_stay(new_store):
    store, worker = new_store(), new_store()
    rows = commit(store, [1, 2], TAPS)
    found = store.surplus(rows.keys[:1])
    later = commit(worker, [3, 4], TAPS)
    assert store.prune(found).dropped == 1
    expected = {key.tobytes() for key in (rows.keys[0], *later.keys)}
    assert {key.tobytes() for key in store.identities()[0]} == expected


def test_all_crops_of_an_image_stay_or_go_together(new_store):
    store = new_store()
    rows = make_rows([1, 2], TAPS)
    twice = Rows(
        np.repeat(rows.keys, 3, axis=0),
        np.tile(np.arange(3, dtype=np.int16), 2),
        {"a": np.arange(18, dtype=np.float32).reshape(6, 3)},
        {},
    )
    store.commit(twice, ["image"] * 6)
    store.prune(store.surplus(rows.keys[1:]))
    keys, crops = store.identities()
    assert (keys == rows.keys[1]).all()
    assert crops.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(store.read(keys, crops, "a"), twice.features["a"][3:])


def test_rows_of_many_shards_keep_their_places(new_store, monkeypatch):
    monkeypatch.setattr("probekit.store.zarrays.CHUNKS_PER_SHARD", 1)
    monkeypatch.setattr("probekit.store.prune.SHARD_ROWS", 100)
    store = new_store()
    rows = commit(store, list(range(900)), TAPS)
    store.fold()
    stays = np.arange(900) % 7 != 0
    told = []
    store.prune(store.surplus(rows.keys[stays]), on_rows=lambda done, total: told.append((done, total)))
    np.testing.assert_array_equal(store.identities()[0], rows.keys[stays])
    np.testing.assert_array_equal(store.read(rows.keys[stays], rows.crops[stays], "a"), rows.features["a"][stays])
    assert told[-1] == (771, 771)
    assert commit(store, [1000], TAPS)
    assert store.fold()
    assert list(store.verify()) == []


def test_a_row_in_two_parts_is_spare_once(new_store):
    store = new_store()
    rows = commit(store, [1, 2], TAPS)
    commit(store, [2, 3], TAPS)
    assert store.surplus(keys_of([1, 2, 3])).spare == 1
    store.prune(store.surplus(keys_of([1, 2, 3])))
    assert store.rows == 3
    assert not store.surplus(keys_of([1, 2, 3]))
    np.testing.assert_array_equal(store.read(rows.keys, rows.crops, "a"), rows.features["a"])


def test_a_reader_at_work_never_mixes_the_rows_of_before_and_after(new_store):
    store, reader = new_store(), new_store()
    rows = commit(store, list(range(20)), TAPS)
    store.fold()
    assert reader.rows == 20
    store.prune(store.surplus(rows.keys[10:]))
    np.testing.assert_array_equal(reader.read(rows.keys[10:], rows.crops[10:], "a"), rows.features["a"][10:])
    with pytest.raises(StoreError, match="10 rows of tap a are not there"):
        reader.read(rows.keys[:10], rows.crops[:10], "a")


def test_a_reader_that_is_overtaken_while_it_reads_reads_again(new_store, monkeypatch):
    store, reader = new_store(), new_store()
    rows = commit(store, list(range(20)), TAPS)
    store.fold()
    assert reader.rows == 20
    read = type(reader._snapshot).read

    def overtaken(self, *arguments):
        monkeypatch.undo()
        store.prune(store.surplus(rows.keys[10:]))
        return read(self, *arguments)

    monkeypatch.setattr(type(reader._snapshot), "read", overtaken)
    np.testing.assert_array_equal(reader.read(rows.keys[12:], rows.crops[12:], "a"), rows.features["a"][12:])


def test_a_store_that_is_being_extracted_into_is_left_alone(new_store):
    store, worker = new_store(), new_store()
    rows = commit(store, [1, 2], TAPS)
    assert worker.claims.take("unit-1")
    with pytest.raises(StoreError, match=rf"extracted into by process {os.getpid()} on .*: wait"):
        store.prune(store.surplus(rows.keys[:1]))
    worker.claims.release("unit-1")
    with (
        exclusive(store.path / "journal" / "claims" / "fold.lock"),
        pytest.raises(StoreError, match="folded by another process: wait"),
    ):
        store.prune(store.surplus(rows.keys[:1]))
    pruning = Claims(store.path / "journal" / "claims")
    assert pruning.hold()
    with pytest.raises(StoreError, match="pruned or removed by another process: wait"):
        store.prune(store.surplus(rows.keys[:1]))
    assert new_store().rows == 2


def test_whoever_begins_to_extract_meanwhile_waits(new_store, monkeypatch):
    store, worker = new_store(), new_store()
    rows = commit(store, [1, 2], TAPS)
    claimed = []

    def exchange(*arguments, original=swap.exchange):
        claimed.append(worker.claims.take("unit-1"))
        original(*arguments)

    monkeypatch.setattr("probekit.store.prune.exchange", exchange)
    store.prune(store.surplus(rows.keys[:1]))
    assert claimed == [False]
    assert worker.claims.take("unit-1")
    commit(worker, [3], TAPS)
    assert worker.fold()
    assert new_store().rows == 2


def test_a_lock_of_the_old_store_does_not_count_for_the_new_one(new_store, monkeypatch):
    import fcntl

    store = new_store()
    rows = commit(store, [1, 2], TAPS)
    store.fold()
    lock = store.path / "journal" / "claims" / "fold.lock"
    flock, calls = fcntl.flock, []

    def late(file, how):
        if not calls:  # opened before the swap, locked after it
            calls.append(how)
            new_store().prune(new_store().surplus(rows.keys[:1]))
        return flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with exclusive(lock) as alone:
        assert not alone
    with exclusive(lock) as alone:
        assert alone


def test_the_claims_and_drafts_of_dead_processes_are_cleared_away(new_store):
    store = new_store()
    rows = commit(store, [1, 2], TAPS)
    run_until_dead("Claims(Path('.')).take('u')", store.path / "journal" / "claims")
    left = swap.draft_of(store.path)
    left.mkdir()
    assert {path.name for path in store.surplus(rows.keys).leftovers} == {"u", left.name}
    store.prune(store.surplus(rows.keys))
    assert store.surplus(rows.keys).leftovers == ()
    assert not left.exists()


def test_a_damaged_row_stops_pruning_before_anything_goes(new_store):
    store = new_store()
    rows = commit(store, list(range(10)), TAPS)
    store.fold()
    shard = store.path / "a" / "c" / "0" / "0"
    damaged = bytearray(shard.read_bytes())
    damaged[10] ^= 1
    shard.write_bytes(damaged)
    before = {file: file.read_bytes() for file in store.path.rglob("*") if file.is_file() and file.name != "seal.json"}
    with pytest.raises(StoreCorruptError, match="damaged"):
        store.prune(store.surplus(rows.keys[:5]))
    assert {file: file.read_bytes() for file in before} == before
    assert list(store.path.parent.glob(".*")) == []


def test_what_does_not_belong_to_the_store_is_never_deleted(new_store):
    store = new_store()
    rows = commit(store, [1, 2], TAPS)
    (store.path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes.txt is not part of the store: move it away"):
        store.prune(store.surplus(rows.keys[:1]))
    assert store.rows == 2


def test_a_full_disk_leaves_the_old_store(new_store, monkeypatch):
    store = new_store()
    rows = commit(store, [1, 2], TAPS)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("probekit.store.prune.sync_tree", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.prune(store.surplus(rows.keys[:1]))
    assert new_store().rows == 2
    assert list(store.path.parent.glob(".*")) == []


@pytest.fixture
def without_exchange(monkeypatch):
    """A file system that cannot exchange two names."""
    monkeypatch.setattr(swap, "_exchange_names", lambda *_: False)


def test_two_renames_do_where_names_cannot_be_exchanged(new_store, without_exchange):
    store = new_store()
    rows = commit(store, [1, 2, 3], TAPS)
    generation = Seal.read(store.path).generation
    store.prune(store.surplus(rows.keys[:2]))
    assert store.rows == 2
    assert Seal.read(store.path).generation != generation
    assert list(store.path.parent.glob(".*")) == []


@pytest.mark.parametrize("look", ["find", "open", "create", "read"])
def test_between_the_two_renames_the_old_store_is_brought_back(new_store, look):
    store = new_store()
    rows = commit(store, [1, 2, 3], TAPS)
    store.path.rename(swap._aside(store.path))  # and then the process was killed
    if look == "read":
        store.refresh()
        np.testing.assert_array_equal(store.read(rows.keys, rows.crops, "a"), rows.features["a"])
    elif look == "find":
        (found,) = find_stores(store.path.parent)[0]
        assert found.rows == 3
    else:
        found = Store.open(store.path) if look == "open" else new_store()
        assert found.rows == 3


def test_a_reader_that_brings_the_old_store_back_does_not_stop_pruning(new_store, without_exchange, monkeypatch):
    store = new_store()
    rows = commit(store, [1, 2, 3], TAPS)
    rename, met = Path.rename, []

    def meddled(self, target):
        done = rename(self, target)
        if Path(target).name.endswith(".old") and not met:
            met.append(new_store().rows)
        return done

    monkeypatch.setattr(Path, "rename", meddled)
    store.prune(store.surplus(rows.keys[:1]))
    assert met == [3]
    assert new_store().rows == 1
    assert list(store.path.parent.glob(".*")) == []


def test_a_removed_store_does_not_come_back(new_store):
    store = new_store()
    commit(store, [1], TAPS)
    aside = swap._aside(store.path)
    aside.mkdir()
    (aside / "half").touch()  # left by a process that was killed after its second rename
    remove_store(store.path)
    assert find_stores(store.path.parent) == ([], {})
    assert list(store.path.parent.iterdir()) == []


def test_a_store_at_work_is_not_removed(new_store):
    store, worker = new_store(), new_store()
    commit(store, [1], TAPS)
    assert worker.claims.take("unit-1")
    with pytest.raises(StoreError, match=rf"extracted into by process {os.getpid()} on .*: wait"):
        remove_store(store.path)
    worker.claims.release("unit-1")
    with (
        exclusive(store.path / "journal" / "claims" / "fold.lock"),
        pytest.raises(StoreError, match="folded by another process: wait"),
    ):
        remove_store(store.path)
    assert new_store().rows == 1
    assert worker.claims.take("unit-1")
    worker.claims.release("unit-1")
    remove_store(store.path)
    assert list(store.path.parent.iterdir()) == []


def test_what_is_left_of_a_damaged_store_can_be_removed(new_store):
    store = new_store()
    commit(store, [1], TAPS)
    for number in range(2):
        remove_store(store.path)
        (new_store().path / "zarr.json").write_text("{")
        if number:
            shutil.rmtree(store.path / "journal")
    remove_store(store.path)
    assert list(store.path.parent.iterdir()) == []


def test_a_store_that_is_removed_by_hand_under_an_extraction_does_not_come_back(new_store):
    store = new_store()
    commit(store, [1], TAPS)
    assert store.claims.take("unit-1")
    shutil.rmtree(store.path)
    for work in (lambda: commit(store, [2], TAPS), store.fold, lambda: store.claims.take("unit-2")):
        with pytest.raises(StoreError, match=r"is there no more: it was removed or moved meanwhile. Run again"):
            work()
    store.claims.show_life("unit-1")
    store.claims.release("unit-1")
    assert list(store.path.parent.iterdir()) == []
