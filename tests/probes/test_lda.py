"""Linear discriminant analysis against scikit-learn and the formula."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from probekit.errors import ProbeError
from probekit.probes.lda import LDAProbe


def clouds(n=90, d=7, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.integers(classes + 1, size=n), classes - 1)  # the last class is larger
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 + np.eye(classes, d)[labels], labels


@pytest.mark.parametrize("shrinkage", [1e-3, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(("n", "d"), [(90, 7), (30, 60)])
def test_decisions_are_those_of_scikit_learn(n, d, classes, shrinkage):
    features, labels = clouds(n, d, classes)
    fresh, _ = clouds(20, d, classes, seed=1)
    ours = LDAProbe(shrinkage=shrinkage).fit(features, labels)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(features, labels)
    found, expected = ours.decision_function(fresh), theirs.decision_function(fresh)
    if classes > 2:  # logits are only defined up to what they share
        found, expected = (logits - logits.mean(axis=1)[:, None] for logits in (found, expected))
    assert_allclose(found, expected, rtol=1e-7, atol=1e-8)
    assert_allclose(ours.predict_proba(fresh), theirs.predict_proba(fresh), atol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(90, 7), (30, 60)])
def test_without_shrinkage_the_covariance_is_pseudo_inverted(n, d):
    features, labels = clouds(n, d, 2)
    means = np.stack([features[labels == label].mean(axis=0) for label in (0, 1)])
    centred = features - means[labels]
    precision = np.linalg.pinv(centred.T @ centred / n, rcond=1e-10, hermitian=True)
    weights = precision @ (means[1] - means[0])
    bias = -(means[1] + means[0]) @ weights / 2 + np.log(np.mean(labels) / np.mean(1 - labels))
    found = LDAProbe(shrinkage=0.0).fit(features, labels)
    assert_allclose(found.weights[:, 0], weights, rtol=1e-6, atol=1e-8)
    assert_allclose(found.bias[0], bias, rtol=1e-6)


def test_features_far_from_zero_lose_no_digits():
    features, labels = clouds(classes=2)
    near = LDAProbe().fit(features, labels).decision_function(features)
    moved = (features + 1e6).round(6)
    assert_allclose(LDAProbe().fit(moved, labels).decision_function(moved), near, atol=1e-4)


@pytest.mark.parametrize("shrinkage", [-0.1, 1.1, np.nan])
def test_a_shrinkage_beyond_0_to_1_is_refused(shrinkage):
    with pytest.raises(ProbeError, match="from 0 to 1"):
        LDAProbe(shrinkage=shrinkage)


@pytest.mark.parametrize("spread", [1, 20])
def test_classes_without_variation_are_refused(spread):
    labels = np.repeat([0, 1], spread)
    with pytest.raises(ProbeError, match="no variation"):
        LDAProbe().fit(np.array([[0.1, 0.2, 0.7], [0.3, 0.9, 0.1]])[labels], labels)
