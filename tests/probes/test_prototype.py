"""The nearest class mean against scikit-learn and the formula."""

import numpy as np
from numpy.testing import assert_allclose
from sklearn.neighbors import NearestCentroid

from probekit.probes.prototype import PrototypeProbe


def clouds(classes, n=60, d=5):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(n) % classes)
    return rng.normal(size=(n, d)) + np.eye(classes, d)[labels] + 2, labels


def squared_distances(features, labels):
    means = [features[labels == label].mean(axis=0) for label in np.unique(labels)]
    return np.stack([((features - mean) ** 2).sum(axis=1) for mean in means], axis=1)


def test_two_classes_are_told_apart_by_half_the_difference_of_the_squared_distances():
    features, labels = clouds(2)
    distances = squared_distances(features, labels)
    found = PrototypeProbe().fit(features, labels).decision_function(features)
    assert_allclose(found, (distances[:, 0] - distances[:, 1]) / 2, atol=1e-12)


def test_more_classes_are_ranked_by_distance():
    features, labels = clouds(4)
    found = PrototypeProbe().fit(features, labels)
    differences = np.diff(found.decision_function(features), axis=1)
    assert_allclose(differences, -np.diff(squared_distances(features, labels), axis=1) / 2, atol=1e-12)
    assert np.array_equal(found.predict(features), NearestCentroid().fit(features, labels).predict(features))


def test_features_far_from_zero_lose_no_digits():
    features, labels = clouds(2)
    near = PrototypeProbe().fit(features, labels).decision_function(features)
    moved = features + 1e6
    assert_allclose(PrototypeProbe().fit(moved, labels).decision_function(moved), near, atol=1e-6)
