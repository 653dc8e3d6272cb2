"""Questions on a Ray cluster of two nodes: the answers of this machine alone, whatever becomes of a node."""

import json
import time
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_limits

from probekit.errors import ModelError
from probekit.parallel import threads
from probekit.parallel.connecting import ClusterSettings
from probekit.parallel.ordered import ordered_workers
from tests.nodes import MARKS, NODE, remove_second, two_nodes

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = MARKS


@pytest.fixture(scope="module")
def cluster():
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture(autouse=True)
def one_processor(monkeypatch):
    """Workers have one thread each here: their answers are, bit for bit, those of a machine with one processor."""
    monkeypatch.setattr(threads._PROCESS, "share", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(limits=1):
        yield
    torch.set_num_threads(before)


def answer(ask, options):
    found = ask(f"{options} --json")
    assert found.code == 0, found.err
    result = json.loads(found.out)
    return result, Path(result.pop("run"))


@pytest.mark.parametrize(
    "options",
    [
        "--model npr,srm --probe logistic,ridge --across domain --bootstrap 100 --threshold val-eer",
        "--model npr --folds 3 --seeds 2 --bootstrap 100",
        "--model hf:vit --taps cls@all --task binary,attribution --bootstrap 0",
        "--model npr --shots 2,4,all --seeds 2 --probe ridge --bootstrap 0",
        "--model npr+srm --fuse --bootstrap 100",
        "--model npr --perturbed all --bootstrap 0",
        "--model npr,srm --choose-features --bootstrap 0 --save",
    ],
)
def test_a_cluster_gives_the_answers_of_this_machine(ask, cluster, options):
    there, run = answer(ask, f"{options} --engine ray --address {cluster.address}")
    here, local = answer(ask, options)
    assert there == here
    record = json.loads((run / "run.json").read_text())
    assert {worker["threads"] for worker in record["workers"]} == {1}
    assert sum(worker["units"] for worker in record["workers"]) > 0
    assert {name: path.read_bytes() for name, path in files(run, "tables")} == {
        name: path.read_bytes() for name, path in files(local, "tables")
    }
    for folder in ("figures", "probes"):
        assert [name for name, _ in files(run, folder)] == [name for name, _ in files(local, folder)]


@pytest.mark.parametrize(
    ("options", "units"),
    [
        ("--model npr,srm --unknown ldm --bootstrap 100", 4),
        ("--model npr --gallery all --query all --unknown each --class-rank centroid --bootstrap 0", 4 + 2),
        ("--model npr --shots 1,3,all --seeds 2 --bootstrap 0", 4 + 5),
        ("--model npr --project lda --bootstrap 100", 4 + 1),
        ("--model npr --index ivf --memory 30KiB --bootstrap 100", 4),
    ],
)
def test_a_cluster_finds_the_neighbours_that_this_machine_finds(type_, clips, cluster, options, units):
    def search(more):
        return type_(f"probekit retrieve --manifest {clips}/manifests/clips.csv --cache {clips}/cache {more}")

    there, run = answer(search, f"{options} --engine ray --address {cluster.address}")
    here, local = answer(search, options)
    assert there == here
    assert sum(worker["units"] for worker in json.loads((run / "run.json").read_text())["workers"]) == units
    for folder in ("tables", "figures"):
        assert {name: path.read_bytes() for name, path in files(run, folder)} == {
            name: path.read_bytes() for name, path in files(local, folder)
        }


def files(run, folder):
    return [(path.name, path) for path in sorted((run / folder).glob("*"))]


def test_an_error_is_the_same_line_as_on_this_machine(ask, cluster):
    options = "--model npr --train nobody"
    there, here = ask(f"{options} --engine ray --address {cluster.address}"), ask(options)
    assert (there.code, there.err) == (here.code, here.err) == (2, here.err)
    lost = ask(f"--model npr --shots 500 --engine ray --address {cluster.address}")
    assert (lost.code, lost.err) == (2, ask("--model npr --shots 500").err)


class Slow:
    """A worker that doubles numbers, the first of them last; a negative one is an error."""

    def introduce(self):
        return None

    def compute(self, unit):
        if unit < 0:
            raise ModelError(f"{unit} is negative: leave it out.")
        time.sleep(2.0 if unit == 0 else 0.1)
        return unit * 2


def doubles(cluster, units, on_progress=lambda done, total: None):
    settings = ClusterSettings(cluster.address)
    with ordered_workers(lambda place: Slow(), settings, on_worker=lambda place, said: None) as workers:
        assert len(workers.places) == 2
        yield from workers.map(units, on_progress)


def test_results_come_in_the_order_asked_though_the_first_is_the_slowest(cluster):
    seen = []
    assert list(doubles(cluster, range(12), lambda *done: seen.append(done))) == [2 * unit for unit in range(12)]
    assert seen == [(done, 12) for done in range(1, 13)]


def test_the_first_error_in_order_is_told_after_the_results_before_it(cluster):
    found = doubles(cluster, [0, 1, -1, -2, 3])
    assert [next(found), next(found)] == [0, 2]
    with pytest.raises(ModelError, match=r"^-1 is negative: leave it out\.$"):
        next(found)


def test_a_node_lost_in_the_middle_of_a_sweep_costs_what_it_had_in_its_hands(ask, cluster, monkeypatch):
    from probekit_cli import output

    nodes = []

    def exchange(done, total, said=""):
        if done >= 3 and not nodes:
            remove_second(cluster)
            nodes.append(cluster.add_node(**NODE))

    class Watched:
        def __init__(self, what, **_):
            pass

        def __enter__(self):
            return exchange

        def __exit__(self, *_):
            return None

    options = "--model hf:vit#cls@6,npr,srm --probe ridge,lda,logistic --bootstrap 0"
    here, _ = answer(ask, options)
    monkeypatch.setattr(output, "progress", Watched)
    there, _ = answer(ask, f"{options} --engine ray --address {cluster.address}")
    assert nodes
    assert there == here
