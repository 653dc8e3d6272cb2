"""Attribution to real and to each generator."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from probekit import metrics, probes
from probekit.attribution import TASKS, AttributionSettings, attribute
from probekit.errors import ProbeError, UnknownNameError, UsageError
from probekit.pairs import PairSettings, score_pairs
from probekit.probes.calibration import fit_calibration
from probekit.probes.classifier import probabilities
from tests.trials.studies import chosen, where, with_samples
from tests.trials.studies import study as edits

QUICK = AttributionSettings(C=0.1, bootstrap=100)
NAMES = ("lama", "ldm", "repaint")


def study(seed=0, photos=60, strength=3.0, **options):
    """Real photographs and an edit of each by three generators, each along its own axis."""
    return edits(seed, photos, strength=strength, **{"generators": NAMES, "alike": False} | options)


def test_clear_traces_are_attributed_and_every_number_follows_from_the_predictions():
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score

    result = attribute(study(), AttributionSettings())
    true, predicted = result.predictions["true"], result.predictions["predicted"]
    names = list(result.classes)
    assert names == ["real", *NAMES]
    assert result.overall["acc"] > 0.75
    assert result.overall["acc"] == accuracy_score(true, predicted)
    assert result.overall["balanced_acc"] == pytest.approx(balanced_accuracy_score(true, predicted))
    assert result.confusion.to_numpy().tolist() == confusion_matrix(true, predicted, labels=names).tolist()
    assert (result.confusion.index.name, result.confusion.columns.name) == ("true", "predicted")
    assert_allclose(result.per_class["recall"], recall_score(true, predicted, labels=names, average=None))
    assert result.per_class["n_test"].tolist() == [12] * 4
    assert result.per_class["n_train"].tolist() == [36] * 4
    assert result.overall["acc_lo"] < result.overall["acc"] < result.overall["acc_hi"]


def test_probabilities_are_those_of_scikit_learn_on_the_same_rows():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = study()
    train, test = features.samples["split"].eq("train"), features.samples["split"].eq("test")
    X, y = features.matrix.astype(np.float64), features.samples["generator"]
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-10)).fit(X[train], y[train])
    predictions = attribute(features, QUICK).predictions
    ours = predictions[[f"p_{name}" for name in peer.classes_]]
    assert_allclose(ours, peer.predict_proba(X[test]), atol=1e-5)


def test_the_collapsed_score_is_the_log_odds_of_one_minus_p_real():
    result = attribute(study(), QUICK)
    p_real = result.predictions["p_real"].to_numpy()
    labels = result.predictions["label"].to_numpy()
    assert_allclose(result.predictions["score"], np.log((1 - p_real) / p_real), rtol=1e-6, atol=1e-9)
    assert result.binary["auc"] == metrics.get("auc")(labels, 1 - p_real)
    assert result.binary["auc_lo"] <= result.binary["auc"] <= result.binary["auc_hi"]


def test_one_generator_beside_real_is_the_binary_question():
    result = attribute(study(), dataclasses.replace(QUICK, generators="ldm"))
    assert result.classes == ("real", "ldm")
    assert set(result.predictions["generator"]) == {"real", "ldm"}
    assert result.binary["acc"] == result.overall["acc"]


def test_pooled_generators_are_one_class():
    result = attribute(study(), dataclasses.replace(QUICK, generators="lama+ldm,repaint"))
    assert result.classes == ("real", "lama+ldm", "repaint")
    assert result.per_class["n_test"].tolist() == [12, 24, 12]
    with pytest.raises(UsageError, match="two classes"):
        attribute(study(), dataclasses.replace(QUICK, generators="lama+ldm,ldm"))


def test_out_of_fold_every_sample_is_predicted_once_without_its_group():
    features = study()
    result = attribute(features, dataclasses.replace(QUICK, folds=4))
    assert result.predictions["path"].tolist() == features.samples["path"].tolist()
    assert result.predictions.notna().all(axis=None)
    assert len(result.selection["probes"]) == 4
    assert result.overall["leaks"] == 0


def test_shuffled_classes_give_chance_within_the_interval():
    features = study(photos=200)
    samples = features.samples
    mixed = np.stack([np.random.default_rng(i).permutation(4) for i in range(200)], axis=1).ravel()  # per photograph
    names = np.array(["real", *NAMES])[mixed]
    shuffled = samples.assign(generator=names, label=(names != "real").astype(int))
    result = attribute(dataclasses.replace(features, samples=shuffled), AttributionSettings(folds=4))
    assert result.overall["balanced_acc_lo"] < 0.25 < result.overall["balanced_acc_hi"]
    assert result.binary["auc_lo"] < 0.5 < result.binary["auc_hi"]


def test_out_of_fold_noise_is_at_chance_when_a_group_has_one_class():
    found = []
    for seed in range(60):
        features = study(seed, photos=15, strength=0.0)
        alone = features.samples.assign(group=[f"{seed} {path}" for path in features.samples["path"]])
        settings = dataclasses.replace(QUICK, C=0.001, folds=5, bootstrap=0)
        result = attribute(dataclasses.replace(features, samples=alone), settings)
        found.append((result.binary["auc"], result.overall["balanced_acc"]))
    assert_allclose(np.mean(found, axis=0), [0.5, 0.25], atol=0.02)


def test_a_fold_for_each_sample_leaves_nothing_to_compare_and_says_so():
    features = study(photos=6)
    alone = features.samples.assign(group=features.samples["path"])
    result = attribute(dataclasses.replace(features, samples=alone), dataclasses.replace(QUICK, folds=24))
    assert result.to_json()["binary"]["auc"] is None
    assert any("fewer folds" in note for note in result.notes)


def test_the_order_of_the_samples_changes_nothing():
    features = study()
    order = np.random.default_rng(1).permutation(len(features.samples))
    straight, shuffled = attribute(features, QUICK), attribute(chosen(features, order), QUICK)
    assert straight.overall == shuffled.overall
    pd.testing.assert_frame_equal(straight.confusion, shuffled.confusion)


def test_the_names_of_the_generators_only_move_rows_and_columns():
    features = study()
    renamed = features.samples["generator"].replace({"lama": "zz"})
    before = attribute(features, QUICK)
    after = attribute(dataclasses.replace(features, samples=features.samples.assign(generator=renamed)), QUICK)
    names = ["real", "zz", "ldm", "repaint"]
    assert after.confusion.loc[names, names].to_numpy().tolist() == before.confusion.to_numpy().tolist()
    assert after.overall["acc"] == before.overall["acc"]


def test_a_planted_leak_is_counted_and_noted():
    features = study()
    samples = features.samples.assign(group=features.samples["group"].replace({"photo4": "photo0"}))
    result = attribute(dataclasses.replace(features, samples=samples), QUICK)
    assert result.overall["leaks"] == 1
    assert any("leak" in note for note in result.notes)


def test_a_class_never_tested_is_null_and_left_out_of_the_mean():
    features = study()
    samples = features.samples
    absent = ((samples["generator"] == "ldm") & (samples["split"] == "test")).to_numpy()
    result = attribute(chosen(features, np.flatnonzero(~absent)), QUICK)
    run = result.to_json()
    assert run["per_class"][2] == {
        "class": "ldm",
        "n_train": 36,
        "n_test": 0,
        "recall": None,
        "recall_ci": None,
        "auc": None,
    }
    assert run["balanced_acc"] == pytest.approx(result.per_class["recall"].dropna().mean())
    assert any(note.startswith("ldm: no test samples") for note in result.notes)
    json.dumps(run, allow_nan=False)


def test_nothing_to_test_is_null_everywhere():
    features = study()
    train = features.samples["split"].eq("train").to_numpy()
    run = attribute(chosen(features, np.flatnonzero(train)), QUICK).to_json()
    assert (run["n_test"], run["acc"], run["acc_ci"], run["binary"]["auc"]) == (0, None, None, None)
    json.dumps(run, allow_nan=False)


def test_a_class_without_training_samples_is_left_out_of_all_and_refused_by_name():
    features = study()
    samples = features.samples
    absent = ((samples["generator"] == "ldm") & (samples["split"] == "train")).to_numpy()
    fewer = chosen(features, np.flatnonzero(~absent))
    result = attribute(fewer, QUICK)
    assert result.classes == ("real", "lama", "repaint")
    assert any(note.startswith("left out: ldm") for note in result.notes)
    with pytest.raises(ProbeError, match="ldm has no fake samples in the train split"):
        attribute(fewer, dataclasses.replace(QUICK, generators="lama,ldm"))


def test_an_unknown_generator_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'repaint'"):
        attribute(study(), dataclasses.replace(QUICK, generators="repaint2"))


def test_the_json_is_one_run_without_nan():
    run = attribute(study(photos=30), AttributionSettings()).to_json()
    assert json.loads(json.dumps(run, allow_nan=False)) == run
    assert run["task"] == "attribution"
    assert run["classes"] == ["real", *NAMES]
    assert np.shape(run["confusion"]) == (4, 4)
    assert run["acc_ci"] is None
    assert {"C", "by", "metric", "grid", "converged", "condition"} <= run["selection"].keys()


def ask(features, **changes):
    return attribute(features, dataclasses.replace(QUICK, **changes))


def test_one_against_real_is_the_binary_question_of_each_generator():
    features = study()
    result = ask(features, task="one-vs-real")
    binary = score_pairs(features, PairSettings(C=0.1, bootstrap=100))
    for name in NAMES:
        ours = result.predictions[result.predictions["generator"].isin(["real", name])]
        theirs = binary.scores[binary.scores["train"] == name].set_index("path")
        assert_allclose(ours[f"p_{name}"], theirs.loc[ours["path"], "probability"], rtol=1e-9)
        of_class = result.per_class.set_index("class").loc[name, "auc"]
        assert_allclose(of_class, binary.matrix("auc").loc[name, name])
    assert np.isnan(result.per_class["auc"][0])
    assert "p_real" not in result.predictions


def test_against_real_an_image_is_real_where_no_probe_says_fake_and_else_of_the_surest():
    result = ask(study(), task="one-vs-real")
    shares = result.predictions[[f"p_{name}" for name in NAMES]].to_numpy()
    surest = np.array(NAMES)[shares.argmax(axis=1)]
    assert result.predictions["predicted"].tolist() == np.where(shares.max(axis=1) > 0.5, surest, "real").tolist()
    odds = np.log(shares / (1 - shares)).max(axis=1)
    assert_allclose(result.predictions["score"], odds, rtol=1e-6)
    assert math.isnan(result.binary["log_loss"])  # the largest of several probabilities is none


def test_one_against_the_rest_is_scikit_learns_one_vs_rest():
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import StandardScaler

    features = study()
    result = ask(features, task="one-vs-rest")
    train, test = (where(features, split=name) for name in ("train", "test"))
    scaler = StandardScaler().fit(features.matrix[train].astype(np.float64))
    numbers = features.samples["generator"].map({name: i for i, name in enumerate(result.classes)}).to_numpy()
    peer = OneVsRestClassifier(LogisticRegression(C=0.1, tol=1e-10))
    peer.fit(scaler.transform(features.matrix[train].astype(np.float64)), numbers[train])
    decisions = peer.decision_function(scaler.transform(features.matrix[test].astype(np.float64)))
    ours = result.predictions[[f"p_{name}" for name in result.classes]].to_numpy()
    assert_allclose(ours, 1 / (1 + np.exp(-decisions)), rtol=1e-4)
    assert result.predictions["predicted"].tolist() == np.array(result.classes)[decisions.argmax(axis=1)].tolist()
    assert_allclose(result.predictions["score"], -decisions[:, 0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_the_auc_of_a_class_is_that_of_its_probability_or_log_odds(task):
    from sklearn.metrics import roc_auc_score

    result = ask(study(strength=1.5), task=task)
    for row in result.per_class.itertuples():
        if task == "one-vs-real" and row[1] == "real":
            continue
        table = result.predictions
        if task == "one-vs-real":
            table = table[table["true"].isin(["real", row[1]])]
        assert_allclose(row.auc, roc_auc_score(table["true"] == row[1], table[f"p_{row[1]}"]), atol=1e-12)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("probe", probes.names())
def test_every_probe_answers_every_task(probe, task):
    result = attribute(study(strength=5.0), AttributionSettings(probe=probe, task=task, bootstrap=0))
    assert result.overall["balanced_acc"] > 0.7
    assert result.binary["auc"] > 0.8
    assert (result.per_class["auc"].dropna() > 0.8).all()
    prefix = "p_" if probes.get(probe).probabilistic else "score_"
    assert f"{prefix}lama" in result.predictions
    assert math.isnan(result.binary["brier"]) == (not probes.get(probe).probabilistic or task == "one-vs-real")
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.parametrize("task", TASKS)
def test_generators_that_were_never_learned_from_are_tested_collapsed_to_real_and_fake(task):
    features = study()
    result = ask(features, generators="lama,ldm", task=task)
    assert result.pairs["test"].tolist() == ["lama", "ldm", "repaint"]
    assert result.pairs["seen"].tolist() == [True, True, False]
    assert result.pairs["train"].eq("lama+ldm").all()
    assert result.macro["n_tests"].tolist() == [3, 1]
    assert set(result.predictions["true"]) == {"real", "lama", "ldm"}
    rows = where(features, split="test", generator=["real", "repaint"])
    (matrix, labels) = features.matrix[rows], features.samples["label"].to_numpy()[rows]
    decisions = [trial.probes[0].decision_function(matrix) for trial in result.trials.values()]
    if task == "attribution":
        scores = np.logaddexp.reduce(decisions[0][:, 1:], axis=1) - decisions[0][:, 0]
    else:
        scores = np.max(decisions, axis=0) if task == "one-vs-real" else -decisions[0]
    assert_allclose(result.pairs["auc"][2], metrics.get("auc")(labels, scores))


@pytest.mark.parametrize("task", TASKS)
def test_what_is_tested_beside_the_classes_moves_none_of_their_numbers(task):
    features = study()
    elsewhere = where(features, generator="repaint") | (where(features, generator="real") & (np.arange(240) % 2 == 0))
    moved = with_samples(features, domain=features.samples["domain"].mask(elsewhere, "coco"))
    alone, beside = (
        ask(moved, generators="lama,ldm", task=task, test=test) for test in ("lama,ldm", "lama,ldm,repaint")
    )
    assert beside.pairs["n_test"].tolist()[2] > 0
    assert alone.overall == beside.overall
    pd.testing.assert_series_equal(pd.Series(alone.binary), pd.Series(beside.binary))
    pd.testing.assert_frame_equal(alone.predictions, beside.predictions)
    pd.testing.assert_frame_equal(alone.per_class, beside.per_class)


def test_across_domains_classes_are_learned_on_one_and_tested_on_the_other():
    features = study(domains=("celeba", "ffhq"))
    fewer = chosen(features, ~where(features, domain="ffhq", generator="repaint"))
    result = ask(fewer, train_domain="celeba", test_domain="ffhq")
    assert result.classes == ("real", "lama", "ldm")
    assert any(note == "left out: repaint has no fake samples in ffhq." for note in result.notes)
    assert set(result.predictions["domain"]) == {"ffhq"}
    assert result.per_class["n_train"].tolist() == [36] * 3
    assert result.per_class["n_test"].tolist() == [12] * 3
    (trial,) = result.trials.values()
    assert set(fewer.samples["domain"][trial.train]) == {"celeba"}
    assert result.selection["evaluation"] == "train → test split, learned on celeba, tested on ffhq"
    same = ask(chosen(features, where(features, domain="celeba")), generators="lama,ldm")
    assert_allclose(same.trials["lama+ldm"].probes[0].classifier.weights, trial.probes[0].classifier.weights)


def test_a_generator_of_the_other_domain_alone_can_be_tested_there():
    features = study(domains=("celeba", "ffhq"))
    fewer = chosen(features, ~where(features, domain="celeba", generator="repaint"))
    result = ask(fewer, train_domain="celeba", test_domain="ffhq")
    assert result.classes == ("real", "lama", "ldm")
    assert result.pairs["test"].tolist() == ["lama", "ldm", "repaint"]
    assert result.pairs["n_fake"].tolist() == [12, 12, 12]
    assert result.pairs["seen"].tolist() == [True, True, False]


def test_across_domains_names_and_generators_that_mean_nothing_are_refused():
    features = study(domains=("celeba", "ffhq"))
    fewer = chosen(features, ~where(features, domain="ffhq", generator="repaint"))
    with pytest.raises(ProbeError, match=r"^repaint has no fake samples in ffhq: there is nothing to test it on"):
        ask(fewer, generators="lama,repaint", train_domain="celeba", test_domain="ffhq")
    with pytest.raises(UnknownNameError, match=r"domain 'celebA'.*'celeba'"):
        ask(features, train_domain="celebA", test_domain="ffhq")
    with pytest.raises(UnknownNameError, match=r"domain 'fhq'.*'ffhq'"):
        ask(features, train_domain="celeba", test_domain="fhq")


@pytest.mark.parametrize(
    ("named", "error", "line"),
    [
        ({"task": "binary"}, UnknownNameError, "task 'binary'"),
        ({"train_domain": "celeba"}, UsageError, "needs both"),
        ({"test_domain": "celeba"}, UsageError, "needs both"),
        ({"selection": "robust"}, UsageError, "robust choice is for binary probes"),
        ({"probe": "knn", "C": 1.0}, UsageError, "probe knn has no C, it has k"),
        ({"C": 0.0}, ProbeError, "C is 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused_in_one_line(named, error, line):
    with pytest.raises(error, match=line) as raised:
        AttributionSettings(**named)
    assert "\n" not in str(raised.value)


def test_an_auc_cannot_choose_among_several_classes_and_says_what_can():
    with pytest.raises(ProbeError, match="auc compares two classes: choose by log_loss"):
        ask(study(), C=None, criterion="auc")
    assert ask(study(), C=None, criterion="auc", task="one-vs-rest").selection["metric"] == "auc"


def test_a_temperature_is_that_of_the_val_logits_and_platt_says_that_it_is_for_two_classes():
    features = study()
    result = ask(features, calibration="temperature")
    plain = ask(features)
    (probe,), (raw,) = (next(iter(one.trials.values())).probes for one in (result, plain))
    val = where(features, split="val")
    numbers = features.samples["generator"].map({name: i for i, name in enumerate(result.classes)}).to_numpy()[val]
    peer = fit_calibration("temperature", numbers, raw.decision_function(features.matrix[val]))
    assert_allclose(probe.calibration.slope, peer.slope, rtol=1e-9)
    with pytest.raises(ProbeError, match="not logits of 4 classes: use temperature"):
        ask(features, calibration="platt")


def test_sure_probes_of_one_against_the_rest_do_not_overflow():
    result = ask(study(strength=500.0), task="one-vs-rest", condition="raw", C=1e5)
    assert result.overall["acc"] > 0.95
    assert result.predictions.filter(like="p_").notna().all(axis=None)


def test_frames_of_a_video_are_attributed_together_by_their_mean_logits():
    features = study(photos=120)
    videos = with_samples(features, group=[f"clip{i % 120 // 5 // 4}" for i in range(480)])
    videos = with_samples(videos, split=np.tile(np.repeat(["train", "val", "test"], [60, 20, 40]), 4))
    result = ask(videos, aggregate="mean")
    assert result.overall["n_test"] == 4 * 2
    assert result.predictions["frames"].eq(20).all()
    frames = ask(videos)
    (trial,) = frames.trials.values()
    rows = where(videos, split="test", generator="ldm")
    means = trial.decisions[rows].reshape(2, 20, 4).mean(axis=1)
    own = result.predictions[result.predictions["generator"] == "ldm"]
    assert_allclose(own[[f"p_{name}" for name in result.classes]], probabilities(means), rtol=1e-6)
    with pytest.raises(UsageError, match="logits of 4 classes: use mean"):
        ask(videos, aggregate="max")


def test_shots_are_of_each_class():
    result = ask(study(), shots=7)
    assert result.per_class["n_train"].tolist() == [7] * 4


def test_scores_have_a_row_for_every_unit_of_generators_that_were_not_learned_from_too():
    features = study()
    result = attribute(features, dataclasses.replace(QUICK, generators="lama,ldm", test="all"))
    test = where(features, split="test")
    scores = result.scores.set_index("path")
    assert sorted(scores.index) == sorted(features.samples.loc[test, "path"])
    assert set(scores["train"]) == {"lama+ldm"}
    assert (scores["threshold"] == 0).all()
    known = result.predictions.set_index("path")
    assert_allclose(scores.loc[known.index, "score"], known["score"], rtol=1e-12)
    for row in result.pairs.itertuples():
        own = scores[scores["generator"].isin(["real", row.test])]
        assert metrics.get("auc")(own["label"].to_numpy(), own["score"].to_numpy()) == row.auc


def test_scores_of_one_generator_are_those_of_the_binary_probe_column_by_column():
    features = study()
    ours = attribute(features, dataclasses.replace(QUICK, generators="lama")).scores
    peer = score_pairs(features, PairSettings(train="lama", C=0.1, bootstrap=100)).scores
    pd.testing.assert_frame_equal(ours, peer)


def test_likelihood_ratios_of_the_collapsed_tasks_are_less_the_training_odds_of_fake():
    features = study()
    for task in ("attribution", "one-vs-rest"):
        scores = attribute(features, dataclasses.replace(QUICK, task=task)).scores
        assert_allclose(scores["score"] - scores["llr"], np.log(3), rtol=1e-12)  # 3 x 36 fakes beside 36 real ones
        assert_allclose(scores["probability"], 1 / (1 + np.exp(-scores["score"])), rtol=1e-9)
    alone = attribute(features, dataclasses.replace(QUICK, task="one-vs-real")).scores
    assert not {"probability", "llr"} & set(alone.columns)


def test_across_domains_the_confusion_is_of_the_shared_generators_in_the_other_domain_alone():
    """Compared with scikit-learn, learned on one domain's rows of the shared generators."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import confusion_matrix
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    both = study(domains=("celeba", "ffhq"), generators=(*NAMES, "sd"), strength=1.5)
    alone = where(both, domain="celeba", generator="ldm") | where(both, domain="ffhq", generator="sd")
    features = chosen(both, ~alone)  # ldm is of ffhq alone, sd of celeba alone
    result = attribute(features, dataclasses.replace(QUICK, train_domain="celeba", test_domain="ffhq"))
    assert result.classes == ("real", "lama", "repaint")
    assert result.notes[:2] == (
        "left out: ldm has no fake samples in the train split: add some, or name another generator.",
        "left out: sd has no fake samples in ffhq.",
    )
    x, samples = features.matrix.astype(np.float64), features.samples
    train, test = (
        where(features, domain=domain, split=split, generator=list(result.classes))
        for domain, split in (("celeba", "train"), ("ffhq", "test"))
    )
    names = samples["generator"].to_numpy()
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-10)).fit(x[train], names[train])
    expected = confusion_matrix(names[test], peer.predict(x[test]), labels=list(result.classes))
    assert result.confusion.to_numpy().tolist() == expected.tolist()
    assert 0 < np.trace(expected) < expected.sum()
    assert set(result.scores["domain"]) == {"ffhq"}
    assert set(result.scores["generator"]) == {"real", "lama", "repaint", "ldm"}  # ldm was never learned from
