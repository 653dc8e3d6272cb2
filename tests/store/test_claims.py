"""Claims: one living owner at a time."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from probekit.errors import StoreError
from probekit.store.claims import STALE_SECONDS, Claims, bury, exclusive


def test_of_many_who_try_one_gets_the_claim(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: Claims(tmp_path).take("unit-1"), range(32)))
    assert sum(taken) == 1


def test_a_released_claim_can_be_taken_again(tmp_path):
    claims = Claims(tmp_path)
    assert claims.take("unit-1")
    assert not claims.take("unit-1")
    claims.release("unit-1")
    assert claims.take("unit-1")


def test_the_claim_of_a_dead_process_is_taken_over(tmp_path):
    code = "from pathlib import Path; from probekit.store.claims import Claims; Claims(Path('.')).take('u')"
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": root})
    assert (tmp_path / "u").exists()
    assert Claims(tmp_path).take("u")


def test_the_claim_of_another_machine_counts_until_it_shows_no_life(tmp_path):
    (tmp_path / "u").write_text(json.dumps({"host": "elsewhere", "pid": 1, "born": "1"}))
    assert not Claims(tmp_path).take("u")
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(tmp_path / "u", (long_ago, long_ago))
    assert Claims(tmp_path).take("u")


def test_a_lock_is_held_by_one_and_ends_with_its_process(tmp_path):
    code = (
        "from pathlib import Path; from probekit.store.claims import exclusive; exclusive(Path('l')).__enter__(); 1/0"
    )
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, check=False)
    with exclusive(tmp_path / "l") as first:
        with exclusive(tmp_path / "l") as second:
            assert (first, second) == (True, False)
        with exclusive(tmp_path / "l") as third:
            assert not third
    with exclusive(tmp_path / "l") as again:
        assert again


def test_without_locks_of_the_system_a_created_file_excludes_until_it_is_deleted(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with exclusive(tmp_path / "l.lock") as first, exclusive(tmp_path / "l.lock") as second:
        assert (first, second) == (True, False)
    (tmp_path / "l.held").touch()
    with exclusive(tmp_path / "l.lock") as held:
        assert not held
    os.utime(tmp_path / "l.held", (1, 1))
    with pytest.raises(StoreError, match=r"l\.held is left .* delete it"), exclusive(tmp_path / "l.lock"):
        pass


def test_a_claim_that_another_process_has_taken_over_is_not_released(tmp_path):
    slow, other = Claims(tmp_path), Claims(tmp_path)
    assert slow.take("u")
    (tmp_path / "u").unlink()
    assert other.take("u")
    slow.release("u")
    slow.show_life("u")
    assert not Claims(tmp_path).take("u")


def test_a_claim_made_after_the_judgement_is_put_back(tmp_path):
    (tmp_path / "u").write_text(json.dumps({"host": "elsewhere", "pid": 1, "born": "1"}))
    os.utime(tmp_path / "u", (1, 1))
    quicker = Claims(tmp_path)
    judged = []

    def judge(path):
        if not judged:  # the quicker process takes it over between judgement and burial
            assert quicker.take("u")
        judged.append(path)
        return len(judged) == 1

    assert not bury(tmp_path / "u", judge)
    assert not Claims(tmp_path).take("u")
    assert [file.name for file in tmp_path.iterdir()] == ["u"]


def test_a_journal_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "claims").write_text("a file")
    for work in (lambda: Claims(tmp_path / "claims").take("u"), exclusive(tmp_path / "claims" / "l").__enter__):
        with pytest.raises(StoreError, match=r"claims cannot be written .* --cache"):
            work()
