"""`probekit probe` on real features: its numbers, tables and pictures are those of the question that was asked."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score, roc_curve

from probekit import figures
from probekit.features import Join, Selector
from probekit.manifest import Manifest
from probekit.pairs import PairSettings, score_pairs
from tests.cli.test_commands import one_line

NPR = "--model npr --bootstrap 0 --no-save"


def runs(answer):
    assert answer.code == 0, answer.err
    return json.loads(answer.out)["runs"]


def table(answer, name):
    return pd.read_parquet(Path(json.loads(answer.out)["run"]) / "tables" / f"{name}.parquet")


def captions(answer):
    record = json.loads((Path(json.loads(answer.out)["run"]) / "run.json").read_text())
    return record["figures"]


def aucs(pairs):
    return {(pair["train"], pair["test"]): pair["auc"] for pair in pairs}


def test_the_numbers_are_those_of_the_library(ask, clips):
    (run,) = runs(ask(f"{NPR} --json --criterion auc --threshold val-eer --calibrate platt"))
    manifest = Manifest.read(str(clips / "manifests" / "clips.csv"))
    features = Join(manifest, clips / "cache").load("npr", Selector())
    settings = PairSettings(
        train="all", criterion="auc", threshold="val-eer", calibration="platt", folds=0, bootstrap=0
    )
    expected = json.loads(json.dumps(score_pairs(features, settings).to_json()))
    assert {name: run[name] for name in expected} == expected


def test_the_recorded_scores_give_the_printed_aucs(ask):
    answer = ask(f"{NPR} --json")
    scores = table(answer, "scores")
    for (train, test), auc in aucs(runs(answer)[0]["pairs"]).items():
        own = scores[(scores["train"] == train) & scores["generator"].isin(["real", test])]
        assert auc == pytest.approx(roc_auc_score(own["label"], own["score"]), abs=1e-12)


def test_pooled_and_left_out_training_sets_are_named_by_what_they_hold(ask):
    (pooled,) = runs(ask(f"{NPR} --pool --json"))
    assert {(pair["train"], pair["n_train"]) for pair in pooled["pairs"]} == {("lama+ldm", 60)}
    (left_out,) = runs(ask(f"{NPR} --leave-one-out --json"))
    unseen = {(pair["train"], pair["test"]) for pair in left_out["pairs"] if not pair["seen"]}
    assert unseen == {("all-lama", "lama"), ("all-ldm", "ldm")}
    assert {pair["n_train"] for pair in left_out["pairs"]} == {40}


def test_across_domains_a_generator_meets_itself_alone(ask):
    (run,) = runs(ask(f"{NPR} --train lama --test lama --across domain --json"))
    found = {(pair["train"], pair["test"]): (pair["n_train"], pair["n_test"]) for pair in run["pairs"]}
    sides = ("lama@celeb", "lama@ff")
    assert found == {(train, test): (20, 12) for train in sides for test in sides}


def test_clips_are_scored_by_the_mean_log_odds_of_their_frames(ask):
    (frames, clips_) = (ask(f"{NPR} --train lama --json {more}") for more in ("", "--aggregate mean --unit clip"))
    scores = table(frames, "scores")
    means = scores.groupby(scores["path"].str.rpartition("-")[0]).agg(
        {"score": "mean", "label": "first", "generator": "first"}
    )
    for pair in runs(clips_)[0]["pairs"]:
        own = means[means["generator"].isin(["real", pair["test"]])]
        assert pair["auc"] == pytest.approx(roc_auc_score(own["label"], own["score"]), abs=1e-12)
        assert (pair["n_test"], pair["n_frames"]) == (12, 24)
    assert "12 videos" in ask(f"{NPR} --train lama --aggregate max --unit clip").err


def test_each_task_gives_one_run_and_its_picture(ask):
    answer = ask(f"{NPR} --task binary,attribution,one-vs-real --probe prototype --json")
    assert [run["task"] for run in runs(answer)] == ["binary", "attribution", "one-vs-real"]
    attributed = runs(answer)[1]
    confusion = np.array(attributed["confusion"])
    assert attributed["acc"] == pytest.approx(np.trace(confusion) / confusion.sum())
    assert [row["recall"] for row in attributed["per_class"]] == pytest.approx(np.diag(confusion) / confusion.sum(1))
    kinds = {name.split("-npr")[0] for name in captions(answer)}
    assert {"auc", "confusion-attribution-prototype", "confusion-one-vs-real-prototype"} <= kinds


def test_an_attribution_across_domains_has_a_run_for_each_pair_of_domains(ask):
    answer = ask(f"{NPR} --task attribution --across domain --probe prototype --json")
    sides = [(run["train_domain"], run["test_domain"]) for run in runs(answer)]
    assert sides == [("celeb", "celeb"), ("celeb", "ff"), ("ff", "celeb"), ("ff", "ff")]
    assert len([name for name in captions(answer) if name.startswith("confusion")]) == 4


def test_shots_draw_a_curve_and_say_which_number_a_note_is_about(ask):
    answer = ask(f"{NPR} --train lama --test lama --shots 1,3,all --seeds 2 --json")
    found = {run["shots"]: run for run in runs(answer)}
    assert list(found) == ["1", "3", "all"]
    assert [run["pairs"][0]["n_train"] for run in found.values()] == [4, 12, 40]  # of each class and domain
    (whole,) = runs(ask(f"{NPR} --train lama --test lama --seeds 2 --json"))
    assert aucs(found["all"]["pairs"]) == aucs(whole["pairs"])
    assert [name.split("-")[0] for name in captions(answer)] == ["shots"]
    assert {"train → test split, mean over 2 seeds" in caption for caption in captions(answer).values()} == {True}
    said = ask(f"{NPR} --train lama@ff --test lama --shots 1,all --seeds 1")
    assert "note: shots 1: " in said.err
    assert "mean over" not in said.out


def test_an_ensemble_is_compared_with_the_better_of_its_parts(ask):
    answer = ask("--model npr+srm --fuse --train lama --test ldm --bootstrap 0 --no-save --json")
    by_kind = {run.get("ensemble", run["model"]): aucs(run["pairs"])["lama", "ldm"] for run in runs(answer)}
    assert list(by_kind) == ["npr", "srm", "features side by side", "late fusion"]
    gains = table(answer, "gains").set_index("ensemble")
    for kind in ("features side by side", "late fusion"):
        best = gains["best_single"][kind].partition("#")[0]
        assert gains["auc_single"][kind] == by_kind[best]
        assert gains["gain"][kind] == pytest.approx(by_kind[kind] - by_kind[best], abs=1e-12)
    assert {name.partition("-npr")[0] for name in captions(answer) if name.startswith("gain")} == {
        "gain-features-side-by-side",
        "gain-late-fusion",
    }
    assert {"train → test split" in caption for caption in captions(answer).values()} == {True}


def test_without_intervals_no_gain_is_called_certain(ask):
    answer = ask("--model npr+srm --fuse --train lama --test ldm --probe prototype --bootstrap 0 --no-save")
    assert answer.code == 0, answer.err
    assert "no gain has an interval" in answer.err
    assert "gain_lo" not in answer.out


def test_perturbed_images_are_judged_by_the_probes_of_clean_ones(ask):
    answer = ask(f"{NPR} --train lama --perturbed all --json")
    found = table(answer, "robustness")
    assert list(found["perturb"].unique()) == ["clean", "blur:sigma=1", "jpeg:50"]
    (clean,) = runs(ask(f"{NPR} --train lama --json"))
    of_clean = found[found["perturb"] == "clean"].set_index("test")["auc"]
    assert of_clean.to_dict() == {test: auc for (_, test), auc in aucs(clean["pairs"]).items()}
    perturbed = found[found["perturb"] != "clean"]
    assert_allclose(perturbed["drop"], of_clean[perturbed["test"]].to_numpy() - perturbed["auc"], atol=1e-12)
    assert perturbed["drop"].abs().max() > 0.05
    assert {"train → test split" in caption for caption in captions(answer).values()} == {True}


def test_perturbations_that_were_not_extracted_are_told_how(ask):
    words = ["npr#blocks of clips", "only under blur:sigma=1, jpeg:50", "probekit extract --perturb jpeg:75"]
    one_line(ask(f"{NPR} --perturbed jpeg:75,jpeg:50"), *words)
    one_line(ask("--model srm --perturbed all"), "srm#blocks of clips", "unperturbed images only", "extract --perturb")


def test_a_choice_on_test_samples_is_stamped_wherever_it_is_shown(ask):
    options = f"{NPR} --train lama --oracle --task binary,attribution --C 0.1 --condition best"
    shown = ask(options)
    headings = [line for line in shown.out.splitlines() if "·" in line]
    assert len(headings) == 3
    assert all(line.startswith("ORACLE · ") for line in headings)
    assert "chosen on the test samples" in shown.err
    answer = ask(f"{options} --json")
    assert [run["selection"]["oracle"] for run in runs(answer)] == [True, True]
    assert {caption.startswith("ORACLE · ") for caption in captions(answer).values()} == {True}


def test_curves_are_drawn_of_every_training_set_and_stamped(ask):
    answer = ask(f"{NPR} --train lama --curves --oracle --json")
    found = captions(answer)
    assert {"roc-lama", "det-lama", "reliability-lama"} <= {name.partition("-npr")[0] for name in found}
    assert {caption.startswith("ORACLE · ") for caption in found.values()} == {True}


def test_curves_are_of_the_test_sets_that_were_asked(ask, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "roc_curves", lambda curves, **_: drawn.append(curves) or b"")
    answer = ask(f"{NPR} --train lama --test all-lama,lama@ff --probe prototype --curves --json")
    assert answer.code == 0, answer.err
    scores = table(answer, "scores")
    of_ff = scores[(scores["domain"] == "ff") & scores["generator"].isin(["real", "lama"])]
    fpr, tpr, _ = roc_curve(of_ff["label"], of_ff["score"], drop_intermediate=False)
    assert list(drawn[0]) == ["all-lama", "lama@ff"]
    assert_allclose(drawn[0]["lama@ff"], (fpr, tpr))
    assert ask(f"{NPR} --train lama --test all-lama --probe prototype --curves --json").code == 0


def test_curves_are_of_margins_and_say_which_probe_and_evaluation(ask, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "det_curves", lambda curves, **named: drawn.append((curves, named)) or b"")
    options = "--train lama --test lama --probe lda --threshold val-eer --folds 3 --curves --json"
    answer = ask(f"{NPR} {options}")
    (run,) = runs(answer)
    ((curves, named),) = drawn
    scores = table(answer, "scores")
    own = scores[scores["generator"].isin(["real", "lama"])]
    assert own["threshold"].nunique() == 3
    fpr, tpr, _ = roc_curve(own["label"], own["score"] - own["threshold"], drop_intermediate=False)
    assert_allclose(curves["lama"], (fpr, 1 - tpr), atol=1e-12)
    assert "lda, 3-fold out of fold by group" in named["title"]
    assert named["notes"]["lama"] == f"EER {run['pairs'][0]['eer']:.3f}"


def test_seeds_are_averaged_and_their_spread_is_said(ask):
    answer = ask(f"{NPR} --train lama --seeds 2 --folds 3 --C 1")
    assert answer.code == 0, answer.err
    assert "mean over 2 seeds" in answer.out
    assert "spread of the AUC over 2 seeds: up to 0." in answer.err


def test_seeds_that_change_nothing_are_not_called_a_spread_of_zero(ask):
    answer = ask(f"{NPR} --train lama --seeds 2 --C 1")
    assert answer.code == 0, answer.err
    assert "the 2 seeds gave the same AUCs" in answer.err
    assert "spread of the AUC" not in answer.err


def test_a_given_C_and_k_are_used_as_they_are(ask):
    (run,) = runs(ask(f"{NPR} --train lama --C 0.25 --json"))
    assert run["selection"]["C"] == {"lama": [0.25]}
    (run,) = runs(ask(f"{NPR} --train lama --probe knn --k 3 --json"))
    assert run["selection"]["k"] == {"lama": [3]}


@pytest.mark.parametrize("threshold", ["val-eer", "val-youden"])
def test_thresholds_from_elsewhere_are_a_table_and_a_picture(ask, threshold):
    answer = ask(f"{NPR} --threshold {threshold} --probe prototype --json")
    found = table(answer, "threshold_transfer")
    assert {(train, test) for train, test in zip(found["train"], found["test"], strict=True)} == {
        (train, test) for train in ("lama", "ldm") for test in ("lama", "ldm")
    }
    assert any(name.startswith("threshold-transfer") for name in captions(answer))


def test_a_projection_is_named_in_answer_tables_headings_and_record(ask):
    answer = ask(f"{NPR} --project lda --json")
    for run in runs(answer):
        assert (run["project"], run["selection"]["project"]) == ("lda", "lda")
        assert run["selection"]["probes"][0]["projection"]["classes"] == ["lama", "real"]
    assert set(table(answer, "scores")["project"]) == {"lda"}
    assert all("logistic on features projected by lda" in caption for caption in captions(answer).values())
    assert "projected by whiten:4" in ask(f"{NPR} --probe logistic,ridge,lda,prototype --task binary,attribution "
                                          "--project whiten:4").out  # fmt: skip
    plain = ask(f"{NPR} --json")
    assert runs(plain)[0]["project"] is None
    assert "project" not in table(plain, "scores")


@pytest.mark.parametrize("project", ["supcom", "whiten:0"])
def test_a_projection_that_there_is_not_is_refused_in_one_line(ask, project):
    answer = ask(f"{NPR} --project {project}")
    assert answer.code == 2
    assert len(answer.err.strip().splitlines()) == 1


def test_attribution_leaves_scores_that_stand_beside_those_of_the_binary_probe(ask):
    answer = ask(f"{NPR} --task binary,attribution --train lama+ldm --json")
    scores = table(answer, "scores").set_index(["task", "path"])
    binary, collapsed = scores.loc["binary"], scores.loc["attribution"]
    assert sorted(binary.index) == sorted(collapsed.index)
    assert binary.loc[collapsed.index, "label"].tolist() == collapsed["label"].tolist()
    alone = ask(f"{NPR} --task attribution --train lama --test all --json")
    assert set(table(alone, "scores")["generator"]) == {"real", "lama", "ldm"}
    for pair in runs(alone)[0]["pairs"]:
        own = table(alone, "scores")
        own = own[own["generator"].isin(["real", pair["test"]])]
        assert pair["auc"] == pytest.approx(roc_auc_score(own["label"], own["score"]), abs=1e-12)


def test_scores_across_domains_say_which(ask):
    answer = ask(f"{NPR} --task attribution --across domain --json")
    found = table(answer, "scores").groupby(["train_domain", "test_domain"])["domain"].unique()
    assert {pair: list(domains) for pair, domains in found.items()} == {
        (train, test): [test] for train in ("celeb", "ff") for test in ("celeb", "ff")
    }
