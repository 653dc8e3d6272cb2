"""Rows found by identity, whatever the number asked for at once."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from probekit.store import rows
from probekit.store.rows import RowIndex


def test_identities_are_found_in_any_number_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 256, (60, 32), np.uint8)
    keys[40:] = keys[:20]  # written twice, or with another crop
    crops = np.where(np.arange(60) < 50, 0, 1).astype(np.int16)
    index = RowIndex(keys, crops)
    asked = np.concatenate([keys[rng.permutation(60)], rng.integers(0, 256, (7, 32), np.uint8)])
    crop = np.zeros(67, np.int16)
    first = {key.tobytes(): row for row, key in reversed(list(enumerate(keys))) if crops[row] == 0}
    expected = [first.get(key.tobytes(), -1) for key in asked]
    for at_once in (1 << 18, 16, 1):
        monkeypatch.setattr(rows, "_BATCH", at_once)
        assert_array_equal(index.find(asked, crop), expected)
    assert_array_equal(RowIndex(keys[:0], crops[:0]).find(asked, crop), np.full(67, -1))


@pytest.mark.parametrize("lengths", [(60,), (20, 20, 20), (1, 0, 3, 40, 16), (0, 60), (32, 16, 8, 3, 1)])
def test_rows_taken_in_later_are_found_as_if_they_had_been_there_at_once(lengths):
    rng = np.random.default_rng(1)
    keys = rng.integers(0, 256, (60, 32), np.uint8)
    keys[50:] = keys[:10]  # written twice
    keys[45:50, :8] = keys[0, :8]  # alike in what is sorted
    crops = (np.arange(60) % 3 == 1).astype(np.int16)
    index, begin, earlier = RowIndex(keys[:0], crops[:0]), 0, []
    for length in lengths:
        earlier.append((index, begin))
        index = RowIndex(keys[begin : begin + length], crops[begin : begin + length], behind=index)
        begin += length
    whole = RowIndex(keys[:begin], crops[:begin])
    asked = np.concatenate([keys, rng.integers(0, 256, (7, 32), np.uint8)])
    for crop in (0, 1):
        crops_asked = np.full(len(asked), crop, np.int16)
        assert_array_equal(index.find(asked, crops_asked), whole.find(asked, crops_asked))
    assert_array_equal(index.keys, keys[:begin])
    assert_array_equal(index.crops, crops[:begin])
    for before, length in earlier:
        assert len(before) == length
        assert (before.find(keys[length:], crops[length:]) < length).all(), "an index stays as it was"


def test_rows_that_come_a_few_at_a_time_are_sorted_again_a_few_times_only(monkeypatch):
    sort, sorted_rows = rows._Run.of, []
    monkeypatch.setattr(
        rows._Run, "of", lambda keys, crops, first: sorted_rows.append(len(keys)) or sort(keys, crops, first)
    )
    rng = np.random.default_rng(2)
    index = RowIndex(np.zeros((0, 32), np.uint8), np.zeros(0, np.int16))
    for _ in range(256):
        index = RowIndex(rng.integers(0, 256, (4, 32), np.uint8), np.zeros(4, np.int16), behind=index)
    assert len(index) == 1024
    assert sum(sorted_rows) <= 1024 * 9, "log2 of 256 times and the first; all again each time would be 130 times"
