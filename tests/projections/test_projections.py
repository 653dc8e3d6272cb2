"""Projections against scikit-learn, float64 formulas and planted directions."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from probekit import projections
from probekit.errors import ProbeError, UnknownNameError, UsageError
from probekit.projections.descent import _Adam
from probekit.projections.lda import LDA
from probekit.projections.supcon import SupCon
from probekit.projections.triplet import Triplet
from probekit.projections.whiten import Whiten

TRAINED = [SupCon(steps=150), Triplet(steps=400)]


def clouds(seed=0, n=240, d=12, classes=4, planted=0, spread=1.0):
    """Classes that differ by little; in the first `planted` columns if any, else in all."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, d))
    if planted:
        centres[:, planted:] = 0
    numbers = rng.integers(0, classes, n)
    features = centres[numbers] + spread * rng.normal(size=(n, d)) + 0.1
    groups = np.array([f"g{i}" for i in range(n)], dtype=object)
    return features, np.array([f"gen{i}" for i in numbers], dtype=object), groups


def quick(name, **settings):
    """The projection with few steps, if it takes steps."""
    made = projections.create(name, **settings)
    return replace(made, steps=30) if hasattr(made, "steps") else made


@pytest.mark.parametrize("name", projections.names())
def test_a_registered_projection_is_a_linear_map_with_a_record(name):
    features, classes, groups = clouds(n=120)
    before = features.copy()
    fitted = quick(name, dimension=3, seed=1).fit(features, classes, groups)
    assert_array_equal(features, before)
    assert fitted.weights.shape == (12, 3)
    assert fitted.record["kind"] == name
    assert (fitted.record["n_rows"], fitted.record["dimension"]) == (120, 3)
    assert fitted.record["classes"] == ["gen0", "gen1", "gen2", "gen3"]
    a, b = features[:1], features[1:2]
    middle = (fitted.apply(a) + fitted.apply(b)) / 2
    assert_allclose(fitted.apply((a + b) / 2), middle, atol=1e-9)


@pytest.mark.parametrize("name", projections.names())
def test_the_same_rows_give_the_same_map_whatever_their_unit(name):
    features, classes, groups = clouds(n=120)
    every = (features, features, 1e6 * features)
    one, again, scaled = (quick(name, seed=1).fit(rows, classes, groups) for rows in every)
    assert_array_equal(one.weights, again.weights)
    x, y = one.apply(features), scaled.apply(1e6 * features)
    cosines = np.sum(x * y, axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    assert cosines.min() > 0.99


@pytest.mark.parametrize(("n", "d"), [(300, 10), (8, 30)])
def test_whitening_without_shrinkage_gives_identity_covariance(n, d):
    features, classes, groups = clouds(n=n, d=d)
    projected = Whiten(shrinkage=0).fit(features, classes, groups).apply(features)
    rank = min(n - 1, d)
    assert_allclose(np.cov(projected[:, :rank].T, bias=True), np.eye(rank), atol=1e-8)
    assert_allclose(projected[:, rank:], 0, atol=1e-8)


def test_shrunk_whitening_follows_its_formula():
    features, classes, groups = clouds()
    projected = Whiten(shrinkage=0.3, dimension=5).fit(features, classes, groups).apply(features)
    values = np.linalg.eigvalsh(np.cov(features.T, bias=True))[::-1]
    assert_allclose(projected.var(axis=0), (values / (0.7 * values + 0.3 * values.mean()))[:5], rtol=1e-9)


def test_whitening_looks_at_no_class():
    features, classes, groups = clouds()
    one = np.array(["a"] * len(classes), dtype=object)
    assert_array_equal(Whiten().fit(features, one, groups).weights, Whiten().fit(features, classes, groups).weights)


def test_lda_without_shrinkage_spans_the_axes_of_scikit_learn():
    features, classes, groups = clouds()
    fitted = LDA(shrinkage=0).fit(features, classes, groups)
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(features, classes).transform(features)
    ours = fitted.apply(features)
    assert ours.shape == theirs.shape == (240, 3)
    for mine, other in zip(ours.T, theirs.T, strict=True):
        assert abs(np.corrcoef(mine, other)[0, 1]) > 1 - 1e-9


@pytest.mark.parametrize("d", [12, 400])
def test_shrunk_lda_solves_the_generalised_eigenvalue_problem(d):
    features, classes, groups = clouds(n=90, d=d)
    fitted = LDA(shrinkage=0.2).fit(features, classes, groups)
    names = np.unique(classes)
    means = np.stack([features[classes == name].mean(axis=0) for name in names])
    shares = np.array([np.mean(classes == name) for name in names])
    inner = features - means[np.searchsorted(names, classes)]
    within = inner.T @ inner / len(features)
    within = 0.8 * within + 0.2 * np.trace(within) / d * np.eye(d)
    between = (means - features.mean(axis=0)).T @ (shares[:, None] * (means - features.mean(axis=0)))
    values, vectors = scipy.linalg.eigh(between, within)
    W = fitted.weights
    assert_allclose(W.T @ within @ W, np.eye(3), atol=1e-7)
    assert_allclose(np.diag(W.T @ between @ W), values[::-1][:3], rtol=1e-6)
    assert_allclose(np.abs(np.sum(W * (within @ vectors[:, ::-1][:, :3]), axis=0)), 1, atol=1e-6)


def test_lda_survives_constant_and_repeated_columns():
    features, classes, groups = clouds()
    odd = np.hstack([features, features[:, :2], np.full((len(features), 2), 0.1)])
    for shrinkage in (0.0, 0.1):
        projected = LDA(shrinkage=shrinkage).fit(odd, classes, groups).apply(odd)
        assert np.isfinite(projected).all()
    plain = LDA(shrinkage=0).fit(features, classes, groups).apply(features)
    assert_allclose(np.abs(LDA(shrinkage=0).fit(odd, classes, groups).apply(odd)), np.abs(plain), atol=1e-6)


def unit(seed, n, d=3):
    z = np.random.default_rng(seed).normal(size=(n, d))
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def supcon_reference(z, classes, temperature):
    losses = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if classes[p] == classes[i]]
        if positives:
            total = sum(np.exp(z[i] @ z[a] / temperature) for a in others)
            losses.append(-np.mean([np.log(np.exp(z[i] @ z[p] / temperature) / total) for p in positives]))
    return np.mean(losses) if losses else 0.0


def triplet_reference(z, classes, margin):
    losses = []
    for i in range(len(z)):
        same = [np.linalg.norm(z[i] - z[p]) for p in range(len(z)) if p != i and classes[p] == classes[i]]
        other = [np.linalg.norm(z[i] - z[n]) for n in range(len(z)) if classes[n] != classes[i]]
        if same and other:
            losses.append(max(0.0, margin + max(same) - min(other)))
    return np.mean(losses) if losses else 0.0


LABELS = [[0, 0, 1, 1, 2, 2, 2, 0], [0, 1, 1, 2, 3, 4, 5, 6], [0] * 8, list(range(8))]


@pytest.mark.parametrize("classes", LABELS)
@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_supcon_loss_is_the_papers(classes, temperature):
    z = unit(0, 8)
    found = SupCon(temperature=temperature).loss(torch.tensor(z), torch.tensor(classes))
    assert_allclose(float(found), supcon_reference(z, classes, temperature), rtol=1e-9)


@pytest.mark.parametrize("classes", LABELS)
@pytest.mark.parametrize("margin", [0.1, 0.2, 1.0])
def test_triplet_loss_is_the_papers(classes, margin):
    z = unit(1, 8)
    found = Triplet(margin=margin).loss(torch.tensor(z), torch.tensor(classes))
    assert_allclose(float(found), triplet_reference(z, classes, margin), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("projection", TRAINED, ids=lambda p: p.kind)
def test_the_gradient_stays_finite_where_rows_coincide(projection):
    z = torch.tensor(np.repeat(unit(2, 2), 3, axis=0), requires_grad=True)
    projection.loss(z, torch.tensor([0, 0, 1, 1, 1, 0])).backward()
    assert bool(torch.isfinite(z.grad).all())


@pytest.mark.parametrize("projection", TRAINED, ids=lambda p: p.kind)
def test_training_finds_planted_directions_among_louder_noise(projection):
    features, classes, groups = clouds(n=400, d=10, planted=3, spread=0.4)
    features[:, 3:] *= 5
    test, truth, _ = clouds(n=400, d=10, planted=3, spread=0.4)
    test[:, 3:] *= 5
    learned, held = slice(0, 300), slice(300, 400)
    fitted = projection.fit(features[learned], classes[learned], groups[learned])
    raw, projected = (rank1(x, truth, learned, held) for x in (test - test.mean(axis=0), fitted.apply(test)))
    assert raw < 0.6
    assert projected > raw + 0.2
    assert fitted.record["held_out_loss"] < fitted.record["held_out_loss_first"]


def rank1(x, classes, gallery, queries):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    nearest = (x[queries] @ x[gallery].T).argmax(axis=1)
    return np.mean(classes[gallery][nearest] == classes[queries])


@pytest.mark.parametrize("projection", TRAINED, ids=lambda p: p.kind)
def test_training_stops_early_on_groups_that_are_held_out_and_says_so(projection):
    features, classes, groups = clouds(n=200, spread=6.0)
    record = projection.__class__(steps=1000, patience=2).fit(features, classes, groups).record
    assert record["converged"]
    assert record["steps_taken"] < 1000
    assert record["n_held_out"] == 40
    assert record["best_step"] == record["steps_taken"] - 2 * record["check"]
    short = projection.__class__(steps=3, check=1).fit(features, classes, groups).record
    assert not short["converged"]


def test_without_groups_to_hold_out_training_ends_at_the_limit_and_is_not_called_converged():
    features, classes, _ = clouds(n=60)
    record = SupCon(steps=7).fit(features, classes, np.array(["one"] * 60, dtype=object)).record
    assert (record["converged"], record["steps_taken"], record["n_held_out"]) == (False, 7, 0)
    assert record["held_out_loss"] is None


def test_a_batch_holds_equally_many_rows_of_every_class_and_never_held_out_ones():
    classes = np.repeat([0, 1, 2], [500, 30, 4])
    rows = np.arange(0, 534, 1)[classes.argsort(kind="stable")]
    batch = Triplet(batch=72)._batch(classes, rows[rows % 2 == 0], np.random.default_rng(0))
    assert (batch % 2 == 0).all()
    assert np.bincount(classes[batch]).tolist() == [24, 15, 2]
    assert len(np.unique(batch)) == len(batch)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: projections.create("ldaa"), UnknownNameError, "Did you mean 'lda'"),
        (lambda: projections.create("lda", dimension=0), UsageError, "at least 1 column"),
        (lambda: Whiten(shrinkage=1.5), UsageError, "from 0 to 1"),
        (lambda: SupCon(temperature=0), UsageError, "temperature"),
        (lambda: Triplet(margin=-1), UsageError, "margin"),
        (lambda: SupCon(steps=0), UsageError, "steps is 0"),
        (lambda: Triplet(learning_rate=0.0), UsageError, "learning rate"),
    ],
)
def test_settings_that_cannot_be_say_why(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("name", ["lda", "supcon", "triplet"])
def test_one_class_cannot_be_told_apart(name):
    features, _, groups = clouds(n=20)
    with pytest.raises(ProbeError, match=f"^{name} needs .* at least 2 classes .* there are gen0"):
        projections.create(name).fit(features, np.array(["gen0"] * 20, dtype=object), groups)


@pytest.mark.parametrize("name", ["whiten", "supcon", "triplet"])
def test_rows_that_are_all_alike_are_refused(name):
    same = np.full((20, 5), 0.1) * 1e6
    classes = np.array(["a", "b"] * 10, dtype=object)
    with pytest.raises(ProbeError, match="all alike"):
        projections.create(name).fit(same, classes, np.arange(20).astype(object))


def test_classes_that_do_not_vary_are_refused_by_lda():
    features = np.repeat(np.eye(3), 5, axis=0) * 0.1
    with pytest.raises(ProbeError, match="all alike"):
        LDA().fit(features, np.repeat(["a", "b", "c"], 5).astype(object), np.arange(15).astype(object))


def test_steps_are_those_of_adam_as_it_was_published():
    slopes = np.random.default_rng(0).normal(size=(20, 4, 3))
    ours, theirs = torch.ones((4, 3), dtype=torch.float64, requires_grad=True), np.ones((4, 3))
    adam, mean, square = _Adam(ours, 0.01), np.zeros((4, 3)), np.zeros((4, 3))
    for step, slope in enumerate(slopes, start=1):
        adam.step(torch.tensor(slope))
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        theirs = theirs - 0.01 * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    assert_allclose(ours.detach(), theirs, rtol=1e-12)
