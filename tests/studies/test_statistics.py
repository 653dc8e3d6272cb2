"""Statistics under drawings of groups, compared with the same numbers of samples that are really repeated."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from probekit.metrics.curves import eer
from probekit.studies.evidence import Cell
from probekit.studies.statistics import draws_of, enough, names_of, replicated, value


def cell(seed: int, n: int = 60, groups: int = 12, folds: int = 1, name: str = "a → b") -> Cell:
    """Scores with many ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    values = np.round(rng.normal(size=n) + 0.7 * labels, 1)
    places = rng.integers(groups, size=n)
    return Cell(name, [f"g{place}" for place in places], places % folds, labels, values, scored=True)


def repeated(one: Cell, counts: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores with each sample as often as its group was drawn."""
    times = [counts[group] for group in one.groups]
    return np.repeat(one.labels, times), np.repeat(one.values, times)


REFERENCES = {
    "auc": roc_auc_score,
    "acc": lambda labels, scores: float(np.mean((scores > 0) == (labels == 1))),
    "balanced_acc": lambda labels, scores: balanced_accuracy_score(labels, scores > 0),
    "eer": eer,
}


@pytest.mark.parametrize("metric", sorted(REFERENCES))
def test_a_drawing_of_groups_is_what_repeated_samples_give(metric):
    one = cell(0)
    numbers = names_of([[one]])
    counts = draws_of([[one]], 40, seed=1).counts
    found = replicated([one], metric, "mean", counts, numbers)
    for row, number in zip(counts, found, strict=True):
        labels, scores = repeated(one, dict(zip(numbers, row, strict=True)))
        assert_allclose(number, REFERENCES[metric](labels, scores), rtol=1e-9)


@pytest.mark.parametrize("reduce", ["mean", "sd", "min", "max"])
def test_values_of_cells_become_one(reduce):
    cells = [cell(seed) for seed in range(5)]
    each = [roc_auc_score(one.labels, one.values) for one in cells]
    expected = {"mean": np.mean, "sd": np.std, "min": np.min, "max": np.max}[reduce](each)
    assert_allclose(value(cells, "auc", reduce), expected, rtol=1e-12)


def test_scores_of_different_folds_are_not_compared():
    one = cell(3, folds=2)
    shifted = Cell(one.name, one.groups, one.part, one.labels, one.values + 10.0 * one.part, scored=True)
    assert value([one], "auc", "mean") == value([shifted], "auc", "mean")
    assert value([one], "auc", "mean") != roc_auc_score(shifted.labels, shifted.values)


def test_the_order_of_the_samples_means_nothing():
    one = cell(4)
    order = np.random.default_rng(0).permutation(len(one.labels))
    other = Cell(one.name, [one.groups[i] for i in order], one.part[order], one.labels[order], one.values[order], True)
    counts = draws_of([[one]], 50, seed=0).counts
    for metric in REFERENCES:
        a, b = (replicated([side], metric, "mean", counts, names_of([[side]])) for side in (one, other))
        assert_allclose(a, b, rtol=1e-12)


def test_a_mean_over_right_and_wrong_answers_is_balanced_over_classes():
    classes = np.array([0, 0, 0, 1, 1, 2])
    right = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    one = Cell("three classes", ["a", "b", "c", "d", "e", "f"], np.zeros(6, dtype=int), classes, right, scored=False)
    assert_allclose(value([one], "balanced_acc", "mean"), (2 / 3 + 1 / 2 + 0) / 3)
    assert_allclose(value([one], "acc", "mean"), 3 / 6)


def test_few_groups_are_not_enough_for_an_interval():
    assert enough([cell(0, n=200, groups=12)], "auc")
    assert not enough([cell(0, n=200, groups=9)], "auc")
    assert not enough([cell(0, n=200, groups=12), cell(0, n=200, groups=9)], "auc")


def test_the_same_samples_on_both_sides_differ_by_nothing_in_every_drawing():
    one = cell(5)
    counts, numbers = draws_of([[one], [one]], 100, seed=0).counts, names_of([[one], [one]])
    a, b = (replicated([one], "auc", "mean", counts, numbers) for _ in range(2))
    assert np.array_equal(a, b)


def test_a_class_of_few_groups_is_not_weighed_like_the_others():
    groups = [f"g{number}" for number in range(12)] + ["alone"]
    classes = np.array([0] * 12 + [1])
    one = Cell("two classes", groups, np.zeros(13, dtype=int), classes, np.ones(13), scored=False)
    assert enough([one], "acc")
    assert not enough([one], "balanced_acc")
