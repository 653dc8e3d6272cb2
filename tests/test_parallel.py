"""Independent computations side by side: in order, one thread each, and no more at once than memory holds."""

import socket
import subprocess
import sys
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from threadpoolctl import threadpool_info

from probekit import parallel
from probekit.errors import UsageError
from probekit.parallel import AT_ONCE, connecting, side_by_side, threads


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


def test_threads_load_libraries_one_after_another(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("probekit_slow_a", "probekit_slow_b"):
        (tmp_path / f"{name}.py").write_text(
            "import time\nbegan = time.monotonic()\ntime.sleep(0.1)\nended = time.monotonic()\n"
        )
        monkeypatch.delitem(sys.modules, name, raising=False)
    loading = [threading.Thread(target=threads.import_now, args=((f"probekit_slow_{one}",),)) for one in "ab"]
    for thread in loading:
        thread.start()
    for thread in loading:
        thread.join()
    a, b = sys.modules["probekit_slow_a"], sys.modules["probekit_slow_b"]
    assert a.ended <= b.began or b.ended <= a.began


def test_a_cluster_that_has_ended_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert connecting._last_cluster() == ""
    assert not connecting._is_dead("")
    (tmp_path / "ray").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{port}\n")
        assert not connecting._is_dead(connecting._last_cluster())
    said = rf"^--address auto: this machine belongs to no Ray cluster.*\(one at 127\.0\.0\.1:{port} has ended\)\.$"
    with pytest.raises(UsageError, match=said):
        connecting._require_reachable("auto")


@pytest.mark.parametrize(("address", "tried"), [(None, ["auto", "local"]), ("auto", ["auto"]), ("local", ["local"])])
def test_a_cluster_that_cannot_be_reached_ends_in_a_line(address, tried, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    asked = []

    def refuse(address, **_):
        asked.append(address)
        raise ConnectionError("nobody\nanswers.")

    ray = SimpleNamespace(init=refuse, exceptions=SimpleNamespace(RayError=OSError))
    with pytest.raises(UsageError, match=rf"^--address {tried[-1]}: (nobody answers\.|this machine belongs to no Ray)"):
        connecting._connect(ray, address)
    assert asked == tried


def test_a_cluster_that_may_ask_for_a_token_is_told_from_one_that_is_not_there(monkeypatch):
    def refuse(**_):
        raise ConnectionError("Failed to connect to Ray cluster at 127.0.0.1:9.")

    ray = SimpleNamespace(init=refuse, exceptions=SimpleNamespace(RayError=OSError))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(
            UsageError, match=r"at 127.0.0.1:9. If .* asks for a token .*: export RAY_AUTH_MODE=token\.$"
        ):
            connecting._connect(ray, address)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        with pytest.raises(UsageError, match=r"cluster at 127.0.0.1:9\.$"):
            connecting._connect(ray, address)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("ray://head:10001", "Ray's client is not supported"),
        ("http://head:8265", r"write HOST:PORT of the cluster's head \(`ray start` prints it\), auto or local\.$"),
        ("nonsense", "write HOST:PORT of the cluster's head"),
        ("auto", "this machine belongs to no Ray cluster"),
    ],
)
@pytest.mark.parametrize("given", ["--address ", "RAY_ADDRESS="])
def test_an_address_that_cannot_be_meant_is_told_by_where_it_was_given(address, why, given, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", address if given == "RAY_ADDRESS=" else "other:1")

    def refuse(**_):
        raise ConnectionError

    ray = SimpleNamespace(init=refuse, exceptions=SimpleNamespace(RayError=OSError))
    with pytest.raises(UsageError, match=f"^{given}{address}: {why}"):
        connecting._connect(ray, address if given == "--address " else None)


def test_a_cluster_of_this_machine_alone_that_does_not_start_is_not_blamed_on_a_variable(tmp_path, monkeypatch):
    def refuse(**_):
        raise RuntimeError("no room")

    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = server.getsockname()[1]
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{ended}\n")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = SimpleNamespace(init=refuse, exceptions=SimpleNamespace(RayError=OSError))
    with pytest.raises(UsageError, match=r"^--address local: no room\.$"):
        connecting._connect(ray, None)
