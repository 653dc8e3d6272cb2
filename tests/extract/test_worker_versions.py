"""Workers of a cluster must compute with the same versions, and addresses that lead nowhere are one line."""

import socket
import sys

import pytest

from probekit.errors import UsageError
from probekit.extract.worker import Introduction, require_alike
from probekit.parallel.cluster import connected
from probekit.records import versions

LIBRARIES = ("probekit", "torch", "torchvision", "timm")
OURS = {"python": "3.12.1", "probekit": "1.0", "torch": "2.10.0+cu130", "timm": "1.0.20"}


def worker(host, **others):
    return Introduction(f"{host}:1", host, "cpu", "x86_64", 2, "float32", OURS | others, [])


def test_workers_with_the_versions_of_the_driver_need_no_note():
    assert require_alike([worker("a"), worker("b", torch="2.10.0+cpu")], OURS, LIBRARIES, mixed=False) == []


def test_libraries_that_no_model_at_work_computes_with_may_differ():
    assert require_alike([worker("a", pandas="2.0", open_clip_torch="0.1")], OURS, LIBRARIES, mixed=False) == []


@pytest.mark.parametrize("library", ["probekit", "torch", "timm"])
def test_mixed_versions_are_refused_with_the_names_of_the_nodes(library):
    workers = [worker("a"), worker("b", **{library: "0.9"}), worker("c", **{library: "0.9"})]
    with pytest.raises(UsageError, match=rf"mixed versions: {library} .* \(this process, a\), 0.9 \(b, c\)\."):
        require_alike(workers, OURS, LIBRARIES, mixed=False)


def test_a_library_that_one_node_lacks_is_a_difference():
    with pytest.raises(UsageError, match=r"torchvision none \(this process\), 3.2 \(a\)"):
        require_alike([worker("a", torchvision="3.2")], OURS, LIBRARIES, mixed=False)


def test_mixed_versions_that_are_accepted_are_noted():
    (note,) = require_alike([worker("a", timm="1.1")], OURS, LIBRARIES, mixed=True)
    assert note == ("mixed versions: timm 1.0.20 (this process), 1.1 (a); features agree within rounding at best.")


def test_this_process_knows_its_own_versions():
    assert require_alike([], versions(), LIBRARIES, mixed=False) == []


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nonsense", "write HOST:PORT, auto or local"),
        ("head:port", "write HOST:PORT, auto or local"),
        ("ray://head:10001", "Ray's client is not supported"),
    ],
)
def test_addresses_that_cannot_be_meant_are_one_line(address, why):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with pytest.raises(UsageError, match=f"--address {address}: {why}"), connected(address):
        pass


def test_an_address_where_nobody_listens_is_one_line_at_once():
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"--address {address}: no Ray cluster can be reached"), connected(address):
            pass


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'probekit\[ray\]'"), connected(None):
        pass
