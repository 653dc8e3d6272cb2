"""Claims: one living owner at a time."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from probekit.store.claims import STALE_SECONDS, Claims


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
