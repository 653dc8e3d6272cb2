"""The train/test matrix."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from probekit import metrics
from probekit.errors import ModelError, ProbeError, UnknownNameError, UsageError
from probekit.metrics.thresholds import THRESHOLDS
from probekit.pairs import PairSettings, score_pairs
from probekit.probes.conditions import CONDITIONS
from tests.trials.studies import chosen, feature_set, study, with_samples

QUICK = PairSettings(C=0.1, bootstrap=100)


def test_a_probe_knows_its_own_generator_and_not_the_other():
    result = score_pairs(study(), PairSettings())
    auc = result.matrix("auc")
    assert auc.index.name == "train"
    assert auc.columns.name == "test"
    assert (np.diag(auc) > 0.85).all()
    assert auc.loc["lama", "ldm"] < 0.75


def test_numbers_are_those_of_the_scores_that_come_with_them():
    result = score_pairs(study(), QUICK)
    scores = result.scores[result.scores["train"] == "lama"]
    rows = scores[scores["generator"].isin(["real", "ldm"])]
    pair = result.pairs.query("train == 'lama' and test == 'ldm'").iloc[0]
    assert pair["auc"] == metrics.get("auc")(rows["label"].to_numpy(), rows["score"].to_numpy())
    assert pair["acc"] == np.mean((rows["score"] > 0) == (rows["label"] == 1))
    assert (pair["n_train"], pair["n_test"], pair["n_real"], pair["n_fake"], pair["n_groups"]) == (
        72,
        24,
        12,
        12,
        12,
    )


def test_scores_are_those_of_scikit_learn_on_the_same_rows():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = study()
    train = features.samples["split"].eq("train") & features.samples["generator"].isin(["real", "lama"])
    test = features.samples["split"].eq("test") & features.samples["generator"].isin(["real", "lama"])
    X, y = features.matrix.astype(np.float64), features.samples["label"].to_numpy()
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-10)).fit(X[train], y[train])
    result = score_pairs(features, dataclasses.replace(QUICK, train="lama", test="lama"))
    assert_allclose(result.scores["score"], peer.decision_function(X[test]), rtol=1e-4, atol=1e-5)


def test_test_samples_change_nothing_that_is_learned():
    features = study()
    test = features.samples["split"].eq("test").to_numpy()
    moved = features.matrix.copy()
    moved[test] = moved[test][::-1] * 100
    settings = PairSettings(train="lama", test="lama", bootstrap=0)
    before, after = (
        score_pairs(features, settings),
        score_pairs(feature_set(features.samples, moved), settings),
    )
    assert before.selection == after.selection


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_answers(condition):
    result = score_pairs(study(strength=5.0), PairSettings(condition=condition, bootstrap=0))
    assert result.selection["condition"] == condition
    assert (np.diag(result.matrix("auc")) > 0.9).all()


def test_out_of_fold_every_sample_is_scored_once_by_a_probe_that_never_saw_its_group():
    features = study()
    result = score_pairs(features, dataclasses.replace(QUICK, train="lama", folds=4))
    assert result.scores["path"].tolist() == features.samples["path"].tolist()
    parts = result.scores.groupby("group")["part"].nunique()
    assert (parts == 1).all()
    assert sorted(result.scores["part"].unique()) == [0, 1, 2, 3]
    assert result.selection["evaluation"] == "4-fold out of fold by group"
    assert len(result.selection["C"]["lama"]) == 4
    assert (result.pairs["leaks"] == 0).all()


def test_out_of_fold_a_feature_that_only_names_the_group_and_class_gives_chance():
    """A code for each group and class is perfect where it was trained on and worthless elsewhere."""
    features = study(strength=0.0)
    codes = np.eye(180)[np.arange(180)] * 5
    result = score_pairs(feature_set(features.samples, codes), PairSettings(train="lama", test="lama", C=1.0, folds=5))
    assert result.pairs["auc_lo"][0] <= 0.5 <= result.pairs["auc_hi"][0]


def noise(seed, n=60):
    """Features that know nothing of real and fake; every sample is a group of its own."""
    label = np.arange(n) % 2
    samples = pd.DataFrame({"path": [f"{seed}/{i}.png" for i in range(n)], "label": label, "domain": "x"})
    samples = samples.assign(generator=np.where(label, "lama", "real"), split="train", group=samples["path"])
    return feature_set(samples, np.random.default_rng(seed).normal(size=(n, 8)))


def test_out_of_fold_noise_is_at_chance_when_a_group_has_one_class():
    settings = PairSettings(folds=5, C=0.01, bootstrap=0)
    pairs = pd.concat([score_pairs(noise(seed), settings).pairs for seed in range(120)])
    assert_allclose(pairs[["auc", "eer", "acc"]].mean(), 0.5, atol=0.02)
    assert_allclose(pairs["ap"].mean(), 0.51, atol=0.02)  # of 60 samples in random order


def test_a_fold_for_each_sample_leaves_nothing_to_compare_and_says_so():
    result = score_pairs(noise(0, n=24), dataclasses.replace(QUICK, folds=24))
    (pair,) = result.to_json()["pairs"]
    assert (pair["auc"], pair["auc_ci"], pair["ap"], pair["eer"]) == (None,) * 4
    assert any("no fold holds both real and fake samples" in note and "fewer folds" in note for note in result.notes)


def test_a_planted_leak_is_counted_and_noted():
    features = study()
    leaking = features.samples["group"].mask(features.samples["group"].isin(["photo4", "photo9"]), "photo0")
    result = score_pairs(with_samples(features, group=leaking), QUICK)
    assert result.pairs["leaks"].tolist() == [1] * 4
    assert any("leak" in note for note in result.notes)
    assert not any("leak" in note for note in score_pairs(features, QUICK).notes)


@pytest.mark.parametrize("folds", [0, 5])
def test_shuffled_labels_give_an_auc_of_one_half_within_its_interval(folds):
    features = study(photos=200)
    samples = features.samples.copy()
    lama = samples["generator"].isin(["real", "lama"]).to_numpy()
    swap = np.random.default_rng(0).random(200) < 0.5  # within each photograph, which of the two is called fake
    flipped = samples.loc[lama, "label"].to_numpy() ^ np.tile(swap, 2)
    samples.loc[lama, "label"] = flipped
    samples.loc[lama, "generator"] = np.where(flipped == 1, "lama", "real")
    result = score_pairs(
        dataclasses.replace(features, samples=samples), PairSettings(train="lama", test="lama", folds=folds)
    )
    pair = result.pairs.iloc[0]
    assert pair["auc_lo"] < 0.5 < pair["auc_hi"]
    assert pair["auc_hi"] - pair["auc_lo"] < 0.35


def test_the_order_of_the_samples_changes_nothing():
    features = study()
    order = np.random.default_rng(1).permutation(len(features.samples))
    straight, shuffled = (
        score_pairs(features, PairSettings()),
        score_pairs(chosen(features, order), PairSettings()),
    )
    pd.testing.assert_frame_equal(straight.pairs, shuffled.pairs, rtol=1e-9)
    by_path = shuffled.scores.sort_values(["train", "path"])["score"]
    assert_allclose(by_path, straight.scores.sort_values(["train", "path"])["score"], rtol=1e-4, atol=1e-5)


def test_the_names_of_the_generators_change_nothing():
    features = study()
    renamed = with_samples(features, generator=features.samples["generator"].replace({"lama": "zz", "ldm": "aa"}))
    before, after = score_pairs(features, PairSettings()).pairs, score_pairs(renamed, PairSettings()).pairs
    after = after.replace({"zz": "lama", "aa": "ldm"}).sort_values(["train", "test"], ignore_index=True)
    pd.testing.assert_frame_equal(before, after, rtol=1e-9)


def test_pooled_generators_train_one_probe_and_are_tested_as_one():
    result = score_pairs(study(), dataclasses.replace(QUICK, train="lama+ldm", test="lama,lama+ldm"))
    assert result.pairs["train"].tolist() == ["lama+ldm"] * 2
    assert result.pairs["n_fake"].tolist() == [12, 24]
    assert (result.pairs["auc"] > 0.8).all()


def test_real_images_come_from_the_domain_of_the_fakes():
    features = study()
    domain = features.samples["domain"].where(features.samples["group"].str[-1].isin(list("02468")), "ffhq")
    domain = domain.mask(features.samples["generator"] == "lama", "celeba")
    result = score_pairs(with_samples(features, domain=domain), dataclasses.replace(QUICK, train="lama", test="lama"))
    assert (result.scores["domain"] == "celeba").all()
    assert result.pairs["n_real"][0] == 6


def test_a_test_set_without_samples_is_null_not_an_error():
    features = study()
    absent = ((features.samples["generator"] == "ldm") & (features.samples["split"] == "test")).to_numpy()
    result = score_pairs(chosen(features, np.flatnonzero(~absent)), dataclasses.replace(QUICK, train="lama"))
    empty = result.to_json()["pairs"][1]
    assert (empty["test"], empty["n_test"], empty["auc"], empty["acc"], empty["auc_ci"]) == (
        "ldm",
        0,
        None,
        None,
        None,
    )
    assert any(note.startswith("tested on ldm: no fake samples") for note in result.notes)


def test_a_test_set_of_one_class_has_its_accuracy_and_no_auc():
    features = study()
    absent = ((features.samples["label"] == 0) & (features.samples["split"] == "test")).to_numpy()
    result = score_pairs(
        chosen(features, np.flatnonzero(~absent)), dataclasses.replace(QUICK, train="lama", test="lama")
    )
    pair = result.to_json()["pairs"][0]
    assert pair["auc"] is None
    assert pair["fake_acc"] == pair["acc"]
    assert any("no real samples" in note for note in result.notes)


def test_one_fake_to_learn_from_needs_a_given_C():
    features = study()
    samples = features.samples
    rare = ((samples["generator"] == "lama") & (samples["split"] == "train")).to_numpy()
    kept = np.flatnonzero(~rare | (np.cumsum(rare) == 1))
    one = chosen(features, kept)
    assert score_pairs(one, dataclasses.replace(QUICK, train="lama")).pairs["n_train"][0] == 37
    automatic = score_pairs(one, PairSettings(train="lama", bootstrap=0))
    assert "1 of 5 folds left out" in automatic.selection["by"]


def test_few_groups_give_no_interval_but_their_number():
    result = score_pairs(study(photos=45), QUICK)
    assert (result.pairs["n_groups"] == 9).all()
    assert result.pairs[["auc_lo", "auc_hi", "acc_lo", "acc_hi"]].isna().all(axis=None)
    assert result.to_json()["pairs"][0]["auc_ci"] is None


def test_all_leaves_out_a_generator_without_training_samples_and_notes_it():
    features = study(generators=("lama", "ldm", "new"))
    kept = ~((features.samples["generator"] == "new") & (features.samples["split"] == "train")).to_numpy()
    result = score_pairs(chosen(features, np.flatnonzero(kept)), QUICK)
    assert result.pairs["train"].unique().tolist() == ["lama", "ldm"]
    assert result.pairs["test"].unique().tolist() == ["lama", "ldm", "new"]
    assert any(note.startswith("left out: new has no fake samples") for note in result.notes)
    with pytest.raises(ProbeError, match="new has no fake samples in the train split"):
        score_pairs(chosen(features, np.flatnonzero(kept)), dataclasses.replace(QUICK, train="new"))


def test_a_probe_that_did_not_converge_is_noted(monkeypatch):
    from probekit.probes.logistic import LogisticProbe

    monkeypatch.setattr(LogisticProbe, "of", classmethod(lambda cls, value: cls(C=value, max_iterations=1)))
    result = score_pairs(study(), dataclasses.replace(QUICK, train="lama"))
    assert any("had not converged" in note for note in result.notes)
    assert not result.selection["converged"]


def test_the_val_threshold_comes_from_val_samples_and_without_any_from_held_out_training_samples_never_from_test():
    features = study()
    settings = dataclasses.replace(QUICK, train="lama", threshold="val-eer")
    result = score_pairs(features, settings)
    threshold = result.scores["threshold"].unique()
    assert len(threshold) == 1
    assert threshold[0] != 0
    assert result.selection["threshold"] == {
        "name": "val-eer",
        "by": THRESHOLDS["val-eer"] + " on the val split of the training side",
        "values": {"lama": threshold.tolist()},
    }
    test = features.samples["split"].eq("test").to_numpy()
    fewer = chosen(features, np.flatnonzero(~test | (np.cumsum(test) % 2 == 0)))
    assert score_pairs(fewer, settings).scores["threshold"].unique() == threshold
    without_val = chosen(features, np.flatnonzero(features.samples["split"] != "val"))
    found = score_pairs(without_val, settings)
    assert "held-out training samples" in found.selection["threshold"]["by"]
    fewer = chosen(fewer, np.flatnonzero(fewer.samples["split"] != "val"))
    assert score_pairs(fewer, settings).scores["threshold"].unique() == found.scores["threshold"].unique()


def test_each_block_is_conditioned_on_its_own():
    features = study()
    first, second = features.matrix[:, :6], features.matrix[:, 6:]
    settings = dataclasses.replace(QUICK, condition="l2", C=10.0)
    plain = score_pairs(feature_set(features.samples, first, second), settings)
    loud = score_pairs(feature_set(features.samples, first, 1000 * second), settings)
    assert_allclose(loud.scores["score"], plain.scores["score"], rtol=1e-3, atol=1e-4)
    assert plain.to_json()["model"] == "clip+npr"
    assert plain.to_json()["tap"] == "cls@3+cls@3"
    assert plain.to_json()["view"] == "resize224"


def test_a_feature_that_is_not_finite_is_refused_with_the_image_named():
    features = study()
    features.blocks[0][70, 3] = np.nan
    with pytest.raises(ModelError, match=r"lama/10\.png"):
        score_pairs(features, QUICK)


def test_the_json_is_one_run_without_nan():
    run = score_pairs(study(photos=30), PairSettings()).to_json()
    assert json.loads(json.dumps(run, allow_nan=False)) == run
    assert {"task", "probe", "model", "tap", "view", "precision", "selection", "pairs"} <= run.keys()
    assert {"train", "test", "n_train", "n_test", "acc", "balanced_acc", "auc", "ap", "eer", "auc_ci"} <= run["pairs"][
        0
    ].keys()
    assert {"C", "by", "metric", "grid", "converged", "condition", "threshold"} <= run["selection"].keys()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"threshold": "0.6"}, UnknownNameError),
        ({"selection": "val", "folds": 5}, UsageError),
        ({"bootstrap": -1}, UsageError),
    ],
)
def test_settings_that_cannot_be_carried_out_are_refused_at_once(settings, error):
    with pytest.raises(error):
        PairSettings(**settings)


def test_the_questions_own_samples_are_left_as_they_are():
    features = study()
    before = features.samples.copy(), features.matrix.copy()
    score_pairs(features, QUICK)
    pd.testing.assert_frame_equal(features.samples, before[0])
    assert np.array_equal(features.matrix, before[1])
