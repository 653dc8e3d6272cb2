"""What a process has seen of a store is kept from one look to the next, and never believed of another store."""

import shutil

import numpy as np
import pytest

from probekit.store import ABSENT, DONE
from probekit.store.zarrays import ZarrArrays
from tests.store.conftest import commit, make_rows

TAPS = {"a": 3}


@pytest.fixture
def read_rows(monkeypatch):
    """How many identities each look has read from the arrays."""
    original, counts = ZarrArrays.rows, []

    def counted(arrays, first=0):
        found = original(arrays, first)
        counts.append(len(found[0]))
        return found

    monkeypatch.setattr(ZarrArrays, "rows", counted)
    return counts


def status_of(store, numbers, tap="a"):
    rows = make_rows(numbers, TAPS)
    return store.look_up(rows.keys, rows.crops, [tap])[:, 0].tolist()


def test_one_process_that_folds_again_and_again_reads_no_identity_again(new_store, read_rows):
    store = new_store()
    for turn in range(8):
        commit(store, [3 * turn, 3 * turn + 1, 3 * turn + 2], TAPS)
        assert store.fold()
        store.update()
        assert status_of(store, range(3 * turn + 4)) == [DONE] * (3 * turn + 3) + [ABSENT]
    assert sum(read_rows) == 0, "it has written them all"


def test_processes_that_fold_in_turn_read_each_others_rows_once(new_store, read_rows):
    stores = new_store(), new_store()
    for turn in range(8):
        commit(stores[turn % 2], [3 * turn, 3 * turn + 1, 3 * turn + 2], TAPS)
        assert stores[turn % 2].fold()
        for store in stores:
            store.update()
            assert status_of(store, range(3 * turn + 4)) == [DONE] * (3 * turn + 3) + [ABSENT]
    looks = len(read_rows)
    assert looks < 8 * 4
    assert sum(read_rows) <= 8 * 3 + looks, "and the last row of before, to tell whether it is still there"


def test_taps_and_results_that_others_add_to_rows_that_were_seen_are_seen(new_store):
    reader, writer = new_store(), new_store()
    commit(writer, [1, 2, 3], TAPS, failed={2})
    writer.fold()
    assert [status_of(reader, [1, 2, 3], tap) for tap in "ab"] == [[1, 2, 1], [0, 0, 0]]
    commit(writer, [3, 1], {"b": 2})
    rows = commit(writer, [2], TAPS)
    writer.fold()
    reader.update()
    assert [status_of(reader, [1, 2, 3], tap) for tap in "ab"] == [[1, 1, 1], [1, 0, 1]]
    np.testing.assert_array_equal(reader.read(rows.keys, rows.crops, "a"), rows.features["a"])


@pytest.mark.parametrize("numbers", [[3, 2, 1], [1, 2, 4], [1, 2], [9, 8, 7, 6], []])
def test_a_store_that_was_removed_and_made_anew_is_read_anew(new_store, numbers):
    store = new_store()
    commit(store, [1, 2, 3], TAPS)
    store.fold()
    assert status_of(store, [1, 2, 3]) == [DONE] * 3
    shutil.rmtree(store.path)
    other = new_store()
    rows = commit(other, numbers, TAPS) if numbers else make_rows([1], TAPS)
    other.fold()
    store.refresh()
    assert status_of(store, range(10)) == [DONE if number in numbers else ABSENT for number in range(10)]
    if numbers:
        np.testing.assert_array_equal(store.read(rows.keys, rows.crops, "a"), rows.features["a"])
    commit(store, [20], TAPS)
    store.fold()
    assert status_of(store, [*numbers, 20]) == [DONE] * (len(numbers) + 1)
