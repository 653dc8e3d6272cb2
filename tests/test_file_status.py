"""Files looked at by the million: the same answers as the system gives one by one."""

import os
import sys
import threading
import time

import pytest
from numpy.testing import assert_array_equal

from probekit import file_status
from probekit.file_status import ELSEWHERE, look_at


def expected(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116  # the reference is the system's own call
    except (OSError, ValueError):
        return -1, -1, 0
    return (status.st_size, status.st_mtime_ns, status.st_mode) if status.st_mode & 0o100000 else (-1, -1, 0)


@pytest.fixture
def tree(tmp_path):
    """Files of every kind in folders of every kind, four and more in one folder and fewer."""
    for folder, count in (("many", 9), ("few", 2), ("ä ö", 5)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            (tmp_path / folder / f"{number}.png").write_bytes(b"x" * number)
            os.utime(tmp_path / folder / f"{number}.png", ns=(1, 10**18 + number))
    (tmp_path / "many" / "deeper").mkdir()
    (tmp_path / "many" / "link.png").symlink_to(tmp_path / "few" / "1.png")
    (tmp_path / "many" / "nowhere.png").symlink_to(tmp_path / "none.png")
    (tmp_path / "door").symlink_to("many", target_is_directory=True)
    (tmp_path / "many" / "0.png").chmod(0o640)
    names = [f"{number}.png" for number in range(9)]
    return [
        *(f"{tmp_path}/{folder}/{name}" for folder in ("many", "door", "few", "ä ö", "gone") for name in names),
        *(f"{tmp_path}/many/{name}" for name in ("link.png", "nowhere.png", "deeper", "", "a\0b", "x" * 300)),
        *(f"{tmp_path}/few/1.png/{name}" for name in names),
        *(f"{tmp_path}/{folder}/3.png" for folder in ("many", "few", "ä ö") * 3),
    ]


def test_each_file_has_the_size_time_and_mode_that_the_system_tells(tree):
    assert_array_equal(look_at(tree), [expected(path) for path in tree])
    assert look_at([]).shape == (0, 3)


def test_objects_are_not_asked_for(tree):
    urls = [f"s3://bucket/many/{number}.png" for number in range(9)]
    assert_array_equal(look_at([*urls, tree[0]]), [*[(ELSEWHERE, ELSEWHERE, 0)] * 9, expected(tree[0])])


def test_a_folder_is_walked_to_once_for_files_that_follow_each_other(tree, monkeypatch):
    whole, original = [], os.stat
    monkeypatch.setattr(os, "stat", lambda path, **how: whole.append(path[0] == "/") or original(path, **how))
    look_at(tree[:9])
    if sys.platform == "linux":
        assert whole == [False] * 9
    whole.clear()
    look_at([tree[0], tree[9], tree[1]])
    assert whole == [True] * 3, "of one file each, no folder is opened"


def test_on_a_slow_disk_many_files_are_looked_at_at_a_time(tree, monkeypatch):
    files = tree[:9] * 120
    answers = [expected(path) for path in files]
    original, threads = os.stat, set()

    def slow(path, **how):
        threads.add(threading.get_ident())
        time.sleep(2e-4)
        return original(path, **how)

    monkeypatch.setattr(file_status, "_STRETCH", 16)
    monkeypatch.setattr(os, "stat", slow)
    assert_array_equal(look_at(files), answers)
    assert len(threads) > 4
    threads.clear()
    monkeypatch.setattr(file_status, "SLOW_SECONDS", 60)
    assert_array_equal(look_at(files), answers)
    assert len(threads) == 1
