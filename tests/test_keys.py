"""Keys: remembered as long as a file is what it was."""

import os
from pathlib import Path

import numpy as np
import pytest

from probekit.errors import StoreError
from probekit.keys import KeyIndex, entry_name, file_digest, parts, sample_key
from probekit.keys import index as indexing
from probekit.paths import path_of
from probekit.remote import ObjectStatus, buckets


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
    paths = [tmp_path / f"{number}.png" for number in range(parts.MAX_PARTS + 5)]
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
    for number in range(parts.MAX_PARTS + 1):
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
        KeyIndex.open(tmp_path).look_up([str(tmp_path / "a.png")])


def test_a_box_or_frame_has_a_key_of_its_own():
    digest = file_digest(b"x")
    assert sample_key(digest) == sample_key(digest, {}) == digest
    assert sample_key(digest, {"x0": 1, "y0": 2}) == sample_key(digest, {"y0": 2, "x0": 1})
    assert len({sample_key(digest, part) for part in ({}, {"frame": 1}, {"frame": 2}, {"x0": 1})}) == 4
    assert len(np.frombuffer(sample_key(digest, {"frame": 1}), np.uint8)) == 32


def test_members_are_known_by_their_archive_and_names_asked_for_twice_are_answered_twice(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"an archive")
    index = KeyIndex.open(tmp_path)
    for number, part in enumerate("abab"):
        index.add(entry_name(str(archive), f"{part}.png"), archive.stat(), file_digest(str(number).encode()))
        index.flush()
    names = [entry_name(str(archive), f"{part}.png") for part in "aabc"] + [str(archive)]
    known = index.look_up(names)
    assert known.unchanged.tolist() == [True, True, True, False, False]
    assert known.readable.all()
    assert [row.tobytes() for row in known.digests[:3]] == [file_digest(b"2"), file_digest(b"2"), file_digest(b"3")]
    os.utime(archive, (1, 1))
    assert not index.look_up(names).unchanged.any()
    assert len(index.look_up([]).digests) == 0


def test_merging_keeps_the_newest_digest_of_every_name(tmp_path):
    path = tmp_path / "a.png"
    index = KeyIndex.open(tmp_path)
    for number in range(parts.MAX_PARTS + 3):
        digest = remember(index, path, b"%d" % number)
        remember(index, tmp_path / f"{number}.png", b"x")
        index.flush()
    known = KeyIndex.open(tmp_path).look_up([str(path)])
    assert known.digests[0].tobytes() == digest
    assert known.unchanged.all()


def indexed(tmp_path, count):
    paths = [tmp_path / f"{number}.png" for number in range(count)]
    for path in paths:
        remember(index := KeyIndex.open(tmp_path), path, path.name.encode())
        index.flush()
    return paths


def test_parts_of_earlier_versions_hold_no_hashes_and_are_read_merged_and_outdone(tmp_path):
    import pyarrow.parquet as pq

    paths = indexed(tmp_path, 4)
    for part in (tmp_path / "keys").glob("*.parquet"):
        pq.write_table(pq.read_table(part).drop_columns("name_hash"), part, write_page_checksum=True)
    index = KeyIndex.open(tmp_path)
    digest = remember(index, paths[0], b"newer")
    index.flush()
    for _ in range(2):  # as they lie, and merged
        known = KeyIndex.open(tmp_path).look_up([str(path) for path in paths])
        assert known.unchanged.all()
        assert known.digests[0].tobytes() == digest
        assert known.digests[3].tobytes() == file_digest(paths[3].name.encode())
        KeyIndex.open(tmp_path).forget(["nothing"])
    assert len(list((tmp_path / "keys").iterdir())) == 1


@pytest.mark.parametrize("hashed", [True, False])
def test_objects_are_remembered_by_url_size_and_number_in_every_kind_of_part(tmp_path, monkeypatch, hashed):
    import pyarrow.parquet as pq

    index = KeyIndex.open(tmp_path)
    url, twice = "s3://bucket/a//b.png", ObjectStatus(5, 1 << 62)
    for status, data in ((ObjectStatus(3, 7), b"older"), (twice, b"newer")):
        index.add(url, status, file_digest(data))
        remember(index, tmp_path / "a.png", b"a file")
        index.flush()
    if not hashed:
        for part in (tmp_path / "keys").glob("*.parquet"):
            pq.write_table(pq.read_table(part).drop_columns("name_hash"), part, write_page_checksum=True)
    for _ in range(2):  # as they lie, and merged
        for answer, unchanged in ((twice, True), (ObjectStatus(5, 1), False), (None, False)):
            monkeypatch.setattr(indexing, "remote_statuses", lambda urls, answer=answer: iter([answer] * len(urls)))
            known = index.look_up([str(tmp_path / "a.png"), url, "s3://bucket/a/b.png"], ask=True)
            assert known.unchanged.tolist() == [True, unchanged, False]
            assert known.readable.tolist() == [True, answer is not None, True]
        assert index.look_up([url]).unchanged.all(), "believed where nobody is asked"
        assert known.digests[1].tobytes() == file_digest(b"newer")
        KeyIndex.open(tmp_path).forget(["nothing"])
    assert len(list((tmp_path / "keys").iterdir())) == 1


def test_an_index_that_grows_for_ever_is_written_again_a_few_times_only(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "MAX_PARTS", 4)
    write, written = parts._write, []

    def counted(batches, *arguments):
        batches = list(batches)
        written.append(sum(len(batch) for batch, _ in batches))
        write(batches, *arguments)

    monkeypatch.setattr(parts, "_write", counted)
    paths = indexed(tmp_path, 128)
    assert len(list((tmp_path / "keys").iterdir())) <= 12
    assert sum(written) < 128 * 10, "whole again at every merge, it would be thousands"
    assert KeyIndex.open(tmp_path).look_up([str(path) for path in paths]).unchanged.all()


def test_a_look_up_while_another_process_merges_forgets_nothing(tmp_path, monkeypatch):
    paths = indexed(tmp_path, 3)
    open_part, opened = parts.Part.__init__, []

    def overtaken(self, path):
        open_part(self, path)
        opened.append(path)
        if len(opened) == 1:  # the others are listed, and not open yet
            KeyIndex.open(tmp_path).forget(["nothing"])

    monkeypatch.setattr(parts.Part, "__init__", overtaken)
    assert KeyIndex.open(tmp_path).look_up([str(path) for path in paths]).unchanged.all()
    assert len(list((tmp_path / "keys").iterdir())) == 1


def test_what_is_added_while_parts_are_merged_is_newer_than_they(tmp_path, monkeypatch):
    (path, _) = indexed(tmp_path, 2)
    write, digests = parts._write, []

    def late(*arguments):
        monkeypatch.undo()
        digests.append(remember(index := KeyIndex.open(tmp_path), path, b"changed"))
        index.flush()
        write(*arguments)

    monkeypatch.setattr(parts, "_write", late)
    KeyIndex.open(tmp_path).forget(["nothing"])
    assert len(list((tmp_path / "keys").iterdir())) == 2
    known = KeyIndex.open(tmp_path).look_up([str(path)])
    assert known.unchanged[0]
    assert known.digests[0].tobytes() == digests[0]


def test_a_part_reaches_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    fsync, replace, calls = os.fsync, os.replace, []
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("synced"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("named"), replace(*paths)))
    indexed(tmp_path, 1)
    assert calls == ["synced", "named", "synced"]  # the file, its name, the folder


@pytest.mark.parametrize("at_once", [1, 2, 5, 1 << 20])
def test_a_look_up_does_not_depend_on_how_much_is_looked_at_together(tmp_path, monkeypatch, at_once):
    index, files = KeyIndex.open(tmp_path), [tmp_path / f"{number}.zip" for number in range(4)]
    for number, file in enumerate(files):
        file.write_bytes(b"x" * (number + 1))
        for part in ("", "a.png", "b.png"):
            index.add(entry_name(str(file), part), file.stat(), file_digest(f"{number} {part}".encode()))
    index.flush()
    asked = [(number, part) for part in ("b.png", "", "a.png", "", "c.png") for number in (3, 0, 2, 1, 3)]
    for module, name in ((parts, "BATCH"), (parts, "ENTRIES"), (indexing, "_NAMES"), (indexing, "_STATS")):
        monkeypatch.setattr(module, name, at_once)
    known = KeyIndex.open(tmp_path).look_up([entry_name(str(files[number]), part) for number, part in asked])
    assert known.unchanged.tolist() == [part != "c.png" for _, part in asked]
    for (number, part), digest in zip(asked[:20], known.digests, strict=False):
        assert digest.tobytes() == file_digest(f"{number} {part}".encode())


NAMES = [f"s3://bucket/{number}.png" for number in range(20)]


def digest_of(name: str, version: int) -> bytes:
    return file_digest(f"{version} {name}".encode())


def learn(cache, version, names):
    index = KeyIndex.open(cache)
    for name in names:
        index.add(name, ObjectStatus(5, version), digest_of(name, version))
    index.flush()


@pytest.fixture(params=["disk", "bucket"])
def cache(request, tmp_path, monkeypatch):
    """One with an index of five parts: one of many row groups, and four that name most of its names again."""
    if request.param == "bucket":
        pytest.importorskip("obstore", reason="the extra remote is not installed")
        buckets._store.cache_clear()
        monkeypatch.setattr("probekit.remote.paths.BUFFER", 64)  # what is read ahead is not missed when it is gone
    cache = tmp_path if request.param == "disk" else path_of("memory://bucket/cache")
    for name in ("BATCH", "ENTRIES"):
        monkeypatch.setattr(parts, name, 4)
    learn(cache, 1, NAMES)
    KeyIndex.open(cache).forget(["nothing"])
    for start in range(4):
        learn(cache, 2 + start, NAMES[start:16:4])
    monkeypatch.setattr(parts, "MAX_PARTS", 2)
    yield cache
    buckets._store.cache_clear()


def newest():
    return {name: digest_of(name, 2 + number % 4 if number < 16 else 1) for number, name in enumerate(NAMES)}


@pytest.fixture
def overtaken(cache, monkeypatch):
    """Let others merge all parts, the newest, or the first two and the last, just before the batch of that number."""
    read, count, folder = parts.Part.read, [0], cache / "keys"

    def merge(how):
        if how == "all":
            parts.merge_all(folder, ())
        elif how == "newest":
            parts.merge_newest(folder)
        else:
            opened = parts._open_parts(folder)
            parts._merge(folder, opened[:2])
            parts._merge(folder, opened[2:][-1:])

    def overtake(at, how):
        def late(self, columns):
            batches = read(self, columns)
            while True:
                count[0] += 1
                if count[0] == at:
                    merge(how)
                if (batch := next(batches, None)) is None:
                    return
                yield batch

        monkeypatch.setattr(parts.Part, "read", late)

    return overtake


MERGES = pytest.mark.parametrize(
    ("at", "how"), [(at, how) for at in (1, 4, 7, 9, 12) for how in ("all", "newest", "apart")]
)


@MERGES
def test_a_look_up_finds_what_is_newest_wherever_a_merge_overtakes_it(cache, overtaken, at, how):
    overtaken(at, how)
    known = KeyIndex.open(cache).look_up(NAMES)
    assert [row.tobytes() for row in known.digests] == list(newest().values())
    assert known.remembered.all()


@MERGES
def test_of_what_is_remembered_nothing_older_follows_something_newer_wherever_a_merge_overtakes_it(
    cache, overtaken, at, how
):
    overtaken(at, how)
    versions = {digest_of(name, version): version for name in NAMES for version in range(1, 6)}
    found = list(KeyIndex.open(cache).remembered())
    assert dict(found) == newest()
    for name in NAMES:
        seen = [versions[digest] for other, digest in found if other == name]
        assert seen == sorted(seen)


@MERGES
def test_of_two_merges_at_once_one_gives_up_and_nothing_is_lost(cache, overtaken, at, how):
    overtaken(at, how)
    learn(cache, 9, NAMES[:1])
    assert dict(KeyIndex.open(cache).remembered()) == newest() | {NAMES[0]: digest_of(NAMES[0], 9)}


@MERGES
def test_names_are_forgotten_and_no_others_wherever_a_merge_overtakes_it(cache, overtaken, at, how):
    overtaken(at, how)
    KeyIndex.open(cache).forget(NAMES[::2])
    kept = {name: newest()[name] for name in NAMES[1::2]}
    if not isinstance(cache, Path):  # on a disk the other process still has the parts open, and writes them anew
        assert dict(KeyIndex.open(cache).remembered()) == kept
    KeyIndex.open(cache).forget(NAMES[::2])
    assert dict(KeyIndex.open(cache).remembered()) == kept


def test_an_index_that_is_merged_without_end_is_named_and_still_added_to(cache, monkeypatch):
    def gone(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(parts, "for_library", gone)
    index = KeyIndex.open(cache)
    for act in (lambda: index.look_up(NAMES), lambda: list(index.remembered()), lambda: index.forget(NAMES)):
        with pytest.raises(StoreError, match=r"keys is being merged by other processes without end: try again"):
            act()
    learn(cache, 9, NAMES[:1])
    monkeypatch.undo()
    assert dict(index.remembered())[NAMES[0]] == digest_of(NAMES[0], 9)


@pytest.mark.parametrize("at", [6, 9])
def test_a_pass_that_is_overtaken_reads_on_behind_the_parts_that_it_has_read(cache, overtaken, at):
    overtaken(at, "newest")
    found = [name for name, _ in KeyIndex.open(cache).remembered()]
    assert [found.count(name) for name in NAMES[16:]] == [1] * 4, "the first part, which stays, is read again"
