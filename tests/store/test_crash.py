"""A kill at any write of a store leaves it whole, and the repetition ends as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork, and limits on the size of files")
ROOT = Path(__file__).parents[2]


EVERY = 5  # of the writes, one in so many is tried: all of them take ten minutes


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kill_at_any_write_is_no_damage(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.store.crash_store", str(tmp_path), str(EVERY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    report = json.loads(done.stdout)
    assert {name: wrong for name, (_, wrong) in report.items()} == {"exchange": [], "two renames": []}, done.stderr[
        -3000:
    ]
    assert min(lives for lives, _ in report.values()) > 200 / EVERY
