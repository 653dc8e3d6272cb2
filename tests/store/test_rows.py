"""Rows found by identity, whatever the number asked for at once."""

import numpy as np
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
