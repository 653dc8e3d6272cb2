"""`probekit probe --memory`: what is read in blocks is answered as what is loaded, or ends in one clear line."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from safetensors.numpy import load_file

from probekit.errors import UsageError
from probekit.fingerprint import hash_file
from probekit.heads.saved import read_probe
from probekit_cli import memory
from tests.cli.conftest import Answer

SRM = "--model srm --bootstrap 50 --json"
SMALL, LARGE = "--memory 200KiB", "--memory 8GiB"


def both(ask, options) -> tuple[dict, dict, Path, Path]:
    """The runs and run folders of the question in memory and over blocks."""
    found = []
    for limit in (LARGE, SMALL):
        answer = ask(f"{SRM} {options} {limit}")
        assert answer.code == 0, answer.err
        found.append(json.loads(answer.out))
    (loaded,), (blocks,) = (one["runs"] for one in found)
    assert (loaded["streamed"], blocks["streamed"]) == (False, True)
    return loaded, blocks, *(Path(one["run"]) for one in found)


def scores(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "tables" / "scores.parquet")


@pytest.mark.parametrize("probe", ["ridge", "lda", "logistic"])
@pytest.mark.parametrize(
    "options",
    [
        "--selection val --criterion auc",
        "--selection val --across domain --condition l2 --threshold val-eer --calibrate platt",
        "--oracle --pool --criterion auc --condition raw",
    ],
)
def test_what_is_read_in_blocks_is_answered_as_what_is_loaded(ask, probe, options):
    loaded, blocks, *folders = both(ask, f"--probe {probe} {options}")
    assert blocks.keys() == loaded.keys()
    assert [(pair["train"], pair["test"]) for pair in blocks["pairs"]] == [
        (pair["train"], pair["test"]) for pair in loaded["pairs"]
    ]
    chosen = loaded["selection"]["parameter"]
    assert [one[chosen] for one in blocks["selection"]["probes"]] == [
        one[chosen] for one in loaded["selection"]["probes"]
    ]
    expected, found = map(scores, folders)
    assert found["path"].equals(expected["path"])
    assert_allclose(found["score"], expected["score"], rtol=0, atol=1e-5 * expected["score"].abs().max())
    for one, other in zip(blocks["pairs"], loaded["pairs"], strict=True):
        assert one["auc"] == pytest.approx(other["auc"], abs=0.01)  # two scores that tie but for their rounding
        assert one["n_train"] == other["n_train"]


@pytest.mark.parametrize("options", ["--C 0.1 --folds 3", "--C 0.1 --aggregate mean --unit clip --seeds 2"])
def test_a_given_C_needs_no_val_split(ask, options):
    loaded, blocks, *folders = both(ask, options)
    assert blocks["selection"]["by"] == loaded["selection"]["by"] == "given"
    expected, found = map(scores, folders)
    assert_allclose(found["score"], expected["score"], rtol=0, atol=1e-6 * expected["score"].abs().max())


def test_shots_and_several_taps_are_read_in_blocks_too(ask):
    answers = [ask(f"{SRM} --C 0.1 --train lama --shots 5,all --seeds 2 {limit}") for limit in (LARGE, SMALL)]
    curves = [[run["pairs"] for run in json.loads(answer.out)["runs"]] for answer in answers]
    assert_allclose(*[[pair["auc"] for pairs in curve for pair in pairs] for curve in curves], atol=0.01)
    answer = ask("--model hf:vit --taps cls@0-2 --bootstrap 0 --json --choose-features --selection val --memory 20KiB")
    (chosen,) = json.loads(answer.out)["runs"]
    assert chosen["streamed"]
    assert len(chosen["selection"]["candidates"]) == 3


def kept(run: Path):
    (description,) = (run / "probes").glob("*.json")
    arrays = description.with_suffix(".safetensors")
    return read_probe(description, hash_file(arrays), load_file(arrays))


def test_probes_that_were_fitted_over_blocks_are_kept_alike(ask):
    expected, found = map(kept, both(ask, "--probe ridge --selection val --train lama")[2:])
    assert found.value == expected.value
    assert found.threshold == expected.threshold
    assert found.blocks == expected.blocks
    features = np.random.default_rng(0).normal(size=(5, 135)).astype(np.float32)
    assert_allclose(found.decisions(features), expected.decisions(features), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "--selection cv is not done over blocks: choose on --selection val with --folds 0 (or give --C)"),
        ("--probe lda", "choose on --selection val with --folds 0; or give more --memory"),
        ("--probe svm", "svm is not fitted over blocks: use ridge, lda or logistic"),
        ("--C 1 --condition whiten", "--condition whiten is not fitted over blocks"),
        ("--C 1 --condition best", "--condition best is not fitted over blocks"),
        ("--C 1 --project lda", "leave --project out"),
        ("--C 1 --calibrate platt --folds 3", "no val samples of every class"),
        ("--model npr+srm --C 1 --fuse", "--fuse is not answered over blocks"),
        ("--C 1 --perturbed all", "--perturbed is not answered over blocks"),
        ("--task attribution", "--task attribution is not answered over blocks"),
        ("--C 1 --crops all", "leave --crops all out"),
    ],
)
def test_what_is_not_done_over_blocks_ends_in_one_line_that_says_what_to_do(ask, options, said):
    model = "" if "--model" in options else "--model srm"
    answer: Answer = ask(f"{model} --bootstrap 0 {options} {SMALL}")
    assert answer.code == 2
    assert said in answer.err
    assert re.search(r"features would take [\d.]+ [KM]iB, --memory is 200 KiB|no val samples|--crops all", answer.err)
    assert len([line for line in answer.err.splitlines() if line.startswith("probekit:")]) == 1


def test_it_is_said_that_features_were_read_in_blocks(ask):
    answer = ask(f"--model srm --bootstrap 0 --probe ridge --selection val {SMALL}")
    assert "srm#blocks was read in blocks: 120 × 135 features would take" in answer.err
    assert "--memory is 200 KiB" in answer.err


@pytest.mark.parametrize(
    ("typed", "size"),
    [("8GiB", 8 << 30), ("8G", 8 << 30), ("512m", 512 << 20), ("1.5 MB", 3 << 19), ("1T", 1 << 40), ("3KiB", 3 << 10)],
)
def test_sizes_are_read_as_people_write_them(typed, size):
    assert memory.parse_size(typed) == size


@pytest.mark.parametrize("typed", ["", "much", "-1GiB", "0", "8GiBs", "0.1", "8", "200", "8 B", "0GiB"])
def test_what_is_no_size_is_refused(typed):
    with pytest.raises(
        UsageError, match=f"^--memory '{typed}': write a size such as 8GiB or 500MiB, with its unit, or leave"
    ):
        memory.parse_size(typed)


def test_the_default_is_half_of_the_machine():
    limit = memory.Limit.of(None, memory.of_probes(0))
    assert 1 << 24 < limit.size < 1 << 45


@pytest.mark.parametrize(
    ("groups", "limits", "size"),
    [
        ("0::/job/step\n", {"job/step/memory.max": "max"}, None),
        ("0::/job/step\n", {"job/step/memory.max": "4000"}, 4000),
        ("0::/job/step\n", {"job/step/memory.max": "max", "job/memory.max": "3000", "memory.max": "9000"}, 3000),
        ("0::/\n", {"memory.max": "2000"}, 2000),
        ("0::/job\n", {"job-of-another/memory.max": "5"}, None),
        (
            "4:cpu,cpuacct:/job\n3:memory:/job/a:b\n0::/\n",
            {"memory/job/a:b/memory.limit_in_bytes": "7000", "memory/memory.limit_in_bytes": str(2**63 - 4096)},
            7000,
        ),
        ("3:memory:/job/step\n", {"memory/job/memory.limit_in_bytes": "6000"}, 6000),
        ("3:memory:/not/mounted/here\n", {"memory/memory.limit_in_bytes": "5000"}, 5000),
        ("3:cpu:/job\n", {"cpu/job/memory.limit_in_bytes": "5"}, None),
    ],
)
def test_no_more_memory_is_taken_than_any_group_above_the_process_may_have(tmp_path, groups, limits, size):
    (tmp_path / "cgroup").write_text(groups)
    for name, text in limits.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    machine = memory.there_is(tmp_path / "nothing", tmp_path / "groups")
    assert machine > 1 << 27
    assert memory.there_is(tmp_path / "cgroup", tmp_path / "groups") == (size or machine)
