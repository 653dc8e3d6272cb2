"""Separability: which generators a probe tells apart, against scikit-learn, and what cannot be told."""

import dataclasses
import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from probekit.comparison import SeparabilitySettings, separate
from probekit.errors import UsageError
from probekit.protocols import partitions
from probekit.trials import TrialSettings
from tests.trials.studies import chosen, study, where, with_blocks

QUICK = SeparabilitySettings(TrialSettings(probe="ridge", folds=5, bootstrap=0))


def pair(result, a, b):
    return result.pairs.query("a == @a and b == @b").iloc[0]


def test_the_auc_is_that_of_scikit_learns_ridge_out_of_fold():
    features = study(photos=30, strength=1.0)
    settings = SeparabilitySettings(TrialSettings(probe="ridge", C=0.01, folds=5, bootstrap=0))
    found = pair(separate(features, settings), "lama", "ldm")
    rows = where(features, generator=["lama", "ldm"])
    labels = where(features, generator="ldm").astype(int)
    wins = pairs = 0.0
    for part in partitions(features.samples, 5, 0):
        train, test = rows & part.train, rows & part.test
        scale = StandardScaler().fit(features.matrix[train].astype(float))
        ridge = Ridge(alpha=100).fit(scale.transform(features.matrix[train]), 2 * labels[train] - 1)
        scores = ridge.predict(scale.transform(features.matrix[test]))
        compared = np.sum(labels[test] == 0) * np.sum(labels[test] == 1)
        wins += compared * roc_auc_score(labels[test], scores)
        pairs += compared
    assert_allclose(found["auc"], wins / pairs, atol=1e-9)
    assert 0.6 < found["auc"] < 1


def test_noise_is_at_chance_and_a_trace_is_found():
    features = study(photos=60)
    noise = with_blocks(features, np.random.default_rng(0).normal(size=features.matrix.shape))
    settings = dataclasses.replace(QUICK, trial=dataclasses.replace(QUICK.trial, bootstrap=200))
    found = separate(noise, settings).pairs
    assert ((found["auc_lo"] < 0.55) & (found["auc_hi"] > 0.45)).all()
    assert (separate(features, settings).pairs["auc_lo"] > 0.9).all()


def test_the_split_is_used_where_no_folds_are_asked_for():
    settings = dataclasses.replace(QUICK, trial=dataclasses.replace(QUICK.trial, folds=0))
    result = separate(study(photos=60), settings)
    assert result.evaluation == "train → test split"
    assert (result.pairs["n_a"] == 12).all()


def test_a_generator_with_one_image_is_undefined_and_says_why():
    features = study(photos=20)
    rows = ~where(features, generator="ldm") | (features.samples["group"] == "photo0").to_numpy()
    result = separate(chosen(features, rows), QUICK)
    assert np.isnan(pair(result, "real", "ldm")["auc"])
    assert np.isfinite(pair(result, "real", "lama")["auc"])
    assert "real and ldm: ldm has too few groups to learn from and choose by, 2 are needed." in result.notes
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["pairs"][1]["auc"] is None


def test_real_images_of_other_domains_do_not_help():
    features = study(photos=20, domains=("celeba", "ffhq"))
    rows = ~(where(features, generator="ldm") & where(features, domain="celeba"))
    found = pair(separate(chosen(features, rows), QUICK), "real", "ldm")
    assert found[["n_a", "n_b", "n_groups"]].tolist() == [20, 20, 20]


def test_a_generator_without_real_images_of_its_domain_is_told_from_the_others_alone():
    features = study(photos=20, domains=("celeba", "ffhq"))
    rows = ~(where(features, generator="ldm") & where(features, domain="celeba"))
    rows &= ~(where(features, generator="real") & where(features, domain="ffhq"))
    result = separate(chosen(features, rows), QUICK)
    assert np.isnan(pair(result, "real", "ldm")["auc"])
    assert np.isfinite(pair(result, "lama", "ldm")["auc"])
    assert "real and ldm: there are no images of real in the domains of ldm." in result.notes


def test_the_matrix_is_symmetric_and_has_no_diagonal():
    found = separate(study(photos=20), QUICK).matrix()
    assert found.index.tolist() == ["real", "lama", "ldm"]
    assert np.isnan(np.diag(found)).all()
    assert_allclose(found, found.T)


def test_progress_counts_pairs():
    told = []
    separate(study(photos=20), QUICK, on_progress=lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_videos_are_refused():
    settings = SeparabilitySettings(TrialSettings(probe="ridge", folds=5, aggregate="mean"))
    with pytest.raises(UsageError, match="asked of images"):
        separate(study(photos=20), settings)
