"""`probekit retrieve --memory`: a gallery on disk is searched as one in memory, or one clear line says why not."""

import json
import re
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from probekit.errors import UsageError
from probekit.neighbours import engines
from probekit_cli import sweeps
from probekit_cli.memory import Limit, of_retrieval
from probekit_cli.retrieve import answering
from tests.retrieval.clouds import clouds

TABLES = ("per_class", "queries", "rank_curve", "open_set_scores")


@pytest.fixture
def search(type_, clips):
    def ask_retrieve(options):
        return type_(f"probekit retrieve --manifest {clips}/manifests/clips.csv --cache {clips}/cache {options}")

    return ask_retrieve


@pytest.mark.parametrize("options", ["--model srm --unknown ldm", "--model npr+srm --condition layernorm --vote sum"])
def test_a_gallery_on_disk_is_searched_as_one_in_memory_to_the_bit(search, options):
    answers = [search(f"{options} --index ivf --bootstrap 50 --json --memory {size}") for size in ("8GiB", "100KiB")]
    assert [answer.code for answer in answers] == [0, 0], answers[1].err
    (loaded,), (blocks,) = (json.loads(answer.out)["runs"] for answer in answers)
    assert (loaded.pop("streamed"), blocks.pop("streamed")) == (False, True)
    assert blocks == loaded
    folders = [Path(json.loads(answer.out)["run"]) for answer in answers]
    for name in TABLES:
        assert_frame_equal(*(pd.read_parquet(run / "tables" / f"{name}.parquet") for run in folders))
    assert not list(folders[1].glob("probekit-lists-*"))


def test_auto_ranks_by_ivf_in_blocks_where_it_does_in_memory(search, monkeypatch):
    monkeypatch.setattr(engines, "AFFORDABLE", 100)
    answers = [search(f"--model srm --bootstrap 0 --json --memory {size}") for size in ("8GiB", "100KiB")]
    (loaded,), (blocks,) = (json.loads(answer.out)["runs"] for answer in answers)
    assert (loaded.pop("streamed"), blocks.pop("streamed")) == (False, True)
    assert blocks == loaded
    assert blocks["engine"] == "ivf"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "--index auto needs them all: take --index ivf"),
        ("--index ivf --condition whiten", "--condition whiten learns from them all"),
        ("--index ivf --project lda", "leave --project out"),
        ("--index ivf --unknown each", "--unknown each is not answered over blocks"),
        ("--index ivf --shots 1,all", "--shots is not answered over blocks"),
    ],
)
def test_what_is_not_searched_over_blocks_says_what_to_do(search, options, said):
    answer = search(f"--model srm {options} --memory 100KiB")
    assert answer.code == 2
    assert said in answer.err
    assert re.search(r"120 × 135 features would take [\d.]+ KiB, --memory is 100 KiB", answer.err)


@pytest.mark.parametrize(("workers", "each"), [("", 8 << 30), ("--workers-per-node 4", 2 << 30)])
def test_workers_of_one_node_share_its_memory(search, monkeypatch, workers, each):
    def refuse(session, asked, settings, limit, sweep):
        raise UsageError(f"{limit.size} bytes")

    monkeypatch.setattr(sweeps, "opened", lambda *_: nullcontext(refuse))
    monkeypatch.setattr(answering, "on_cluster", refuse)
    assert f"{each} bytes" in search(f"--model srm --engine ray --memory 8GiB {workers}").err


def test_a_limit_that_several_share_says_so():
    features = clouds()
    alone, one_of_two = (Limit.of("200KiB", of_retrieval, sharing=number) for number in (1, 2))
    assert alone.why(features).endswith("--memory is 200 KiB")
    assert one_of_two.why(features).endswith("--memory is 100 KiB for each worker")


def test_what_one_machine_answers_alone_is_refused_before_a_cluster_is_looked_for(search):
    answer = search("--engine ray --address nobody:1 --query-manifest clips")
    assert answer.code == 2
    assert "--query-manifest is for this machine alone" in answer.err
