"""The choice of a condition and of a probe's parameter."""

import numpy as np
import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, roc_auc_score

from probekit import probes
from probekit.errors import ProbeError, UnknownNameError, UsageError
from probekit.probes import Division
from probekit.probes.calibration import Calibration
from probekit.probes.classifier import probabilities
from probekit.probes.conditions import CONDITIONS, fit_condition
from probekit.probes.criteria import CRITERIA
from probekit.probes.logistic import LogisticProbe
from probekit.probes.selection import AXES_FITS, DEFAULT, PLATEAU, Choice, fit_choice, given, select
from probekit.probes.trained import TrainedProbe, selection_record
from probekit.trials import TrialSettings

BY = "5-fold group cross-validation on train"


def samples(seed=0, n=120, d=10, shift=1.0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    features = rng.normal(size=(n, d)) + shift * labels[:, None] * (np.arange(d) == 0)
    return features.astype(dtype), labels, np.arange(n) // 2 % 5


def divisions_of(folds):
    tests = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    return [Division(test, test) for test in tests]


def choose(features, labels, folds, learned=None, divisions=None, **changes):
    choice = Choice(**{"probe": "logistic", "condition": "zscore"} | changes)
    learned = np.ones(len(labels), dtype=bool) if learned is None else learned
    divisions = divisions_of(folds) if divisions is None else divisions
    made = select(choice, features, labels, learned, divisions, widths=(features.shape[1],), by=BY)
    return made.selection, made.held_out


def standardised(features):
    return fit_condition("zscore", features, (features.shape[1],)).apply(features)


def trained(features, labels, selection):
    choice = Choice("logistic", selection.condition)
    condition, classifier = fit_choice(selection, choice, features, labels, (features.shape[1],))
    return TrainedProbe("logistic", condition, classifier, selection, Calibration("none"), (60, 60))


def test_signal_free_features_get_a_small_C_and_clear_ones_a_larger_one():
    noise, labels, folds = samples(shift=0.0)
    clear, _, _ = samples(shift=3.0)
    assert choose(noise, labels, folds)[0].value < choose(clear, labels, folds)[0].value


def test_the_record_says_what_chose_C():
    features, labels, folds = samples()
    probe = trained(features, labels, choose(features, labels, folds)[0])
    record = selection_record({"lama": [probe]})
    assert record["by"] == BY
    assert record["metric"] == "log_loss"
    assert record["condition"] == "zscore"
    assert_allclose(record["grid"], np.logspace(-6, 5, 45))
    assert record["C"] == {"lama": [probe.selection.value]}
    assert record["converged"]
    assert record["probes"][0]["fits"] == 5 * 45


def test_a_given_C_is_used_and_said_to_be_given():
    selection = given(Choice("logistic", "zscore", 0.5))
    assert (selection.value, selection.by, selection.fits, selection.default) == (0.5, "given", 0, False)
    features, labels, _ = samples()
    classifier = fit_choice(selection, Choice("logistic", "raw", 0.5), features, labels, (10,))[1]
    assert_array_equal(classifier.weights, LogisticProbe(C=0.5).fit(standardised(features), labels).weights)


def test_the_probes_default_is_said_to_be_one():
    selection = given(Choice("logistic", "best"), f"{DEFAULT}: one group")
    assert (selection.value, selection.condition, selection.default) == (LogisticProbe().C, "zscore", True)


@pytest.mark.parametrize("grid", [(), (0.0, 1.0), (np.nan,), (-1.0,)])
def test_a_grid_that_is_empty_or_not_positive_is_refused(grid):
    features, labels, folds = samples()
    with pytest.raises(ProbeError, match="grid of C"):
        choose(features, labels, folds, grid=grid)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'zscore'"):
        Choice("logistic", "z-score")
    with pytest.raises(UnknownNameError, match="'logistic'"):
        Choice("logistics", "zscore")
    with pytest.raises(UnknownNameError, match="'log_loss'"):
        Choice("logistic", "zscore", criterion="logloss")


@settings(max_examples=15, deadline=None)
@given_any(scale=st.floats(1e-3, 1e6), shift=st.floats(-10, 10), seed=st.integers(0, 9))
def test_zscored_scores_do_not_depend_on_the_units_of_the_features(scale, shift, seed):
    features, labels, _ = samples(seed, dtype=np.float64)
    selection = given(Choice("logistic", "zscore", 0.1))
    plain = trained(features, labels, selection).decision_function(features)
    moved = trained(features * scale + shift, labels, selection).decision_function(features * scale + shift)
    assert_allclose(moved, plain, rtol=1e-4, atol=1e-5)


def two_classes(numbers, decisions):
    """Every criterion by scikit-learn, or by the formula."""
    called, shares, signs = (decisions > 0).astype(int), probabilities(decisions), 2 * numbers - 1
    return {
        "log_loss": log_loss(numbers, shares),
        "squared_error": np.mean((decisions - signs) ** 2),
        "squared_hinge": np.mean(np.maximum(0, 1 - signs * decisions) ** 2),
        "auc": 1 - roc_auc_score(numbers, decisions),
        "acc": 1 - accuracy_score(numbers, called),
        "balanced_acc": 1 - balanced_accuracy_score(numbers, called),
    }


@pytest.mark.parametrize("criterion", CRITERIA)
def test_each_criterion_of_two_classes_is_that_of_its_definition(criterion):
    rng = np.random.default_rng(0)
    numbers, decisions = rng.integers(0, 2, 90), rng.normal(size=90).round(1)
    assert_allclose(CRITERIA[criterion](numbers, decisions), two_classes(numbers, decisions)[criterion], rtol=1e-12)


def test_each_criterion_of_three_classes_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    numbers, logits = np.repeat([0, 1, 2], [50, 30, 10]), rng.normal(size=(90, 3))
    called = logits.argmax(axis=1)
    assert_allclose(CRITERIA["log_loss"](numbers, logits), log_loss(numbers, probabilities(logits)), rtol=1e-12)
    assert_allclose(CRITERIA["squared_error"](numbers, logits), np.mean((logits - (2 * np.eye(3)[numbers] - 1)) ** 2))
    assert_allclose(CRITERIA["acc"](numbers, logits), np.mean(called != numbers))
    assert_allclose(CRITERIA["balanced_acc"](numbers, logits), 1 - balanced_accuracy_score(numbers, called))
    with pytest.raises(ProbeError, match="auc compares two classes: choose by log_loss"):
        CRITERIA["auc"](numbers, logits)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_choice_is_the_most_regularised_value_with_the_lowest_mean_loss_of_separate_fits(criterion):
    grid = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    features, labels, folds = samples(shift=1.5)
    folds = np.where(folds == 4, 3, folds)  # folds of unequal size
    conditioned = fit_condition("zscore", features, (10,)).apply(features)
    losses = np.zeros(len(grid))
    for division in divisions_of(folds):
        learned = division.learned(120)
        for number, C in enumerate(grid):
            fit = LogisticProbe(C=C).fit(conditioned[learned], labels[learned])
            decisions = fit.decision_function(conditioned[division.test])
            losses[number] += len(division.test) / 120 * two_classes(labels[division.test], decisions)[criterion]
    selection, held = choose(features, labels, folds, grid=grid[::-1], criterion=criterion)
    best = next(number for number, loss in enumerate(losses) if loss <= losses.min() * (1 + PLATEAU))
    assert selection.grid == grid
    assert selection.value == grid[best]
    assert_allclose(selection.loss, losses[best], rtol=1e-4, atol=1e-6)
    assert sorted(held.rows) == list(range(120))


def test_losses_that_are_equal_within_the_plateau_take_the_most_regularised_value():
    features, labels, folds = samples(shift=40.0)  # separable: every C makes no mistake
    selection, _ = choose(features, labels, folds, criterion="acc")
    assert (selection.value, selection.loss) == (probes.GRID[0], 0.0)
    nearest, _ = choose(features, labels, folds, probe="knn", criterion="acc")
    assert nearest.value == probes.get("knn").grid[0]


def test_the_held_out_decisions_are_those_of_the_chosen_value_on_rows_that_it_did_not_learn_from():
    features, labels, folds = samples()
    selection, held = choose(features, labels, folds)
    conditioned = fit_condition("zscore", features, (10,)).apply(features)
    for division in divisions_of(folds):
        learned = division.learned(120)
        fit = LogisticProbe(C=selection.value).fit(conditioned[learned], labels[learned])
        ours = held.decisions[np.isin(held.rows, division.test)]
        assert_allclose(ours, fit.decision_function(conditioned[division.test]), rtol=1e-3, atol=3e-3)


def test_held_out_rows_have_no_part_in_the_principal_axes_that_they_are_scored_on():
    features, labels, folds = samples(n=60, d=40)
    _, held = choose(features, labels, folds, condition="whiten", value=0.1)
    for division in divisions_of(folds):
        learned = division.learned(60)
        condition = fit_condition("whiten", features[learned], (40,))
        fit = LogisticProbe(C=0.1).fit(condition.apply(features[learned]), labels[learned])
        ours = held.decisions[np.isin(held.rows, division.test)]
        assert_allclose(ours, fit.decision_function(condition.apply(features[division.test])), rtol=1e-3, atol=3e-3)


def test_many_single_groups_held_out_share_a_few_fits_of_principal_axes_without_any_of_them():
    features, labels, _ = samples(n=60, d=40)
    groups = np.arange(60) // 2
    _, held = choose(features, labels, groups, condition="whiten", value=0.1)
    assert held.rows.tolist() == list(range(60))
    others = ~np.isin(groups % AXES_FITS, 3)  # group 3 was held out with 8, 13, …
    condition = fit_condition("whiten", features[others], (40,)).apply(features)
    rows = groups != 3
    fit = LogisticProbe(C=0.1).fit(condition[rows], labels[rows])
    assert_allclose(held.decisions[6:8], fit.decision_function(condition[6:8]), rtol=1e-3, atol=3e-3)


@pytest.mark.parametrize("condition", ["zscore", "whiten"])
def test_a_generator_that_is_left_out_has_no_part_in_the_condition_that_it_is_scored_in(condition):
    features, labels, folds = samples(n=90, d=30)
    maker = np.where(labels == 1, np.arange(90) // 2 % 2, -1)
    features[maker == 1] *= 5
    divisions = [
        Division(
            np.flatnonzero((folds == fold) & ((labels == 0) | (maker == one))),
            np.flatnonzero((folds == fold) | (maker == one)),
        )
        for one in (0, 1)
        for fold in range(5)
    ]
    _, held = choose(features, labels, folds, divisions=divisions, condition=condition, value=0.1)
    end = 0
    for division in divisions:
        start, end = end, end + len(division.test)
        learned = division.learned(90)
        fitted = fit_condition(condition, features[learned], (30,))
        fit = LogisticProbe(C=0.1).fit(fitted.apply(features[learned]), labels[learned])
        expected = fit.decision_function(fitted.apply(features[division.test]))
        assert np.array_equal(held.rows[start:end], division.test)
        assert_allclose(held.decisions[start:end], expected, rtol=1e-3, atol=1e-2)


def test_best_takes_the_condition_with_the_lowest_loss_and_counts_the_fits_of_all():
    features, labels, folds = samples()
    features[:, 1] *= 1e4  # a loud column that tells nothing
    alone = {name: choose(features, labels, folds, condition=name)[0] for name in CONDITIONS}
    best, _ = choose(features, labels, folds, condition="best")
    assert best.condition == min(alone, key=lambda name: alone[name].loss)
    assert best.loss == min(one.loss for one in alone.values())
    assert best.fits == sum(one.fits for one in alone.values()) == 5 * 45 * len(CONDITIONS)


def test_a_condition_is_chosen_for_a_probe_without_a_parameter():
    features, labels, folds = samples()
    selection, _ = choose(features, labels, folds, probe="prototype", condition="best")
    assert selection.parameter is None
    assert selection.value is None
    assert selection.by == BY
    assert (selection.metric, selection.grid) == ("balanced_acc", ())


def test_a_criterion_that_is_undefined_everywhere_is_refused_with_another_named():
    features, labels, folds = samples()
    alone = [Division(np.array([row]), np.array([row])) for row in range(120)]
    with pytest.raises(ProbeError, match=r"^auc is undefined on every held-out part .*: choose by log_loss"):
        choose(features, labels, folds, divisions=alone[:4], criterion="auc", grid=(0.1, 1.0))


def test_a_criterion_that_is_undefined_on_some_parts_is_the_mean_over_the_others():
    features, labels, folds = samples()
    one_class = Division(*[np.flatnonzero((folds == 0) & (labels == 1))] * 2)
    both = divisions_of(folds)[1:]
    selection, _ = choose(features, labels, folds, divisions=[one_class, *both], criterion="auc", value=0.1)
    without, _ = choose(features, labels, folds, divisions=both, criterion="auc", value=0.1)
    assert selection.loss == without.loss


def test_a_value_whose_loss_is_infinite_is_not_taken_for_one_that_is_undefined(monkeypatch):
    features, labels, folds = samples()
    log_loss_of = CRITERIA["log_loss"]

    def infinite(numbers, decisions):  # where a probe is all but constant
        return np.inf if np.ptp(decisions) < 1e-2 else log_loss_of(numbers, decisions)

    monkeypatch.setitem(CRITERIA, "log_loss", infinite)
    with np.errstate(invalid="raise"):
        assert choose(features, labels, folds, grid=(1e-6, 0.1))[0].value == 0.1


def test_nothing_to_hold_out_is_refused_in_one_line_with_the_reason():
    features, labels, folds = samples()
    with pytest.raises(ProbeError, match=r"^C cannot be selected: 5-fold .*\. Give C, or samples of more groups\.$"):
        choose(features, labels, folds, divisions=[])


def test_one_class_is_refused():
    features, _, folds = samples()
    with pytest.raises(ProbeError, match="needs two classes"):
        choose(features, np.zeros(120, dtype=int), folds)


def test_val_rows_move_no_condition_and_no_final_fit():
    """Selection by a split of its own: the condition is fitted to the rows that are learned from."""
    features, labels, _ = samples()
    val = np.arange(120) >= 80
    division = [Division(np.flatnonzero(val), np.flatnonzero(val))]
    _, held = choose(features, labels, None, ~val, division, value=0.1)
    condition = fit_condition("zscore", features[~val], (10,))
    fit = LogisticProbe(C=0.1).fit(condition.apply(features[~val]), labels[~val])
    assert_allclose(held.decisions, fit.decision_function(condition.apply(features[val])), rtol=1e-3, atol=3e-3)


@pytest.mark.parametrize(
    ("named", "error", "line"),
    [
        ({"C": 0.0}, ProbeError, "C is 0: the inverse regularisation strength must be a positive number"),
        ({"C": -1.0}, ProbeError, "C is -1: .* must be a positive number"),
        ({"C": float("nan")}, ProbeError, "C is nan: .* must be a positive number"),
        ({"probe": "knn", "C": 1.0}, UsageError, "--C 1: probe knn has no C, it has k"),
        ({"k": 3}, UsageError, "--k 3: probe logistic has no k, it has C"),
        ({"probe": "knn", "k": 0}, ProbeError, "k is 0: the number of neighbours must be a whole number from 1"),
        ({"probe": "prototype", "C": 1.0}, UsageError, "--C 1: probe prototype has no C, it has nothing to choose"),
        ({"criterion": "auroc"}, UnknownNameError, "criterion 'auroc'.*'auc'"),
        ({"condition": "zsocre"}, UnknownNameError, "'zscore'"),
        ({"probe": "logstic"}, UnknownNameError, "'logistic'"),
        ({"selection": "cross"}, UnknownNameError, "selection 'cross'"),
        ({"calibration": "plat"}, UnknownNameError, "'platt'"),
        ({"shots": 0}, UsageError, "--shots 0"),
        ({"bootstrap": -1}, UsageError, "--bootstrap -1"),
        ({"selection": "val", "folds": 5}, UsageError, "out of fold there is none"),
    ],
)
def test_settings_that_mean_nothing_are_refused_in_one_line(named, error, line):
    with pytest.raises(error, match=line) as raised:
        TrialSettings(**named)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("probe", ["logistic", "svm", "ridge"])
def test_what_a_sweep_fits_in_the_end_is_what_a_fit_gives(probe):
    features, labels, _ = samples()
    divisions = divisions_of(np.arange(120) // 2)
    choice = Choice(probe, "zscore")
    made = select(choice, features, labels, np.ones(120, dtype=bool), divisions, widths=(10,), by=BY)
    condition, classifier = made.fit()
    expected, anew = fit_choice(made.selection, choice, features, labels, (10,))
    assert_allclose(classifier.decision_function(features), anew.decision_function(features), rtol=1e-6, atol=1e-8)
    assert_array_equal(condition.scale, expected.scale)


def test_a_sweep_that_saw_more_than_the_training_rows_fits_nothing():
    features, labels, folds = samples()
    held = np.flatnonzero(folds == 0)
    made = select(
        Choice("logistic", "zscore"),
        features,
        labels,
        folds != 0,
        [Division(held, held)],
        widths=(10,),
        by="the val split",
    )
    assert made.fit is None
