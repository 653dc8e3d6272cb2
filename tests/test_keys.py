"""Keys: remembered as long as a file is what it was."""

import os

import numpy as np
import pytest

from probekit.errors import StoreError
from probekit.keys import MAX_PARTS, KeyIndex, file_digest, sample_key


def remember(index: KeyIndex, path, data: bytes) -> bytes:
    path.write_bytes(data)
    index.add(str(path), path.stat(), file_digest(data))
    return file_digest(data)


def test_a_key_is_known_until_its_file_changes(tmp_path):
    path = tmp_path / "ä 1.png"
    digest = remember(index := KeyIndex.open(tmp_path), path, b"one")
    index.flush()
    for opened in (index, KeyIndex.open(tmp_path)):
        known = opened.look_up([str(tmp_path / "never"), str(path)])
        assert known.unchanged.tolist() == [False, True]
        assert known.digests[1].tobytes() == digest
    path.write_bytes(b"other")
    known = KeyIndex.open(tmp_path).look_up([str(path)])
    assert (known.remembered[0], known.readable[0], known.unchanged[0]) == (True, True, False)
    path.unlink()
    known = KeyIndex.open(tmp_path).look_up([str(path)])
    assert (known.remembered[0], known.readable[0], known.unchanged[0]) == (True, False, False)


def test_a_nanosecond_counts(tmp_path):
    path = tmp_path / "a.png"
    remember(index := KeyIndex.open(tmp_path), path, b"one")
    index.flush()
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert not KeyIndex.open(tmp_path).look_up([str(path), str(tmp_path / "b")]).unchanged.any()


def test_many_parts_are_merged_and_nothing_is_forgotten(tmp_path):
    index = KeyIndex.open(tmp_path)
    paths = [tmp_path / f"{number}.png" for number in range(MAX_PARTS + 5)]
    for path in paths:
        remember(index, path, path.name.encode())
        index.flush()
    assert len(list((tmp_path / "keys").glob("*.parquet"))) < 10
    assert KeyIndex.open(tmp_path).look_up([str(path) for path in paths]).unchanged.all()


def test_a_draft_of_a_killed_process_is_passed_over_and_swept_away_after_a_day(tmp_path):
    index = KeyIndex.open(tmp_path)
    (tmp_path / "keys").mkdir()
    old, young = (tmp_path / "keys" / f".{age}.parquet" for age in ("old", "young"))
    for draft in (old, young):
        draft.write_bytes(b"PAR1 half")
    os.utime(old, (1, 1))
    for number in range(MAX_PARTS + 1):
        remember(index, tmp_path / f"{number}.png", b"x")
        index.flush()
    assert KeyIndex.open(tmp_path).look_up([str(tmp_path / "0.png")]).unchanged.all()
    assert (old.exists(), young.exists()) == (False, True)


def test_a_damaged_part_is_named(tmp_path):
    remember(index := KeyIndex.open(tmp_path), tmp_path / "a.png", b"one")
    index.flush()
    (part,) = (tmp_path / "keys").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(StoreError, match=f"{part.name} is damaged"):
        KeyIndex.open(tmp_path)


def test_a_box_or_frame_has_a_key_of_its_own():
    digest = file_digest(b"x")
    assert sample_key(digest) == sample_key(digest, {}) == digest
    assert sample_key(digest, {"x0": 1, "y0": 2}) == sample_key(digest, {"y0": 2, "x0": 1})
    assert len({sample_key(digest, part) for part in ({}, {"frame": 1}, {"frame": 2}, {"x0": 1})}) == 4
    assert len(np.frombuffer(sample_key(digest, {"frame": 1}), np.uint8)) == 32
