"""Near pairs of binary codes, against every pair counted bit by bit."""

import numpy as np
import pytest

from probekit.errors import UsageError
from probekit.neighbours import binary, hamming_pairs


def brute_force(codes, groups, distance):
    bits = np.unpackbits(codes, axis=1).astype(int)
    return {
        (i, j, int(np.sum(bits[i] != bits[j])))
        for i in range(len(codes))
        for j in range(i + 1, len(codes))
        if np.sum(bits[i] != bits[j]) <= distance and (groups is None or groups[i] != groups[j])
    }


def clustered(n=300, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (20, 8), dtype=np.uint8)
    return centres[rng.integers(0, 20, n)] ^ np.packbits(rng.random((n, 64)) < 0.06, axis=1)


@pytest.mark.parametrize("distance", [0, 3, 8])
@pytest.mark.parametrize("grouped", [False, True])
def test_all_pairs_are_those_that_counting_finds(monkeypatch, distance, grouped):
    monkeypatch.setattr(binary, "QUERIES_AT_ONCE", 37)
    monkeypatch.setattr(binary, "CODES_AT_ONCE", 64)
    codes = clustered()
    groups = np.array([f"g{i % 3}" for i in range(len(codes))]) if grouped else None
    found = hamming_pairs(codes, groups, distance, most_each=len(codes))
    expected = brute_force(codes, groups, distance)
    assert set(found.itertuples(index=False, name=None)) == expected
    assert len(found) == len(expected) > 0 or distance == 0
    assert found["distance"].is_monotonic_increasing


def test_of_each_code_only_the_nearest_are_kept():
    codes = np.zeros((50, 8), np.uint8)
    codes[:, 0] = [1 if i % 2 else 0 for i in range(50)]
    found = hamming_pairs(codes, None, 8, most_each=3)
    assert found.groupby("i").size().max() == 3
    own = found[found["i"] == 0]
    assert own["j"].tolist() == [2, 4, 6]
    assert own["distance"].tolist() == [0, 0, 0]


def test_no_codes_have_no_pairs_and_a_negative_distance_is_refused():
    assert len(hamming_pairs(np.zeros((0, 8), np.uint8), None, 8)) == 0
    with pytest.raises(UsageError, match="0 or more"):
        hamming_pairs(np.zeros((2, 8), np.uint8), None, -1)
