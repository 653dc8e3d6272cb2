"""Probes that `probekit probe` keeps say of a sample what they said in their own run."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from probekit import figures
from tests.cli.test_commands import one_line


def run_of(answer):
    assert answer.code == 0, answer.err
    return Path(json.loads(answer.out)["run"])


@pytest.fixture
def predict(type_, clips):
    """Scores the clips with a saved probe."""
    where = f"--manifest {clips}/manifests/clips.csv --cache {clips}/cache"
    return lambda probe, more="": type_(f"probekit predict --probe {probe} {where} {more} --json")


def same_scores(probed, predicted, train):
    """The scores of a training set's probe in its own run are those of `predict`."""
    own = pd.read_parquet(probed / "tables" / "scores.parquet")
    own = own[own["train"] == train].set_index("path")["score"]
    found = pd.read_parquet(predicted / "tables" / "predictions.parquet").set_index("path")["score"]
    assert len(own) == 36
    assert np.ptp(own) > 0
    assert_allclose(found[own.index], own, rtol=1e-6, atol=1e-9)


def test_a_kept_probe_predicts_what_it_scored(ask, predict):
    run = run_of(ask("--model npr --train lama --threshold val-eer --bootstrap 0 --json"))
    (file,) = (run / "probes").glob("*.json")
    assert file.name == "lama-logistic-npr-blocks.json"
    same_scores(run, run_of(predict(file.with_suffix(".safetensors"))), "lama")
    record = json.loads((run / "run.json").read_text())["result"]["runs"][0]["selection"]
    saved = json.loads(file.read_text())
    assert saved["threshold"]["log_odds"] == record["threshold"]["values"]["lama"][0]


def test_a_kept_probe_records_every_setting_and_that_its_threshold_is_of_videos(ask):
    options = "--model npr --train lama --probe prototype --threshold val-eer --aggregate mean --unit clip --seed 4"
    (file,) = (run_of(ask(f"{options} --bootstrap 0 --json")) / "probes").glob("*.json")
    saved = json.loads(file.read_text())
    asked = {"train": "lama", "aggregate": "mean", "unit": "clip", "seed": 4, "folds": 0, "shots": None}
    assert asked.items() <= saved["settings"].items()
    assert saved["threshold"]["by"] == "val-eer, of videos by mean of their frames"


def test_chosen_features_are_those_of_the_saved_probe(ask, predict):
    answer = ask("--model npr,srm --choose-features --bootstrap 0 --json")
    run = run_of(answer)
    (found,) = json.loads(answer.out)["runs"]
    chosen = found["selection"]["features"]
    assert set(chosen.values()) == {"npr#blocks", "srm#blocks"}
    files = {path.name for path in (run / "probes").glob("*.json")}
    assert files == {f"{train}-logistic-{name.replace('#', '-')}.json" for train, name in chosen.items()}
    for train, name in chosen.items():
        file = run / "probes" / f"{train}-logistic-{name.replace('#', '-')}.json"
        (block,) = json.loads(file.read_text())["features"]
        assert f"{block['model']}#{block['tap']}" == name
        same_scores(run, run_of(predict(file.with_suffix(".safetensors"))), train)


def test_the_choice_is_said_beneath_the_matrix(ask):
    answer = ask("--model npr,srm --choose-features --bootstrap 0 --no-save --probe ridge")
    assert answer.code == 0, answer.err
    lines = answer.err.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("chosen for")] == [
        "chosen for lama",
        "chosen for ldm",
    ]


def test_of_several_seeds_the_first_is_kept_and_that_is_said(ask):
    answer = ask("--model npr --train lama --C 1 --seeds 2 --bootstrap 0")
    assert answer.code == 0, answer.err
    assert "probes of the first seed are kept" in answer.err


def test_attribution_probes_of_several_domains_are_all_kept(ask, predict):
    answer = ask("--model npr --task attribution --across domain --probe prototype --bootstrap 0 --json")
    run, pairs = run_of(answer), [("celeb", "celeb"), ("celeb", "ff"), ("ff", "celeb"), ("ff", "ff")]
    files = {pair: f"lama+ldm@{pair[0]}-to-{pair[1]}-attribution-prototype-npr-blocks" for pair in pairs}
    assert sorted(path.stem for path in (run / "probes").glob("*.json")) == sorted(files.values())
    for (trained, tested), name in files.items():
        file = run / "probes" / f"{name}.safetensors"
        assert json.loads(file.with_suffix(".json").read_text())["evaluation"].endswith(
            f"{trained}, tested on {tested}"
        )
        found = pd.read_parquet(run_of(predict(file)) / "tables" / "predictions.parquet")
        own = pd.read_parquet(run / "tables" / "predictions.parquet")
        own = own[(own["train_domain"] == trained) & (own["test_domain"] == tested)].set_index("path")["score"]
        assert_allclose(found.set_index("path")["score"][own.index], own, rtol=1e-6, atol=1e-9)


def test_probes_whose_names_differ_by_what_no_file_takes_are_all_kept(type_, clips, tmp_path):
    table = pd.read_csv(clips / "manifests" / "clips.csv").replace({"generator": {"lama": "a b", "ldm": "a-b"}})
    table.to_csv(tmp_path / "alike.csv", index=False)
    options = "--model npr --probe prototype --bootstrap 0 --json"
    run = run_of(type_(f"probekit probe --manifest {tmp_path}/alike.csv --cache {clips}/cache {options}"))
    kept = [json.loads(path.read_text())["train"] for path in (run / "probes").glob("*.json")]
    assert sorted(kept) == ["a b", "a-b"]


def test_names_of_many_generators_are_shortened_in_files_alone(type_, clips, tmp_path, monkeypatch):
    for name in ("matrix", "difference_matrix", "roc_curves", "det_curves", "reliability"):
        monkeypatch.setattr(figures, name, lambda *_, **__: b"")  # they have no room for such names
    long = {"lama": "lama" * 30, "ldm": "ldm" * 40}
    table = pd.read_csv(clips / "manifests" / "clips.csv").replace({"generator": long})
    table.to_csv(tmp_path / "long.csv", index=False)
    options = "--model npr --probe prototype --pool --bootstrap 0 --curves --json"
    run = run_of(type_(f"probekit probe --manifest {tmp_path}/long.csv --cache {clips}/cache {options}"))
    (file,) = (run / "probes").glob("*.json")
    assert json.loads(file.read_text())["train"] == "+".join(sorted(long.values()))
    assert len([path for path in (run / "figures").iterdir() if path.name.startswith(f"roc-{long['lama'][:100]}")]) == 1


def test_no_save_keeps_none_and_two_views_keep_both(type_, ask, faces):
    run = run_of(ask("--model npr --train lama --probe prototype --bootstrap 0 --no-save --json"))
    assert not (run / "probes").exists()
    assert type_("probekit extract --model srm --view center").code == 0
    run = run_of(type_("probekit probe --train lama --probe prototype --folds 0 --bootstrap 0 --json"))
    names = sorted(path.name for path in (run / "probes").glob("*.json"))
    assert len(names) == 2
    addresses = {json.loads((run / "probes" / name).read_text())["features"][0]["store"] for name in names}
    assert len(addresses) == 2


def test_features_of_another_perturbation_or_model_are_refused(ask, predict, type_, clips):
    run = run_of(ask("--model npr --train lama --probe prototype --bootstrap 0 --json"))
    (file,) = (run / "probes").glob("*.safetensors")
    (perturbed,) = (clips / "cache").glob("npr*jpeg*")
    one_line(predict(file, f"--store {perturbed.name}"), "npr")
    one_line(type_(f"probekit predict --probe {run}/probes/gone.safetensors x.png"), "gone.safetensors")


@pytest.mark.parametrize("project", ["lda", "supcon:4"])
def test_a_kept_probe_projects_as_it_did(ask, predict, project):
    run = run_of(ask(f"--model npr --train lama --project {project} --bootstrap 0 --json"))
    (file,) = (run / "probes").glob("*.json")
    assert file.name == f"lama-logistic-{project.replace(':', '-')}-npr-blocks.json"
    same_scores(run, run_of(predict(file)), "lama")
