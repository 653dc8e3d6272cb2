"""One training set: choose on held-out samples, fit, calibrate, score."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from probekit.errors import ProbeError, UsageError
from probekit.probes.calibration import fit_calibration
from probekit.probes.conditions import fit_condition
from probekit.probes.logistic import LogisticProbe
from probekit.probes.trained import selection_record
from probekit.protocols import Pool, members, partitions
from probekit.trials import TrainingSet, TrialSettings, remarks_on_probes, run_trials
from tests.trials.studies import chosen, study, where, with_samples


def trial(features, settings, train="lama", **options):
    samples = features.samples
    every = np.ones(len(samples), dtype=bool)
    rows = members(samples, Pool.of(*train.split("+")), every)
    divided = partitions(samples, settings.folds, settings.seed)
    asked = TrainingSet(train, samples["label"].to_numpy(), rows)
    (found,) = run_trials([asked], features, divided, every, settings, **options)
    return found


def without_val(features):
    return chosen(features, ~where(features, split="val"))


def fit_by_hand(features, rows, C):
    matrix, labels = features.matrix, features.samples["label"].to_numpy()
    condition = fit_condition("zscore", matrix[rows], features.widths)
    return LogisticProbe(C=C).fit(condition.apply(matrix[rows]), labels[rows]), condition


def test_platt_on_val_is_that_of_a_fit_on_the_val_scores_alone():
    features = study()
    found = trial(features, TrialSettings(C=0.1, calibration="platt"))
    own = where(features, generator=["real", "lama"])
    classifier, condition = fit_by_hand(features, own & where(features, split="train"), 0.1)
    val = own & where(features, split="val")
    labels = features.samples["label"].to_numpy()
    peer = fit_calibration("platt", labels[val], classifier.decision_function(condition.apply(features.matrix[val])))
    (probe,) = found.probes
    assert_allclose([probe.calibration.slope, probe.calibration.offset], [peer.slope, peer.offset], rtol=1e-9)
    assert probe.prior == (12, 12)
    (held,) = found.held_out
    assert held.by == "the val split"
    assert np.array_equal(held.rows, np.flatnonzero(val))
    assert_allclose(held.decisions, found.probes[0].decision_function(features.matrix[val]), rtol=1e-12)


def test_a_calibration_that_turns_the_scores_round_is_told():
    """Platt's slope is negative there, and an AUC of .1 would pass for one of .9."""
    features = study()
    straight = trial(features, TrialSettings(C=0.1, calibration="platt")).probes
    features.blocks[0][where(features, split="val")] *= -1
    turned = trial(features, TrialSettings(C=0.1, calibration="platt")).probes
    assert remarks_on_probes({"lama": straight}) == []
    (line,) = remarks_on_probes({"lama": turned})
    assert line.startswith("trained on lama: calibration turned the scores of 1 of 1 probes round")


@pytest.mark.parametrize("C", [None, 0.1])
def test_without_val_samples_calibration_is_fitted_on_held_out_training_samples(C):
    features = without_val(study())
    found = trial(features, TrialSettings(C=C, calibration="platt"))
    (probe,), (held,) = found.probes, found.held_out
    train = where(features, generator=["real", "lama"], split="train")
    assert held.by == "held-out training samples"
    assert sorted(held.rows) == np.flatnonzero(train).tolist()
    assert probe.prior == (36, 36)
    assert probe.selection.by == ("5-fold group cross-validation on train" if C is None else "given")
    on_learned = probe.decision_function(features.matrix[held.rows])
    assert np.mean(held.decisions * (2 * held.classes - 1)) < np.mean(on_learned * (2 * held.classes - 1))


def test_calibration_out_of_fold_is_fitted_within_the_training_part_of_each_fold():
    features = study()
    found = trial(features, TrialSettings(C=0.1, calibration="temperature", folds=4))
    groups = features.samples["group"].to_numpy()
    for test, held in zip(found.tests, found.held_out, strict=True):
        assert set(groups[held.rows]).isdisjoint(groups[test])


@pytest.mark.parametrize(("calibration", "selection"), [("none", "cv"), ("platt", "cv"), ("temperature", "robust")])
def test_test_samples_change_no_choice_no_calibration_and_no_held_out_score(calibration, selection):
    features = without_val(study())
    test = where(features, split="test")
    features.blocks[0][test] = features.blocks[0][test][::-1] * 7
    settings = TrialSettings(calibration=calibration, selection=selection)
    before = trial(without_val(study()), settings, "lama+ldm", needs_threshold=True)
    after = trial(features, settings, "lama+ldm", needs_threshold=True)
    assert before.probes[0].record() == after.probes[0].record()
    assert np.array_equal(before.held_out[0].decisions, after.held_out[0].decisions)
    assert not np.allclose(before.decisions[test], after.decisions[test])


def test_nothing_held_out_leaves_nothing_to_calibrate_on_and_says_why():
    features = with_samples(without_val(study()), group="same")
    with pytest.raises(
        ProbeError, match=r"calibration platt: there are no held-out samples of every class .*one group"
    ):
        trial(features, TrialSettings(C=0.1, calibration="platt"))


def test_a_class_that_can_never_be_held_out_leaves_no_scores_for_thresholds():
    features = without_val(study())
    rare = where(features, generator="lama", split="train")
    one = chosen(features, ~rare | (np.cumsum(rare) == 1))
    assert trial(one, TrialSettings(bootstrap=0)).held_out == (None,)


def test_a_given_value_is_never_calibrated_on_test_samples_even_by_oracle():
    """Nothing is chosen, so that nothing is labelled oracle: the test samples must stay out."""
    features = without_val(study())
    by_oracle = trial(features, TrialSettings(C=0.1, calibration="platt", selection="oracle"))
    by_cv = trial(features, TrialSettings(C=0.1, calibration="platt"))
    assert by_oracle.probes[0].calibration == by_cv.probes[0].calibration
    assert not by_oracle.probes[0].selection.oracle


def test_an_oracle_is_called_one_wherever_test_samples_were_looked_at():
    features = without_val(study())
    found = trial(features, TrialSettings(selection="oracle"), needs_threshold=True)
    assert found.probes[0].selection.oracle
    assert found.held_out[0].by.startswith("ORACLE")
    with_val = trial(study(), TrialSettings(selection="oracle"), needs_threshold=True)
    assert with_val.held_out[0].by == "the val split"


def test_selection_by_val_fits_the_condition_to_train_samples_alone():
    features = study()
    found = trial(features, TrialSettings(selection="val"))
    moved = study()
    moved.blocks[0][where(moved, split="val")] *= 50
    again = trial(moved, TrialSettings(selection="val"))
    train = where(features, generator=["real", "lama"], split="train")
    for one in (found, again):
        assert one.probes[0].selection.by == "the val split"
        assert_allclose(one.probes[0].condition.shift, features.matrix[train].mean(axis=0, dtype=np.float64))
    assert found.probes[0].selection.loss != again.probes[0].selection.loss


def test_one_class_in_the_val_split_cannot_choose_and_says_so():
    features = study()
    one_class = chosen(features, ~where(features, split="val", generator=["lama", "ldm"]))
    with pytest.raises(ProbeError, match=r"^C cannot be selected: the val split: not every class has samples"):
        trial(one_class, TrialSettings(selection="val"))
    with pytest.raises(ProbeError, match="the val split: not every class"):
        trial(one_class, TrialSettings(selection="val", shots=2))


def test_one_shot_takes_the_probes_default_and_says_why():
    found = trial(study(), TrialSettings(shots=1))
    (probe,) = found.probes
    assert probe.selection.value == LogisticProbe().C
    assert probe.selection.by == "the probe's default: all training samples are of one group, nothing can be held out"
    assert found.train.sum() == 2
    assert trial(study(), TrialSettings(shots=1, C=0.1)).probes[0].selection.by == "given"


def test_the_record_says_how_many_neighbours_there_were_not_how_many_were_asked_for():
    for k in (None, 200):
        (probe,) = trial(study(), TrialSettings(probe="knn", k=k, shots=5)).probes
        assert probe.classifier.k == 10
        assert probe.record()["k"] == 10
        assert selection_record({"lama": [probe]})["k"] == {"lama": [10]}
    (probe,) = trial(study(), TrialSettings(probe="bank", k=9, shots=5)).probes
    assert probe.record()["k"] == 5


def test_more_shots_choose_on_the_shots_alone():
    features = study()
    found = trial(features, TrialSettings(shots=10))
    assert found.train.sum() == 20
    assert found.probes[0].selection.by == "5-fold group cross-validation on train"
    assert found.probes[0].prior == (10, 10)
    rest = where(features, split="train") & ~found.train
    features.blocks[0][rest] *= 9
    assert trial(features, TrialSettings(shots=10)).probes[0].record() == found.probes[0].record()


def test_a_leak_is_a_scored_sample_whose_group_its_own_probe_learned_from():
    features = study()
    leaking = with_samples(features, group=features.samples["group"].replace("photo4", "photo0"))
    found = trial(leaking, TrialSettings(C=0.1))
    assert set(leaking.samples["group"][found.leaked]) == {"photo0"}
    assert set(leaking.samples["split"][found.leaked]) == {"test"}
    assert found.leaked.sum() == 3
    assert not trial(leaking, TrialSettings(C=0.1, folds=4)).leaked.any()


def test_samples_that_are_not_scored_have_no_decision():
    features = study()
    found = trial(features, TrialSettings(C=0.1))
    assert np.array_equal(np.isfinite(found.decisions), where(features, split="test"))


def test_the_log_prior_odds_are_those_of_the_samples_that_probabilities_are_of():
    features = study()
    few = chosen(features, ~(where(features, generator="real", split="train") & (np.arange(180) % 2 == 0)))
    plain, platt = (trial(few, TrialSettings(C=0.1, calibration=name)).probes[0] for name in ("none", "platt"))
    assert plain.prior == (18, 36)
    assert plain.log_prior_odds == pytest.approx(np.log(2))
    assert platt.prior == (12, 12)
    assert platt.log_prior_odds == 0


def videos(features, frames=4):
    """Every photograph becomes a video of as many frames, whose folder has the number of the photograph."""
    n = len(features.samples)
    rows = np.repeat(np.arange(n), frames)
    samples = features.samples.iloc[rows].reset_index(drop=True)
    number = np.tile(np.arange(frames), n)
    samples = samples.assign(frame=number, video=samples["group"], path=samples["path"] + [f"#{i}" for i in number])
    noise = np.random.default_rng(0).normal(size=(len(rows), features.matrix.shape[1]))
    matrix = features.matrix[rows] + 2 * noise
    return chosen(features, rows).__class__(
        features.reference, features.sources, samples, (matrix.astype(np.float32),), features.excluded
    )


@pytest.mark.parametrize("how", ["mean", "max", "top2"])
def test_held_out_scores_are_of_videos_where_the_tested_ones_are(how):
    features = videos(study())
    found = trial(features, TrialSettings(C=0.1, aggregate=how, unit="video"))
    val = where(features, split="val", generator=["real", "lama"])
    scores = found.probes[0].decision_function(features.matrix[val]).reshape(-1, 4)
    by_hand = {"mean": scores.mean(1), "max": scores.max(1), "top2": np.sort(scores)[:, 2:].mean(1)}[how]
    assert_allclose(found.held_out[0].decisions, by_hand, rtol=1e-9)
    assert found.held_out[0].classes.tolist() == [0] * 12 + [1] * 12


def test_an_unknown_aggregation_or_column_is_refused():
    features = videos(study())
    with pytest.raises(UsageError, match="unknown aggregation 'median'"):
        trial(features, TrialSettings(C=0.1, aggregate="median"))
    with pytest.raises(UsageError, match="no column 'film'"):
        trial(features, TrialSettings(C=0.1, aggregate="mean", unit="film"))


def test_the_order_of_the_samples_changes_no_choice():
    features = study()
    order = np.random.default_rng(0).permutation(len(features.samples))
    straight, shuffled = (trial(one, TrialSettings(calibration="platt")) for one in (features, chosen(features, order)))
    before, after = (one.probes[0].selection for one in (straight, shuffled))
    assert (before.value, before.by) == (after.value, after.by)
    assert before.loss == pytest.approx(after.loss, rel=1e-5)
    assert_allclose(shuffled.decisions, straight.decisions[order], rtol=1e-4, atol=1e-5)


def test_nothing_of_the_callers_is_changed():
    features = study()
    samples, matrix = features.samples.copy(), features.matrix.copy()
    trial(features, TrialSettings(calibration="platt", shots=12))
    pd.testing.assert_frame_equal(features.samples, samples)
    assert np.array_equal(features.matrix, matrix)
