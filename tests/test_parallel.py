"""Independent computations side by side: in order, one thread each, and no more at once than memory holds."""

import subprocess
import sys
import threading
import time
from functools import partial

import pytest
import torch
from threadpoolctl import threadpool_info

from probekit import parallel
from probekit.parallel import AT_ONCE, side_by_side, threads


def threads_of_libraries():
    return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")


def test_results_come_in_the_order_of_the_tasks_whichever_ends_first():
    second_is_done = threading.Event()

    def first():
        assert second_is_done.wait(10)
        return "first"

    def second():
        second_is_done.set()
        return "second"

    assert list(side_by_side([first, second], workers=2)) == ["first", "second"]


def test_an_error_is_raised_in_its_turn_and_what_has_not_begun_never_does():
    begun = []

    def fail():
        raise ValueError("no samples")

    def long(number):
        begun.append(number)
        time.sleep(0.2)

    results = side_by_side([lambda: "done", fail, *(partial(long, number) for number in range(200))], workers=2)
    assert next(results) == "done"
    with pytest.raises(ValueError, match="no samples"):
        next(results)
    assert len(begun) < 200


def test_each_computes_on_one_thread_and_afterwards_all_is_as_before():
    before = torch.get_num_threads(), threads_of_libraries()
    inside = list(side_by_side([lambda: (torch.get_num_threads(), threads_of_libraries())] * 3, workers=2))
    assert inside == [(1, 1)] * 3
    assert (torch.get_num_threads(), threads_of_libraries()) == before


@pytest.mark.parametrize("libraries", [("torch",), ()])
def test_tasks_that_are_the_first_to_need_pytorch_all_find_it(libraries):
    script = (
        "import sys\n"
        "from probekit.parallel import side_by_side\n"
        "assert 'torch' not in sys.modules\n"
        "def threads():\n"
        "    import torch\n"
        "    return torch.get_num_threads()\n"
        f"print(list(side_by_side([threads] * 2, workers=2, libraries={libraries})))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    if libraries:
        assert run.stdout.strip() == "[1, 1]"


@pytest.mark.parametrize(
    ("bytes_each", "at_once"), [(0, 4), (AT_ONCE // 2, 2), (AT_ONCE // 2 + 1, 1), (2 * AT_ONCE, 1)]
)
def test_no_more_run_at_once_than_memory_holds(bytes_each, at_once, monkeypatch):
    lock, now, most = threading.Lock(), [0], [0]
    full = threading.Event()

    def task():
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] >= at_once:
                full.set()
        assert full.wait(10)
        with lock:
            now[0] -= 1

    monkeypatch.setattr(threads, "processors", lambda: 4)
    assert len(list(side_by_side([task] * 4, workers=parallel.workers_for(bytes_each)))) == 4
    assert most[0] == at_once


def test_one_task_keeps_all_cores():
    assert list(side_by_side([threading.get_ident], workers=2)) == [threading.get_ident()]
    assert parallel.processors() >= 1
