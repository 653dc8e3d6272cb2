"""Attribution to real and to each generator."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from probekit import metrics
from probekit.attribution import AttributionSettings, attribute
from probekit.errors import ProbeError, UnknownNameError, UsageError
from probekit.features import FeatureSet, Source

QUICK = AttributionSettings(C=0.1, bootstrap=100)
NAMES = ("lama", "ldm", "repaint")


def study(seed=0, photos=60, d=12, strength=3.0):
    """Real photographs and an edit of each by three generators, each along its own axis."""
    rng = np.random.default_rng(seed)
    rows, features = [], []
    for number, name in enumerate(("real", *NAMES)):
        features.append(rng.normal(size=(photos, d)) + strength * np.eye(d)[number] * (name != "real"))
        for photo in range(photos):
            split = ["train", "train", "train", "val", "test"][photo % 5]
            rows.append((f"{name}/{photo}.png", int(name != "real"), name, "celeba", split, f"photo{photo}"))
    columns = ["path", "label", "generator", "domain", "split", "group"]
    source = Source("clip", "proj", "resize224", "float32", "ab12")
    return FeatureSet(
        "clip",
        (source,),
        pd.DataFrame(rows, columns=columns),
        (np.concatenate(features).astype(np.float32),),
        pd.DataFrame(),
    )


def chosen(features, rows):
    return dataclasses.replace(
        features,
        samples=features.samples.iloc[rows].reset_index(drop=True),
        blocks=(features.blocks[0][rows],),
    )


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
