"""Candidates for wrong labels: planted ones come first, and where classes are confused nobody is accused."""

import numpy as np

from probekit.audit import AuditSettings
from probekit.audit.label_noise import confident_labels, label_noise
from tests.trials.studies import feature_set, study


def test_thresholds_are_what_a_class_gets_on_average():
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])
    confident, thresholds = confident_labels(np.array([0, 0, 1, 1]), p)
    np.testing.assert_allclose(thresholds, [0.8, 0.6])
    assert confident.tolist() == [0, -1, 1, -1]


def test_of_several_thresholds_reached_the_most_probable_class_counts():
    p = np.array([[0.3, 0.45, 0.25], [0.3, 0.3, 0.4], [0.34, 0.33, 0.33]])
    confident, _ = confident_labels(np.array([0, 1, 2]), p)
    assert confident.tolist() == [1, 2, 0]


def test_planted_wrong_labels_come_first():
    features = study(photos=100, strength=8.0, generators=("lama",))
    samples = features.samples.copy()
    wrong = [3, 40, 77, 120]
    samples.loc[wrong, "label"] = 1 - samples.loc[wrong, "label"]
    samples.loc[wrong, "generator"] = np.where(samples.loc[wrong, "label"] == 1, "lama", "real")
    found = label_noise(feature_set(samples, features.matrix), AuditSettings())
    assert sorted(found.candidates["row"].head(4)) == wrong
    assert found.candidates["other_label"].head(4).all()
    assert found.candidates["trusted"].head(4).all()
    assert found.candidates["p_given"].is_monotonic_increasing
    assert found.to_json()["candidates"] == len(found.candidates)


def test_candidates_in_an_archive_are_named_by_their_members():
    features = study(photos=100, strength=0.0, alike=False)
    samples = features.samples.assign(path="a.zip", member=features.samples["path"])
    found = label_noise(feature_set(samples, features.matrix), AuditSettings()).candidates
    assert len(found) > 0
    assert found["path"].tolist() == ("a.zip member=" + samples["member"].iloc[found["row"]]).tolist()


def test_right_labels_of_classes_that_lie_apart_give_hardly_a_candidate():
    found = label_noise(study(photos=100, strength=8.0), AuditSettings())
    assert len(found.candidates) <= 2
    assert (found.classes["recall"] > 0.95).all()
    assert found.classes["n"].sum() == 300


def test_where_the_probe_guesses_no_candidate_is_trusted():
    found = label_noise(study(photos=100, strength=0.0, alike=False), AuditSettings())
    assert len(found.candidates) > 0
    assert not found.candidates["trusted"].any()
