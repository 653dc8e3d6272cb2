"""Workers of a cluster must compute with one another's versions and the store's; bad addresses are one line."""

import socket
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from probekit.errors import StoreError, UsageError
from probekit.extract import ExtractSettings, extract
from probekit.extract.process import Job
from probekit.extract.worker import Introduction, Order, UnitWorker, require_alike
from probekit.parallel.connecting import connected
from probekit.records import versions
from probekit.samples import Samples
from probekit.store import list_stores, writers

SRM = ExtractSettings(("srm",))
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


@pytest.fixture
def store_of_others(make_manifest, tmp_path, monkeypatch):
    """What a worker is made of and the order that it gets, and the store, written by another torch than this one."""

    def build(mixed):
        job = Job(manifest, SRM, tmp_path, {}, 4, 1, None, False, False, mixed)
        return UnitWorker(job, (tmp_path,), "cpu", torch.get_num_threads(), "token")

    manifest = make_manifest(4)
    extract(replace(manifest, table=manifest.table.head(2)), SRM, cache=tmp_path, device="cpu", batch_size=4)
    (store,) = list_stores(tmp_path)
    assert store.claims.take("token")
    ours = versions()
    monkeypatch.setattr(writers, "versions", lambda: ours | {"torch": "1.13.1"})
    order = Order("unit", Samples.distinct(manifest)[:], np.zeros(4, bool), np.ones((1, 4), bool), retry=False)
    return build, order, store


def test_a_worker_adds_nothing_to_a_store_of_other_versions(store_of_others):
    build, order, store = store_of_others
    with pytest.raises(StoreError, match=r"torch .* there, 1\.13\.1 here.*--mixed-versions"):
        build(mixed=False).compute(order)
    assert (store.rows, len(store.writers)) == (2, 1)


def test_a_worker_that_may_mix_versions_leaves_its_own_in_the_stores_that_it_adds_to(store_of_others):
    build, order, store = store_of_others
    worker = build(mixed=True)
    worker.compute(replace(order, lacks=np.zeros((1, 4), bool), known=np.ones(4, bool)))
    assert len(store.writers) == 1, "nothing was lacking"
    assert worker.compute(order).images == 2
    store.refresh()
    assert store.rows == 4
    assert [writer["torch"] for writer in store.writers][1:] == ["1.13.1"]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nonsense", "write HOST:PORT of the cluster's head"),
        ("head:port", "write HOST:PORT of the cluster's head"),
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
