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
from probekit.store.claims import Claims, bury
from probekit.store.locks import exclusive
from probekit.store.owners import STALE_SECONDS

ROOT = Path(__file__).parents[2]


def run_until_dead(work: str, folder: Path) -> None:
    """Do it in another process, which then dies; that one imports no more than it needs, which saves a second."""
    code = (
        "import os, sys, types; from pathlib import Path; store = types.ModuleType('probekit.store'); "
        f"store.__path__ = [{str(ROOT / 'probekit' / 'store')!r}]; sys.modules['probekit.store'] = store; "
        f"from probekit.store.claims import Claims; from probekit.store.locks import exclusive; "
        f"kept = {work}; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)


def test_of_many_who_try_one_gets_the_claim(tmp_path):
    everybody = [Claims(tmp_path) for _ in range(32)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda claims: claims.take("unit-1"), everybody))
    assert sum(taken) == 1


def test_a_released_claim_can_be_taken_again(tmp_path):
    claims = Claims(tmp_path)
    assert claims.take("unit-1")
    assert not claims.take("unit-1")
    claims.release("unit-1")
    assert claims.take("unit-1")


def test_the_claim_of_a_dead_process_is_taken_over(tmp_path):
    run_until_dead("Claims(Path('.')).take('u')", tmp_path)
    assert (tmp_path / "u").exists()
    assert Claims(tmp_path).take("u")


def test_a_claim_that_an_interrupted_run_of_this_process_left_is_taken_over(tmp_path):
    interrupted = Claims(tmp_path)
    assert interrupted.take("u")
    again = Claims(tmp_path)
    assert not again.take("u")
    del interrupted
    assert again.living() == []
    assert again.take("u")
    assert not Claims(tmp_path).take("u")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_folder_that_is_exchanged_while_a_claim_is_made_gets_the_claim(tmp_path, monkeypatch, when):
    folder, link = tmp_path / "claims", os.link

    def exchanged():
        folder.rename(tmp_path / "old")
        folder.mkdir()

    def overtaken(draft, path):
        monkeypatch.undo()
        if when == "before":
            exchanged()
        link(draft, path)
        if when == "after":
            exchanged()

    monkeypatch.setattr(os, "link", overtaken)
    claims = Claims(folder)
    assert claims.take("u")
    assert not Claims(folder).take("u")
    claims.release("u")
    assert list(folder.iterdir()) == []


def test_while_all_are_held_back_nothing_is_written(tmp_path, monkeypatch):
    pruning, worker = Claims(tmp_path), Claims(tmp_path)
    assert pruning.hold()
    monkeypatch.delattr(os, "link")
    assert not worker.take("u")
    assert [file.name for file in tmp_path.iterdir()] == ["hold"]


def test_a_removed_store_does_not_come_back_with_a_claim(tmp_path):
    folder = tmp_path / "store" / "journal" / "claims"
    for work in (lambda: Claims(folder).take("u"), exclusive(folder / "l").__enter__):
        with pytest.raises(StoreError, match="claims is there no more: it was removed"):
            work()
    assert list(tmp_path.iterdir()) == []


def test_the_claim_of_another_machine_counts_until_it_shows_no_life(tmp_path):
    (tmp_path / "u").write_text(json.dumps({"host": "elsewhere", "pid": 1, "born": "1"}))
    assert not Claims(tmp_path).take("u")
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(tmp_path / "u", (long_ago, long_ago))
    assert Claims(tmp_path).take("u")


def test_a_claim_that_a_loss_of_power_left_empty_counts_by_its_age(tmp_path):
    (tmp_path / "u").touch()
    claims = Claims(tmp_path)
    assert not claims.take("u")
    assert claims.living() == [f"the unknown owner of {tmp_path / 'u'}"]
    os.utime(tmp_path / "u", (1, 1))
    assert claims.take("u")


def test_a_lock_is_held_by_one_and_ends_with_its_process(tmp_path):
    run_until_dead("exclusive(Path('l')).__enter__()", tmp_path)
    with exclusive(tmp_path / "l") as first:
        with exclusive(tmp_path / "l") as second:
            assert (first is None, second is None) == (False, True)
        with exclusive(tmp_path / "l") as third:
            assert not third
    with exclusive(tmp_path / "l") as again:
        assert again


def test_without_locks_of_the_system_a_created_file_excludes_until_it_is_deleted(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with exclusive(tmp_path / "l.lock") as first, exclusive(tmp_path / "l.lock") as second:
        assert (first is None, second is None) == (False, True)
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
