"""The network against its objective, scikit-learn's, and itself."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss, roc_auc_score

from probekit.errors import ProbeError
from probekit.probes.logistic import LogisticProbe
from probekit.probes.mlp import MLPProbe, _gradient


def crossed(seed, n=800, d=6):
    """Classes by the sign of a product: no line tells them apart."""
    features = np.random.default_rng(seed).normal(size=(n, d))
    return features, (features[:, 0] * features[:, 1] > 0).astype(int)


def test_it_learns_what_no_linear_probe_can():
    features, labels = crossed(0)
    fresh, expected = crossed(1)
    assert roc_auc_score(expected, LogisticProbe().fit(features, labels).decision_function(fresh)) < 0.6
    assert roc_auc_score(expected, MLPProbe().fit(features, labels).decision_function(fresh)) > 0.95


def test_it_generalises_as_well_as_scikit_learns():
    from sklearn.neural_network import MLPClassifier

    features, labels = crossed(0)
    fresh, expected = crossed(1)
    # scikit-learn's penalty is alpha |W|² / 2n.
    theirs = MLPClassifier((256,), alpha=1e-3 * len(labels), max_iter=150, tol=0, n_iter_no_change=150, random_state=0)
    with pytest.warns(match="Maximum iterations"):
        theirs.fit(features, labels)
    ours = MLPProbe(weight_decay=1e-3).fit(features, labels)
    assert log_loss(expected, ours.predict_proba(fresh)) < log_loss(expected, theirs.predict_proba(fresh)) + 0.02


@pytest.mark.parametrize("classes", [2, 4])
def test_the_gradient_is_that_of_the_stated_objective(classes):
    generator = torch.Generator().manual_seed(0)
    n, d, h, k = 12, 5, 7, 1 if classes == 2 else classes
    x, numbers = torch.randn(n, d, dtype=torch.float64, generator=generator), torch.arange(n) % classes
    y = (numbers[:, None] == torch.arange(classes)).double()[:, -k:]
    shapes = [(d, h), (h,), (h, k), (k,)]
    parts = [torch.randn(shape, dtype=x.dtype, generator=generator).requires_grad_() for shape in shapes]
    logits = torch.relu(x @ parts[0] + parts[1]) @ parts[2] + parts[3]
    if classes == 2:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    penalty = (parts[0] ** 2).sum() + (parts[2] ** 2).sum()
    (torch.nn.functional.cross_entropy(logits, numbers) + 0.3 * penalty / 2).backward()
    with torch.no_grad():
        for part, slope in zip(parts, _gradient(x, y, parts, 0.3), strict=True):
            assert_allclose(slope, part.grad, rtol=1e-9, atol=1e-12)


def test_one_seed_gives_one_result_and_another_seed_another():
    features, labels = crossed(0, n=100)
    first, again, other = (MLPProbe(seed=seed).fit(features, labels).weights for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_it_neither_uses_nor_moves_the_global_random_state():
    features, labels = crossed(0, n=50)
    before = torch.random.get_rng_state()
    MLPProbe().fit(features, labels)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_number_of_threads_does_not_change_the_result():
    features, labels = crossed(0, n=400, d=40)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(MLPProbe().fit(features, labels).decision_function(features))
    finally:
        torch.set_num_threads(threads)
    assert_allclose(found[1], found[0], atol=5e-3 * np.ptp(found[0]))


def test_the_unit_of_the_features_does_not_matter():
    features, labels = crossed(0, n=100)
    plain = MLPProbe().fit(features, labels).decision_function(features)
    moved = MLPProbe().fit(features * 1e6 + 1e7, labels).decision_function(features * 1e6 + 1e7)
    assert_allclose(moved, plain, atol=1e-2 * np.ptp(plain))


def test_more_weight_decay_gives_smaller_weights():
    features, labels = crossed(0, n=100)
    found = [MLPProbe(weight_decay=value).fit(features, labels) for value in MLPProbe.grid]
    sizes = [np.sum(one.weights**2) + np.sum(one.hidden_weights**2) for one in found]
    assert (np.diff(sizes) > 0).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_decay": -1.0},
        {"weight_decay": np.nan},
        {"hidden": 0},
        {"hidden": 2.5},
        {"steps": 0},
        {"learning_rate": 0.0},
        {"seed": -1},
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(settings):
    with pytest.raises(ProbeError, match=next(iter(settings))):
        MLPProbe(**settings)
