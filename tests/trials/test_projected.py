"""A projection between condition and probe: learned from training samples alone, inside every fold, and recorded."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

from probekit import metrics, projections
from probekit.attribution import AttributionSettings, attribute
from probekit.errors import ProbeError, UnknownNameError, UsageError
from probekit.pairs import PairSettings, score_pairs
from probekit.probes import Division
from probekit.probes.conditions import CONDITIONS, Makers
from probekit.probes.selection import Choice, select
from probekit.projections.lda import LDA
from probekit.projections.supcon import SupCon
from probekit.projections.triplet import Triplet
from probekit.projections.whiten import Whiten
from probekit.trials import TrialSettings, remarks_on_probes
from tests.trials.studies import chosen, study, where, with_blocks, with_samples
from tests.trials.test_training import trial

EVERY = [LDA(), Whiten(dimension=6), SupCon(steps=20), Triplet(steps=20)]
NAMES = ("lama", "ldm", "repaint")


def discriminants(z, classes, shrinkage=0.1):
    """Shift and axes of LDA from its definition, as a generalised eigenvalue problem in float64."""
    names = np.unique(classes)
    mean, d = z.mean(axis=0), z.shape[1]
    centred = z - np.stack([z[classes == name].mean(axis=0) for name in classes])
    within = centred.T @ centred / len(z)
    between = np.cov(z.T, bias=True) - within
    shrunk = (1 - shrinkage) * within + shrinkage * np.trace(within) / d * np.eye(d)
    return mean, scipy.linalg.eigh(between, shrunk)[1][:, ::-1][:, : len(names) - 1]


def test_decisions_are_those_of_zscore_lda_and_logistic_by_hand():
    features = study(generators=NAMES)
    found = trial(features, TrialSettings(C=0.3, project="lda"), train="lama+ldm")
    train = where(features, generator=["real", "lama", "ldm"], split="train")
    x, own = features.matrix.astype(np.float64), features.samples.loc[train]
    z = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    shift, axes = discriminants(z[train], own["generator"].to_numpy())
    projected = (z - shift) @ axes
    peer = LogisticRegression(C=0.3, tol=1e-12, max_iter=1000).fit(projected[train], own["label"])
    test = where(features, split="test")
    assert_allclose(found.decisions[test], peer.decision_function(projected[test]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("project", ["lda", "whiten:5", "supcon:5", "triplet:5"])
def test_contrastive_rows_have_length_one_and_others_the_length_that_they_have(project):
    features = study()
    (probe,) = trial(features, TrialSettings(C=0.1, project=project)).probes
    lengths = np.linalg.norm(probe.condition.apply(features.matrix), axis=1)
    if project.startswith(("supcon", "triplet")):
        assert_allclose(lengths, 1.0, rtol=1e-12)
    else:
        assert lengths.std() > 0.1
    assert probe.condition.apply(features.matrix).shape[1] == (1 if project == "lda" else 5)


@pytest.mark.parametrize("project", ["lda", "whiten:5", "supcon:5", "triplet:5"])
def test_scores_of_test_samples_do_not_change_with_labels_and_features_of_the_test_split(project):
    features = study(generators=NAMES)
    test = where(features, split="test")
    settings = TrialSettings(C=0.1, project=project)
    before = trial(features, settings, train="lama+ldm").decisions
    samples = features.samples
    mixed = samples.loc[test, ["generator", "label"]].sample(frac=1, random_state=0).to_numpy()
    generator, label = samples["generator"].to_numpy(copy=True), samples["label"].to_numpy(copy=True)
    generator[test], label[test] = mixed[:, 0], mixed[:, 1].astype(int)
    relabelled = trial(with_samples(features, generator=generator, label=label), settings, train="lama+ldm").decisions
    assert_array_equal(relabelled, before)
    some = test & (np.arange(len(samples)) % 2 == 0)
    moved = np.where(some[:, None], 1e3, features.matrix)
    after = trial(with_blocks(features, moved), settings, train="lama+ldm").decisions
    assert_array_equal(after[test & ~some], before[test & ~some])
    trained = where(features, split="train", generator=["real", "lama", "ldm"])
    swapped = np.where(trained & (label == 1), np.where(generator == "lama", "ldm", "lama"), samples["generator"])
    swapped = np.where(np.arange(len(swapped)) % 3 == 0, swapped, samples["generator"])  # some of the training labels
    taught = trial(with_samples(features, generator=swapped), settings, train="lama+ldm").decisions
    assert project.startswith("whiten") == np.array_equal(taught[test], before[test])  # which alone looks at no class


@pytest.mark.parametrize("probe", ["logistic", "ridge"])
@pytest.mark.parametrize("projection", EVERY, ids=lambda one: one.__class__.__name__)
def test_decisions_on_a_held_out_group_do_not_change_with_its_labels(projection, probe):
    """They would if the projection that they are made with had seen that group."""
    features = study(generators=NAMES, photos=20)
    samples = features.samples
    folds = samples["group"].str.removeprefix("photo").astype(int).to_numpy() % 5
    divisions = [Division(test, test) for test in (np.flatnonzero(folds == fold) for fold in range(5))]
    choice = Choice(probe, "zscore", value=0.1, projection=projection)
    learned = np.ones(len(samples), dtype=bool)

    def held_out(makers):
        own = Makers(makers, samples["group"].to_numpy())
        labels = (makers != "real").astype(int)
        found = select(choice, features.matrix, labels, learned, divisions, widths=(12,), by="folds", makers=own)
        return found.held_out.decisions, found.held_out.rows

    before, rows = held_out(samples["generator"].to_numpy(dtype=object))
    makers = samples["generator"].to_numpy(dtype=object, copy=True)
    makers[folds == 0] = np.random.default_rng(0).permutation(makers[folds == 0])
    after, _ = held_out(makers)
    own = folds[rows] == 0
    assert_allclose(after[own], before[own], rtol=0, atol=1e-9 if probe == "ridge" else 0)
    assert np.abs(after[~own] - before[~own]).max() > 1e-3


@pytest.mark.parametrize("projection", [LDA(), Whiten()], ids=lambda one: one.__class__.__name__)
def test_of_mere_noise_held_out_losses_are_no_better_than_guessing(projection):
    """With fewer rows than columns a projection that had seen the held-out rows would tell them apart."""
    losses = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        features, labels = rng.normal(size=(60, 90)), np.arange(60) % 2
        folds = np.arange(60) // 2 % 5
        divisions = [Division(test, test) for test in (np.flatnonzero(folds == fold) for fold in range(5))]
        makers = Makers(np.where(labels == 0, "real", "lama").astype(object), np.arange(60).astype(str).astype(object))
        choice = Choice("logistic", "zscore", value=1.0, criterion="auc", projection=projection)
        learned = np.ones(60, dtype=bool)
        found = select(choice, features, labels, learned, divisions, widths=(90,), by="folds", makers=makers)
        losses.append(found.selection.loss)
    assert abs(np.mean(losses) - 0.5) < 0.1


@pytest.mark.parametrize("selection", ["val", "robust"])
def test_other_ways_to_hold_out_take_a_projection_too(selection):
    features = study(generators=NAMES)
    found = trial(features, TrialSettings(project="lda", selection=selection), train="lama+ldm")
    test = where(features, split="test", generator=["real", "lama", "ldm"])
    labels = features.samples["label"].to_numpy()[test]
    assert metrics.get("auc")(labels, found.decisions[test]) > 0.85


def test_any_condition_may_come_before_a_projection_and_best_chooses():
    features = study(strength=6.0)
    (probe,) = trial(features, TrialSettings(C=0.1, condition="best", project="whiten:4")).probes
    assert probe.condition.name in CONDITIONS
    assert probe.condition.projection.weights.shape[1] == 4


def test_its_classes_are_the_generators_learned_from_and_real_whatever_the_task():
    features = study(generators=NAMES)
    binary = score_pairs(features, PairSettings(train="lama+ldm", C=0.1, project="lda", bootstrap=0))
    assert binary.selection["project"] == "lda"
    (record,) = binary.selection["probes"]
    assert record["projection"]["classes"] == ["lama", "ldm", "real"]
    assert record["projection"]["n_rows"] == 3 * 36
    assert binary.to_json()["project"] == "lda"
    for task, classes in {"attribution": 4, "one-vs-real": 2, "one-vs-rest": 4}.items():
        result = attribute(features, AttributionSettings(task=task, C=0.1, project="lda", bootstrap=0))
        assert {len(probe["projection"]["classes"]) for probe in result.selection["probes"]} == {classes}
        assert result.to_json()["project"] == "lda"
        assert result.overall["acc"] > 0.6


def test_without_a_projection_nothing_is_said_of_one():
    result = score_pairs(study(), PairSettings(train="lama", C=0.1, bootstrap=0))
    assert result.to_json()["project"] is None
    assert "project" not in result.selection
    assert "projection" not in result.selection["probes"][0]


def test_one_seed_gives_one_result_and_seeds_reach_the_projection():
    features = study()
    one, again = (trial(features, TrialSettings(C=0.1, project="triplet:4")).decisions for _ in range(2))
    assert_array_equal(one, again)
    held = {TrialSettings(project="triplet", seed=seed).projection.seed for seed in (0, 1)}
    assert held == {0, 1}


def test_a_projection_that_is_not_known_to_have_converged_is_told():
    features = study(photos=20)
    one_group = with_samples(features, group="all")
    few = chosen(one_group, where(one_group, split="train"))
    (probe,) = trial(few, TrialSettings(C=0.1, project="triplet:2")).probes
    assert not probe.converged
    (line,) = remarks_on_probes({"lama": [probe]})
    assert line.startswith("trained on lama: 1 of 1 projections are not known to have converged")


@pytest.mark.parametrize(
    ("project", "error", "words"),
    [
        ("supcom", UnknownNameError, "Did you mean 'supcon'"),
        ("whiten:0", UsageError, "a number of columns from 1, as in whiten:64"),
        ("whiten:", UsageError, "a number of columns from 1"),
        ("lda:x", UsageError, "--project lda:x"),
    ],
)
def test_a_projection_that_means_nothing_is_refused_before_features_are_read(project, error, words):
    with pytest.raises(error, match=words):
        TrialSettings(project=project)


def test_columns_are_given_once():
    assert projections.parse("whiten:64").dimension == 64
    assert projections.parse("whiten", dimension=32).dimension == 32
    with pytest.raises(UsageError, match="give the number of columns once"):
        projections.parse("whiten:64", dimension=32)


def test_one_class_is_refused_in_one_line():
    features = study()
    alone = chosen(features, where(features, generator="lama"))
    with pytest.raises(ProbeError):
        trial(alone, TrialSettings(C=0.1, project="lda"))


def test_the_probe_decides_on_other_features_as_when_it_was_judged():
    features = study()
    found = trial(features, TrialSettings(C=0.1, project="supcon:4"))
    assert_array_equal(found.decide(features.matrix), found.decisions)
    assert dataclasses.replace(found).probabilistic
