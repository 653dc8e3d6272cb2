"""Lists on disk: every search finds what it finds in memory, in the memory of a part."""

import json
import os
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from probekit.errors import UsageError
from probekit.neighbours import Index, structures
from probekit.neighbours.blocks import Blocks
from tests.neighbours.test_engines import GALLERY, IDS, D, N, same_answers


@pytest.mark.parametrize("engine", ["ivf", "ivfpq"])
def test_lists_on_disk_are_searched_as_lists_in_memory_to_the_bit(engine, tmp_path):
    blocks = np.array_split(GALLERY, 13)
    in_memory = Index.build(blocks, IDS, engine)
    on_disk = Index.build(blocks, IDS, engine, folder=tmp_path, at_once=1500 * 4 * D)
    assert (on_disk.effort, on_disk.recall, len(on_disk)) == (in_memory.effort, in_memory.recall, N)
    same_answers(on_disk, in_memory)
    assert len(on_disk._lists._parts) == 9  # and that of the rows that recall is measured on


def test_rows_come_back_from_disk_as_they_were_added(tmp_path):
    unit = GALLERY / np.linalg.norm(GALLERY, axis=1, keepdims=True)
    index = Index.build(GALLERY, np.arange(N), "ivf", folder=tmp_path, at_once=1 << 18)
    asked = np.array([5, 9_999, 0, 5])
    assert_array_equal(np.abs(index.rows(asked) - unit[asked]) < 1e-6, True)
    assert_array_equal(index.rows(asked), Index.build(GALLERY, np.arange(N), "ivf").rows(asked))


@pytest.mark.parametrize("engine", ["flat", "hnsw"])
def test_what_has_no_lists_stays_in_memory(engine, tmp_path):
    with pytest.raises(UsageError, match="choose ivf or ivfpq"):
        Index.build(GALLERY, IDS, engine, folder=tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from probekit.neighbours import Index

rows = np.random.default_rng(0).normal(size=(2000, 16)).astype(np.float32)
index = Index.build(rows, np.arange(2000), "ivf", folder=Path(sys.argv[1]), at_once=1 << 15)
print(len(index._lists._parts), index.rows(np.arange(3)).shape, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="mapped files keep their names on other systems")
def test_a_process_that_is_killed_leaves_no_rows_behind(tmp_path):
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (-signal.SIGKILL, "5 (3, 16)\n"), run.stderr
    assert list(tmp_path.iterdir()) == []


def numpy_peak(work):
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_cells_are_learnt_from_a_sample_of_limited_size_whatever_the_width(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(12_000, 512)).astype(np.float32)
    monkeypatch.setattr(structures, "LEARNT_FROM", 1 << 20)
    blocks = np.array_split(rows, 24)
    peak = numpy_peak(lambda: Index.build(blocks, np.arange(len(rows)), "ivf", folder=tmp_path, at_once=1 << 20))
    assert peak < rows.nbytes / 2


@pytest.mark.parametrize("n", [1, 100, 10_000, 200_000, 10**7, 10**9])
def test_the_sample_of_wide_rows_is_limited_and_that_of_narrow_ones_is_what_it_was(n):
    assert structures.cells(n, 768) == max(1, min(round(4 * n**0.5), n // 39, 1 << 14))
    assert 4 * 24_576 * structures.training_rows("ivf", n, 24_576) <= 2 << 30


def test_a_sample_is_taken_into_one_array():
    rows = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    blocks = Blocks.of(np.array_split(rows, 100))
    assert numpy_peak(lambda: blocks.take(np.arange(20_000))) < 1.5 * rows.nbytes


CHILD = """
import json, sys, threading, time
import faiss
from pathlib import Path
import numpy as np
from probekit.neighbours import Index, structures

structures.LEARNT_FROM = 1 << 20  # little against the rows

class Rows:
    def __iter__(self):
        for number in range(60):
            yield np.random.default_rng(number).normal(size=(1000, 256)).astype(np.float32)

def private():  # pages of mapped files are the system's to drop, and are not counted
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

most, done = 0, False
def watch():
    global most
    while not done:
        most = max(most, private())
        time.sleep(0.002)

faiss.omp_set_num_threads(2)
first = private()
thread = threading.Thread(target=watch)
thread.start()
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
index = Index.build(Rows(), np.arange(60_000), "ivf", folder=folder, at_once=1 << 20)
found = index.search(next(iter(Rows()))[:5], 3)[1].tolist()
done = True
thread.join()
print(json.dumps({"kib": most - first, "found": found}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")
def test_an_index_on_disk_holds_a_part_of_its_rows(tmp_path):
    def build(*words):
        run = subprocess.run([sys.executable, "-c", CHILD, *words], capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    in_memory, on_disk = build(), build(str(tmp_path))
    rows = 60_000 * 256 * 4 // 1024
    assert on_disk["found"] == in_memory["found"]
    assert on_disk["kib"] < 0.8 * rows < rows < in_memory["kib"]
