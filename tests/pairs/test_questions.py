"""Several seeds, several kinds of features, perturbed images, and ever more training images."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from probekit import metrics
from probekit.errors import ModelError, ProbeError, UsageError
from probekit.pairs import (
    CLEAN,
    PairSettings,
    choose_features,
    score_ensemble,
    score_pairs,
    score_robustness,
    score_shots,
)
from probekit.protocols import parse_shots
from tests.trials.studies import chosen, study, where, with_blocks, with_samples

QUICK = PairSettings(C=0.1, bootstrap=0)


def quick(**changes):
    return dataclasses.replace(QUICK, **changes)


def named(features, tap):
    """The same features as if of another tap."""
    return dataclasses.replace(features, sources=(dataclasses.replace(features.sources[0], tap=tap),))


def noisy(features, noise, seed=9):
    rng = np.random.default_rng(seed)
    return with_blocks(features, features.matrix + noise * rng.normal(size=features.matrix.shape))


# seeds


def test_numbers_of_several_seeds_are_means_and_deviations_of_separate_runs():
    features = study(strength=1.5)
    together = score_pairs(features, PairSettings(folds=3, seed=2, seeds=3, bootstrap=50))
    alone = [score_pairs(features, PairSettings(folds=3, seed=seed, bootstrap=50)) for seed in (2, 3, 4)]
    for name in (*metrics.names(), "cross_auc", "auc_lo", "auc_hi", "acc_lo", "acc_hi"):
        values = np.array([one.pairs[name] for one in alone])
        assert_allclose(together.pairs[name], values.mean(axis=0))
        if name in metrics.names():
            assert_allclose(together.pairs[f"{name}_sd"], values.std(axis=0, ddof=1), atol=1e-12)
    for name in metrics.names():
        assert_allclose(together.macro[name], np.mean([one.macro[name] for one in alone], axis=0))
    assert_allclose(together.transfer["fpr"], np.mean([one.transfer["fpr"] for one in alone], axis=0))
    assert together.pairs["train"].tolist() == alone[0].pairs["train"].tolist()


def test_every_seed_deals_the_folds_anew_and_its_scores_and_probes_are_told_apart():
    features = study()
    together = score_pairs(features, quick(folds=3, seeds=2, train="lama"))
    parts = [one.sort_values("path")["part"].tolist() for _, one in together.scores.groupby("seed")]
    assert len(parts) == 2
    assert parts[0] != parts[1]
    assert [probe["seed"] for probe in together.probe_records()] == [0, 0, 0, 1, 1, 1]
    alone = score_pairs(features, quick(folds=3, seed=1, train="lama")).scores
    assert_allclose(together.scores.query("seed == 1")["score"], alone["score"])


def test_a_probe_of_a_later_seed_that_did_not_converge_is_not_hidden(monkeypatch):
    from probekit.probes.logistic import LogisticProbe

    fit, fits = LogisticProbe.fit, []

    def fit_second_one_badly(self, *args, **options):
        fits.append(self)
        return fit(dataclasses.replace(self, max_iterations=1 if len(fits) == 2 else 1000), *args, **options)

    monkeypatch.setattr(LogisticProbe, "fit", fit_second_one_badly)
    result = score_pairs(study(), quick(train="lama", seeds=2))
    assert [record["converged"] for record in result.probe_records()] == [True, False]
    assert not result.selection["converged"]


def test_the_split_of_the_manifest_is_the_same_for_every_seed_and_shows_no_spread():
    result = score_pairs(study(), quick(seeds=2))
    assert_allclose(result.pairs["auc_sd"], 0, atol=1e-12)
    with pytest.raises(UsageError, match="--seeds 0"):
        quick(seeds=0)


# choosing features


def candidates(seed=0):
    clear = study(seed)
    return [named(noisy(clear, 4.0), "cls@1"), named(clear, "cls@2"), named(noisy(clear, 2.0), "cls@3")]


def test_for_each_training_set_the_features_with_the_lowest_selection_loss_answer():
    features = candidates()
    features[0].blocks[0][where(features[0], generator="ldm"), 2] += 30  # ldm is plain in the first, lama in the second
    results = [score_pairs(one, PairSettings(bootstrap=0)) for one in features]
    found = choose_features(results)
    losses = {train: [one.trials[train].probes[0].selection.loss for one in results] for train in ("lama", "ldm")}
    assert {train: int(np.argmin(values)) for train, values in losses.items()} == {"lama": 1, "ldm": 0}
    assert found.selection["features"] == {"lama": "clip#cls@2", "ldm": "clip#cls@1"}
    assert found.selection["candidates"] == ["clip#cls@1", "clip#cls@2", "clip#cls@3"]
    assert [record["features"] for record in found.probe_records()] == ["clip#cls@2", "clip#cls@1"]
    for train, number in (("lama", 1), ("ldm", 0)):
        for table in ("pairs", "macro", "transfer", "scores"):
            ours, theirs = (getattr(one, table) for one in (found, results[number]))
            pd.testing.assert_frame_equal(
                ours[ours["train"] == train].reset_index(drop=True),
                theirs[theirs["train"] == train].reset_index(drop=True),
            )
        assert found.trials[train] is results[number].trials[train]
        assert found.selection["C"][train] == results[number].selection["C"][train]
        values = found.selection["threshold"]["values"], results[number].selection["threshold"]["values"]
        assert values[0][train] == values[1][train]
    assert (found.source["model"], found.source["tap"]) == ("clip", "chosen")


def test_the_thresholds_in_the_record_are_those_of_the_chosen_features():
    results = [score_pairs(one, PairSettings(threshold="val-eer", bootstrap=0)) for one in candidates()]
    found = choose_features(results)
    for train, value in found.selection["threshold"]["values"].items():
        assert (found.scores.loc[found.scores["train"] == train, "threshold"] == value[0]).all()


def test_the_record_of_chosen_features_holds_the_probe_of_every_fold_and_seed():
    settings = PairSettings(folds=3, seeds=2, bootstrap=0)
    results = [score_pairs(one, settings) for one in candidates()]
    found = choose_features(results)
    best = {
        train: int(
            np.argmin([np.mean([r["loss"] for r in one.probe_records() if r["train"] == train]) for one in results])
        )
        for train in ("lama", "ldm")
    }
    expected = [
        record
        for train, number in best.items()
        for record in results[number].probe_records()
        if record["train"] == train
    ]
    assert len(expected) == 2 * 3 * 2
    assert [{k: v for k, v in record.items() if k != "features"} for record in found.probe_records()] == expected


def test_every_seed_has_its_say_in_the_choice_of_features():
    settings = PairSettings(train="lama", folds=3, seeds=2, bootstrap=0)
    first, second = (score_pairs(one, settings) for one in candidates()[1:])
    records = second.selection["probes"]
    for record, own in zip(records, first.selection["probes"], strict=True):  # worse by first seed, better by both
        record["loss"] = own["loss"] + (0.1 if record["seed"] == 0 else -0.2)
    assert choose_features([first, second]).selection["features"] == {"lama": "clip#cls@3"}


def test_candidates_are_named_by_what_tells_them_apart():
    def of_view(features, view):
        return dataclasses.replace(features, sources=(dataclasses.replace(features.sources[0], view=view),))

    clear = study()
    asked = [of_view(clear, "center224"), of_view(noisy(clear, 4.0), "native512")]
    found = choose_features([score_pairs(one, PairSettings(bootstrap=0)) for one in asked])
    assert found.selection["candidates"] == ["clip#cls@3 · center224", "clip#cls@3 · native512"]
    assert found.selection["features"] == dict.fromkeys(("lama", "ldm"), "clip#cls@3 · center224")
    both = with_blocks(clear, clear.matrix, noisy(clear, 4.0).matrix)
    asked = [clear, both]
    found = choose_features([score_pairs(one, PairSettings(bootstrap=0)) for one in asked])
    assert found.selection["candidates"] == ["clip#cls@3", "clip#cls@3+npr#cls@3"]


def test_test_samples_choose_no_features():
    settings = PairSettings(bootstrap=0)
    before = choose_features([score_pairs(one, settings) for one in candidates()])
    moved = candidates()
    for one in moved:
        test = where(one, split="test")
        one.blocks[0][test] = one.blocks[0][test][::-1] * 5
    after = choose_features([score_pairs(one, settings) for one in moved])
    assert before.selection == after.selection
    assert not np.allclose(before.pairs["auc"], after.pairs["auc"])


def test_notes_on_features_that_were_not_chosen_are_left_out():
    results = [score_pairs(one, PairSettings(train="lama", bootstrap=0)) for one in candidates()]
    results[0] = dataclasses.replace(results[0], notes=("trained on lama: had not converged",))
    assert choose_features(results).notes == ()


def test_features_are_chosen_of_several_and_by_a_loss():
    results = [score_pairs(one, QUICK) for one in candidates()]
    with pytest.raises(UsageError, match=r"one kind of features: name several, such as --taps all"):
        choose_features(results[:1])
    with pytest.raises(UsageError, match="chosen by the selection loss, and there is none"):
        choose_features(results)


# ensembles


def two_kinds(seed=0):
    """lama shows in the first block alone, ldm in the second alone, and both of them weakly."""
    features = study(seed, photos=100, strength=2.0, generators=("lama", "ldm"))
    rng = np.random.default_rng(seed + 1)
    blocks = [features.matrix + rng.normal(size=features.matrix.shape) for _ in range(2)]
    blocks[0][:, 2] = rng.normal(size=len(blocks[0]))
    blocks[1][:, 1] = rng.normal(size=len(blocks[1]))
    return with_blocks(features, *blocks)


def test_late_fusion_is_the_mean_of_the_calibrated_log_odds_of_separate_runs():
    features = two_kinds()
    found = score_ensemble(features, QUICK)
    alone = [
        score_pairs(dataclasses.replace(features, sources=(source,), blocks=(block,)), quick(calibration="platt"))
        for source, block in zip(features.sources, features.blocks, strict=True)
    ]
    for single, one in zip(found.singles, alone, strict=True):
        pd.testing.assert_frame_equal(single.pairs, one.pairs)
    assert_allclose(found.fused.scores["score"], np.mean([one.scores["score"] for one in alone], axis=0))
    together = score_pairs(features, quick(calibration="platt"))
    pd.testing.assert_frame_equal(found.together.pairs, together.pairs)
    assert found.together.source["ensemble"] == "features side by side"
    assert found.fused.source["ensemble"] == "late fusion"
    assert list(found.fused.selection["members"]) == ["clip#cls@3", "npr#cls@3"]


def by_hand(labels, groups, after, before, replicates, seed):
    """Central 95 % of the AUC difference: whole groups drawn with replacement, both AUCs of the same draw."""
    names, members = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(replicates):
        drawn = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[members]
        rows = np.repeat(np.arange(len(labels)), drawn)
        differences.append(roc_auc_score(labels[rows], after[rows]) - roc_auc_score(labels[rows], before[rows]))
    return np.quantile(differences, [0.025, 0.975])


def test_gains_are_over_the_single_kind_that_is_best_on_val_under_the_same_draws_of_groups():
    settings = quick(bootstrap=60, train="lama")
    found = score_ensemble(two_kinds(), settings)
    best = found.gains.drop_duplicates("train").set_index("train")["best_single"].to_dict()
    held = {
        train: [
            roc_auc_score(one.trials[train].held_out[0].classes, one.trials[train].held_out[0].decisions)
            for one in found.singles
        ]
        for train in ("lama",)
    }
    names = ["clip#cls@3", "npr#cls@3"]
    assert best == {train: names[int(np.argmax(aucs))] for train, aucs in held.items()}
    for row in found.gains.itertuples():
        single = found.singles[names.index(row.best_single)]
        ensemble = found.together if row.ensemble == "features side by side" else found.fused
        tables = [
            one.scores[one.scores["train"].eq(row.train) & one.scores["generator"].isin(["real", row.test])]
            for one in (single, ensemble)
        ]
        labels, groups = tables[0]["label"].to_numpy(), tables[0]["group"].to_numpy()
        before, after = (table["score"].to_numpy() for table in tables)
        assert_allclose(row.auc_single, roc_auc_score(labels, before))
        assert_allclose(row.gain, roc_auc_score(labels, after) - roc_auc_score(labels, before), atol=1e-12)
        assert_allclose([row.gain_lo, row.gain_hi], by_hand(labels, groups, after, before, 60, 0), atol=1e-12)
        assert row.outside == (row.gain_lo > 0 or row.gain_hi < 0)
    assert len(found.gains) == 2 * 2


def test_the_best_single_kind_is_not_chosen_on_test_samples():
    features = two_kinds()
    for block in features.blocks:
        test = where(features, split="test")
        block[test] = block[test][::-1]
    before, after = score_ensemble(two_kinds(), QUICK), score_ensemble(features, QUICK)
    assert before.gains["best_single"].tolist() == after.gains["best_single"].tolist()
    assert before.gains["auc"].tolist() != after.gains["auc"].tolist()


def test_an_ensemble_out_of_fold_compares_within_folds():
    found = score_ensemble(two_kinds(), quick(folds=3, train="lama", test="lama", bootstrap=100))
    assert_allclose(found.gains["gain"], found.gains["auc"] - found.gains["auc_single"])
    assert found.gains["auc"].tolist() == [found.together.pairs["auc"][0], found.fused.pairs["auc"][0]]
    assert (found.gains["gain_lo"] <= found.gains["gain"]).all()
    assert (found.gains["gain"] <= found.gains["gain_hi"]).all()


def test_ensembles_that_cannot_be_asked_for_are_refused():
    with pytest.raises(UsageError, match=r"needs two kinds of features: give them as clip\+OTHER"):
        score_ensemble(study(), QUICK)
    with pytest.raises(UsageError, match="leave --seeds out"):
        score_ensemble(two_kinds(), quick(seeds=2))
    alone = with_samples(two_kinds(), group="same")
    with pytest.raises(ProbeError, match="no held-out samples of every class"):
        score_ensemble(chosen(alone, ~where(alone, split="val")), QUICK)


# robustness


def test_perturbed_images_are_scored_by_the_probes_and_thresholds_of_clean_ones():
    features = study()
    settings = quick(threshold="val-eer", calibration="platt", bootstrap=50)
    found = score_robustness(features, {"blur": noisy(features, 2.0), "same": features}, settings)
    clean = score_pairs(features, settings)
    assert found.table["perturb"].unique().tolist() == [CLEAN, "blur", "same"]
    kept = ["train", "test", "auc", "acc", "auc_lo", "auc_hi"]
    for name in (CLEAN, "same"):
        own = found.table[found.table["perturb"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(own[kept], clean.pairs[kept])
        assert (own["drop"] == 0).all()
    trial = clean.trials["lama"]
    rows = where(features, split="test", generator=["real", "ldm"])
    scores = trial.decide(noisy(features, 2.0).matrix)[rows]
    labels = features.samples["label"].to_numpy()[rows]
    blur = found.table.query("perturb == 'blur' and train == 'lama' and test == 'ldm'").iloc[0]
    assert_allclose(blur["auc"], roc_auc_score(labels, scores))
    threshold = clean.scores.query("train == 'lama'")["threshold"].iloc[0]
    assert_allclose(blur["acc"], np.mean((scores > threshold) == (labels == 1)))
    own = clean.pairs.query("train == 'lama' and test == 'ldm'")["auc"].iloc[0]
    assert_allclose(blur["drop"], own - blur["auc"])


def test_what_is_undefined_of_clean_images_has_no_drop():
    features = study()
    features = chosen(features, ~where(features, generator="ldm", split="test"))
    found = score_robustness(features, {"same": features}, quick(train="lama")).table.set_index(["perturb", "test"])
    assert found.loc[(CLEAN, "lama"), "drop"] == 0
    assert found.loc[[(CLEAN, "ldm"), ("same", "ldm")], ["auc", "drop"]].isna().all(axis=None)


def test_a_perturbed_store_in_another_order_is_joined_by_identity():
    features = study()
    blurred = noisy(features, 2.0)
    order = np.random.default_rng(0).permutation(len(features.samples))
    straight, shuffled = (
        score_robustness(features, {"blur": one}, QUICK).table for one in (blurred, chosen(blurred, order))
    )
    pd.testing.assert_frame_equal(straight, shuffled)


@pytest.mark.parametrize("folds", [0, 3])
def test_samples_missing_in_a_perturbed_store_are_counted_and_compared_with_the_same_clean_ones(folds):
    features = study(strength=1.5)
    blurred = noisy(features, 2.0)
    missing = (np.arange(len(features.samples)) % 3 == 0) | where(features, split="train")
    settings = quick(folds=folds)
    found = score_robustness(features, {"blur": chosen(blurred, ~missing)}, settings)
    tested = np.ones(len(missing), dtype=bool) if folds else where(features, split="test")
    assert found.notes[-1] == f"blur: {(missing & tested).sum()} test samples have no such features and are left out."
    row = found.table.query("perturb == 'blur' and train == 'lama' and test == 'lama'").iloc[0]
    rows = tested & ~missing & where(features, generator=["real", "lama"])
    assert row["n_test"] == rows.sum()
    if not folds:
        trial = found.clean.trials["lama"]
        labels = features.samples["label"].to_numpy()[rows]
        clean, after = (roc_auc_score(labels, trial.decide(one.matrix)[rows]) for one in (features, blurred))
        assert_allclose([row["auc"], row["drop"]], [after, clean - after])


def test_robustness_out_of_fold_asks_the_probe_that_never_saw_the_group():
    features = study()
    blurred = noisy(features, 2.0)
    found = score_robustness(features, {"blur": blurred}, quick(folds=3, train="lama", test="lama"))
    trial = found.clean.trials["lama"]
    wins = pairs = 0.0
    for probe, test in zip(trial.probes, trial.tests, strict=True):
        rows = test & where(features, generator=["real", "lama"])
        labels = features.samples["label"].to_numpy()[rows]
        n = labels.sum() * (len(labels) - labels.sum())
        wins += n * roc_auc_score(labels, probe.decision_function(blurred.matrix[rows]))
        pairs += n
    assert_allclose(found.table["auc"].iloc[1], wins / pairs)


def test_robustness_that_cannot_be_asked_for_is_refused():
    features = study()
    narrow = with_blocks(features, features.matrix[:, :5])
    with pytest.raises(UsageError, match="no perturbed features to test on"):
        score_robustness(features, {}, QUICK)
    with pytest.raises(UsageError, match="leave --seeds out"):
        score_robustness(features, {"blur": features}, quick(seeds=2))
    with pytest.raises(UsageError, match=r"blur: features are \(5,\) wide, those of clean images \(12,\)"):
        score_robustness(features, {"blur": narrow}, QUICK)
    with pytest.raises(UsageError, match="blur: none of the test samples has such features"):
        score_robustness(features, {"blur": chosen(features, where(features, split="train"))}, QUICK)
    with pytest.raises(UsageError, match="means over crops, or neither"):
        score_robustness(features, {"blur": with_samples(features, crop=0)}, QUICK)
    broken = noisy(features, 1.0)
    broken.blocks[0][3, 3] = np.inf
    with pytest.raises(ModelError, match="not finite"):
        score_robustness(features, {"blur": broken}, QUICK)


# shots


def test_a_curve_of_shots_is_separate_runs_with_more_training_images():
    features = study(strength=1.5)
    found = score_shots(features, quick(seeds=2), [1, 5, None])
    assert list(found.results) == ["1", "5", "all"]
    assert found.table["shots"].unique().tolist() == ["1", "5", "all"]
    for name, shots in (("1", 1), ("5", 5), ("all", None)):
        alone = score_pairs(features, quick(seeds=2, shots=shots)).pairs
        own = found.table[found.table["shots"] == name].reset_index(drop=True).drop(columns="shots")
        pd.testing.assert_frame_equal(own, alone)
        assert (own["n_train"] == 2 * (shots or 36)).all()
    few, every = (found.table[found.table["shots"] == name] for name in ("1", "all"))
    assert np.diag(few.pivot(index="train", columns="test", values="auc")).mean() < 0.95
    assert (few["auc_sd"] > 0).any()
    assert_allclose(every["auc_sd"], 0, atol=1e-12)


def test_progress_of_shots_counts_every_training_set_of_every_seed():
    calls = []
    score_shots(study(), quick(seeds=2), [1, None], on_progress=lambda done, of: calls.append((done, of)))
    assert calls == [(number, 8) for number in range(1, 9)]


def test_progress_of_an_ensemble_counts_every_kind_of_features():
    calls = []
    score_ensemble(two_kinds(), QUICK, on_progress=lambda done, of: calls.append((done, of)))
    assert calls == [(number, 6) for number in range(1, 7)]


def test_shots_are_read_as_they_are_typed():
    assert parse_shots("1, 5,10,all,5") == [1, 5, 10, None]
    for text in ("", "0", "-1", "five", "1,,2", "1.5"):
        with pytest.raises(UsageError, match=r"write numbers of images and all, such as 1,5,10,50,all"):
            parse_shots(text)


def test_more_shots_than_training_samples_are_refused():
    with pytest.raises(ProbeError, match="100 shots: lama of celeba has 36 training samples"):
        score_shots(study(), QUICK, [1, 100])
