"""`kill -9` in the middle of a training, and the same command again: the weights of one that nobody killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probekit.models import tuned

ROOT = Path(__file__).parents[2]


def start(*arguments: Path) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.killable", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, cwd=ROOT)


def steps(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.slow
def test_killed_trainings_end_with_the_weights_of_one_that_was_not(tmp_path):
    whole, killed, log = tmp_path / "whole", tmp_path / "killed", tmp_path / "log"
    assert start(tmp_path / "pictures", whole, tmp_path / "other").wait() == 0
    kills = 0
    for _ in range(2):
        already, process = steps(log), start(tmp_path / "pictures", killed, log)
        while process.poll() is None and steps(log) < already + 6:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        assert not (killed / tuned.DESCRIPTION).exists()
    assert kills == 2
    assert start(tmp_path / "pictures", killed, log).wait() == 0
    assert tuned.read(killed).sha256 == tuned.read(whole).sha256
    assert tuned.read(killed).training["losses"] == tuned.read(whole).training["losses"]
