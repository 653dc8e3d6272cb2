"""Shortcuts: what files give away is measured, beside the features; what they do not is left alone."""

import numpy as np
import pandas as pd
import pytest

from probekit.audit import AuditSettings, align, audit, find_shortcuts
from probekit.audit.forest import forest_trials
from probekit.audit.matching import cells, matched_rows
from probekit.audit.properties import PROPERTIES
from probekit.audit.shortcuts import ALL_SAMPLES, MATCHED, _matched
from probekit.audit.study import ATTRIBUTION, Study
from probekit.protocols import partitions
from probekit.trials import TrainingSet
from tests.audit.pictures import data_set, files_of
from tests.trials.studies import feature_set, study

QUICK = AuditSettings(bootstrap=200, trees=20, trees_alone=5)


def with_files(samples, **columns):
    """The samples with properties that are the same for all, but for the columns."""
    plain = {"format": "JPEG", "tables": "standard", "subsampling": "4:2:0", "progressive": False, "exif": False,
             "icc": False, "quality": 90.0, "quantiser": 5.0, "width": 64, "height": 64, "bytes": 4096,
             "bits_per_pixel": 8.0}  # fmt: skip
    return samples.assign(**(plain | columns))[[*samples.columns, *PROPERTIES]]


def diagonal(found, over=ALL_SAMPLES, by="file properties"):
    own = found.pairs[(found.pairs["over"] == over) & (found.pairs["by"] == by)]
    return own[own["train"] == own["test"]].set_index("train")["auc"]


def test_files_that_are_all_alike_say_nothing_exactly():
    features = study()
    found = find_shortcuts(with_files(features.samples), QUICK)
    assert (found.pairs["auc"] == 0.5).all()
    everything = found.attribution[found.attribution["over"] == ALL_SAMPLES].iloc[0]
    assert everything["balanced_acc"] == pytest.approx(1 / 3)
    assert set(found.alone["value"].round(9)) == {0.5, round(1 / 3, 9)}


def test_a_quality_that_follows_the_class_gives_it_away_and_is_named():
    features = study()
    quality = np.where(features.samples["generator"] == "lama", 75.0, 95.0)
    found = find_shortcuts(with_files(features.samples, quality=quality), QUICK)
    assert diagonal(found)["lama"] == 1.0
    assert diagonal(found)["ldm"] == 0.5
    alone = found.alone.set_index(["properties", "question"])["value"]
    assert alone["quality", "lama"] == 1.0
    assert alone["dimensions", "lama"] == 0.5
    assert found.pairs.loc[found.pairs["train"] == "lama", "auc_lo"].max() == 1.0


def test_noise_in_the_bytes_is_no_shortcut_out_of_fold():
    features = study(photos=80)
    size = np.random.default_rng(1).integers(1000, 9000, len(features.samples))
    found = find_shortcuts(with_files(features.samples, bytes=size), AuditSettings(folds=4, bootstrap=200, trees=20))
    rows = found.pairs[(found.pairs["train"] == found.pairs["test"]) & (found.pairs["over"] == ALL_SAMPLES)]
    assert ((rows["auc_lo"] < 0.55) & (rows["auc_hi"] > 0.45)).all()


def test_the_probe_stands_beside_with_its_gain_under_the_same_draws():
    features = study(strength=6.0)
    samples = with_files(features.samples, bytes=np.arange(len(features.samples)) % 7 + 1000)
    has = np.ones(len(samples), dtype=bool)
    found = find_shortcuts(samples, QUICK, [(align(features, samples)[0], has)])
    beside = found.pairs[(found.pairs["by"] == features.name) & (found.pairs["over"] == ALL_SAMPLES)]
    own = beside[beside["train"] == beside["test"]].set_index("train")
    assert (own["auc"] > 0.9).all()
    expected = own["auc"] - diagonal(found)
    np.testing.assert_allclose(own["gain"], expected.loc[own.index], atol=1e-12)
    assert (own["gain_lo"] <= own["gain"]).all()
    assert (own["gain_hi"] >= own["gain"]).all()


def test_the_same_probe_says_here_what_the_pair_matrix_says():
    from probekit.pairs import PairSettings, score_pairs

    features = study()
    samples = with_files(features.samples)
    settings = AuditSettings(bootstrap=100, trees=5, trees_alone=2)
    found = find_shortcuts(samples, settings, [(align(features, samples)[0], np.ones(len(samples), dtype=bool))])
    ours = found.pairs[(found.pairs["by"] == features.name) & (found.pairs["over"] == ALL_SAMPLES)]
    theirs = score_pairs(features, PairSettings(bootstrap=100)).pairs
    for column in ("auc", "auc_lo", "auc_hi", "n_real", "n_fake", "balanced_acc"):
        np.testing.assert_allclose(ours[column].to_numpy(float), theirs[column].to_numpy(float), atol=1e-12)


def test_features_of_fewer_samples_are_compared_with_the_properties_of_those():
    features = study()
    samples = with_files(features.samples, bytes=np.arange(len(features.samples)) % 11 + 1000)
    fewer = feature_set(features.samples.iloc[5:].reset_index(drop=True), features.matrix[5:])
    aligned, has = align(fewer, samples)
    assert has.sum() == len(samples) - 5
    pd.testing.assert_series_equal(aligned.samples["path"], fewer.samples["path"])
    found = find_shortcuts(samples, QUICK, [(aligned, has)])
    beside = found.pairs[(found.pairs["by"] == fewer.name) & (found.pairs["over"] == ALL_SAMPLES)]
    own = find_shortcuts(samples[has].reset_index(drop=True), QUICK)
    rows = beside[beside["train"] == beside["test"]].set_index("train")
    np.testing.assert_allclose(rows["auc"] - rows["gain"], diagonal(own), atol=1e-12)


def test_features_are_joined_by_identity_whatever_their_order():
    features = study()
    samples = with_files(features.samples)
    order = np.random.default_rng(0).permutation(len(samples))
    shuffled = feature_set(features.samples.iloc[order].reset_index(drop=True), features.matrix[order])
    np.testing.assert_array_equal(align(shuffled, samples)[0].matrix, features.matrix)


@pytest.mark.parametrize("name", ["path", "member"])
def test_the_matched_subset_does_not_depend_on_the_order_of_the_manifest(name):
    samples = study().samples
    samples = samples[(samples["generator"] == "real") | (np.arange(len(samples)) % 2 == 0)].reset_index(drop=True)
    if name == "member":
        samples = samples.assign(member=samples["path"], path="a.zip")

    def drawn(table):
        properties = with_files(table)[[*PROPERTIES]]
        matched = _matched(Study.of(table, QUICK), properties)["lama"]
        return set(table.loc[matched, name])

    assert 0 < len(drawn(samples)) < len(samples)
    assert drawn(samples) == drawn(samples[::-1].reset_index(drop=True))


def test_matched_samples_have_the_same_properties_cell_by_cell_and_split_by_split():
    rng = np.random.default_rng(0)
    n = 400
    properties = with_files(
        pd.DataFrame({"path": [str(i) for i in range(n)]}), bytes=rng.choice([1000, 2000, 4000], n),
        exif=rng.random(n) < 0.4,
    )  # fmt: skip
    classes = rng.integers(0, 3, n)
    split = np.where(np.arange(n) % 4 == 0, "test", "train")
    cell = cells(properties)
    rows = rng.random(n) < 0.9
    kept = matched_rows(cell, classes, rows, split, properties["path"].tolist(), seed=0)
    assert not (kept & ~rows).any()
    counts = pd.DataFrame({"cell": cell, "split": split, "class": classes})[kept].value_counts().unstack(fill_value=0)
    assert (counts.nunique(axis=1) == 1).all()
    whole = pd.DataFrame({"cell": cell, "split": split, "class": classes})[rows].value_counts().unstack(fill_value=0)
    assert kept.sum() == 3 * whole.min(axis=1).sum() > 100


def test_who_is_matched_does_not_depend_on_the_order_of_the_rows():
    rng = np.random.default_rng(3)
    names = [f"{i}.jpg" for i in range(60)]
    classes, cell = rng.integers(0, 2, 60), rng.integers(0, 3, 60)
    every, none = np.ones(60, dtype=bool), np.zeros(60)
    kept = matched_rows(cell, classes, every, none, names, 0)
    order = rng.permutation(60)
    again = matched_rows(cell[order], classes[order], every, none, [names[i] for i in order], 0)
    assert {names[i] for i in np.flatnonzero(kept)} == {names[order[i]] for i in np.flatnonzero(again)}
    other = matched_rows(cell, classes, every, none, names, 1)
    assert kept.sum() == other.sum()
    assert (kept != other).any()


def test_a_matched_subset_takes_the_shortcut_away():
    features = study(photos=200, generators=("lama",))
    fake = (features.samples["generator"] == "lama").to_numpy()
    rng = np.random.default_rng(0)
    exif = np.where(fake, rng.random(len(fake)) < 0.2, rng.random(len(fake)) < 0.9)
    found = find_shortcuts(with_files(features.samples, exif=exif), QUICK)
    assert diagonal(found)["lama"] > 0.75
    assert diagonal(found, MATCHED)["lama"] == pytest.approx(0.5, abs=1e-9)
    left = found.matching.set_index(["question", "class"])["matched"]
    assert left["lama", "real"] == left["lama", "lama"] > 40
    assert found.matching["asked"].all()


def test_classes_without_a_common_cell_cannot_be_matched_and_say_so(tmp_path):
    table = data_set(tmp_path, 40, size={"lama": (40, 40)})
    result = audit(files_of(tmp_path, table, tmp_path / "cache"), QUICK)
    assert result.shortcuts is not None
    assert not result.shortcuts.matching["asked"].any()
    assert result.shortcuts.matching["matched"].sum() == 0
    assert any("lama cannot be matched" in finding.sentence for finding in result.findings)


def test_a_size_that_gives_a_class_away_is_a_bad_finding_with_its_name(tmp_path):
    table = data_set(tmp_path, 60, size={"lama": (40, 40)}, quality={"lama": 80})
    result = audit(files_of(tmp_path, table, tmp_path / "cache"), QUICK)
    worst = next(finding for finding in result.findings if finding.topic == "shortcuts")
    assert worst.severity == "bad"
    assert "tell lama from real: AUC 1.000" in worst.sentence
    assert "quality 1.000" in worst.sentence
    assert worst.numbers["auc_ci"] == [1.0, 1.0]


def test_clean_files_of_one_kind_have_no_shortcut(tmp_path):
    table = data_set(tmp_path, 60)
    result = audit(files_of(tmp_path, table, tmp_path / "cache"), QUICK)
    assert {finding.severity for finding in result.findings if finding.topic == "shortcuts"} == {"good"}
    alone = result.shortcuts.alone.set_index(["properties", "question"])["value"]
    assert alone["dimensions and header", "lama"] == 0.5


def test_forests_learn_only_from_their_training_samples():
    features = study(generators=("lama",))
    samples = with_files(features.samples)
    label = samples["label"].to_numpy()
    test = (samples["split"] == "test").to_numpy()
    column = np.where(test, 1 - label, label).astype(np.float32)[:, None]  # inverted among the test samples
    every = np.ones(len(samples), dtype=bool)
    asked = [TrainingSet("lama", label, every)]
    found = forest_trials(asked, column, samples, partitions(samples, 0, 0), every, QUICK)["lama"]
    assert np.isnan(found.decisions[~test]).all()
    assert ((found.decisions[test] > 0) == (label[test] == 0)).all()
    assert not found.leaked.any()


def test_a_group_that_was_learned_from_is_marked():
    features = study(generators=("lama",))
    samples = with_files(features.samples.assign(group="one"))
    every = np.ones(len(samples), dtype=bool)
    asked = [TrainingSet("lama", samples["label"].to_numpy(), every)]
    found = forest_trials(
        asked, np.zeros((len(samples), 1), np.float32), samples, partitions(samples, 0, 0), every, QUICK
    )
    np.testing.assert_array_equal(found["lama"].leaked, samples["split"] == "test")


def test_one_generator_has_no_attribution_and_none_at_all_no_study(tmp_path):
    samples = with_files(study(generators=("lama",)).samples)
    assert ATTRIBUTION not in Study.of(samples, QUICK).rows
    table = data_set(tmp_path, 10, generators=())
    result = audit(files_of(tmp_path, table, tmp_path / "cache"), QUICK)
    assert result.shortcuts is None
    assert any("no fake sample" in note for note in result.notes)


def test_the_faces_give_their_classes_away_by_their_files(shared_data, tmp_path):
    folder = shared_data / "images" / "faces"
    classes = {"fake_gan_celeba128": "gan128", "fake_studio_gan256": "gan256", "edited_photoshop": "edited",
               "real_celeba": "real", "real_portrait": "real"}  # fmt: skip
    rows = [
        (str(path), int(name != "real"), name, str(path))
        for kind, name in classes.items()
        for path in sorted((folder / kind).iterdir())[:100]
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "generator", "group"])
    table["split"] = [("train", "train", "train", "val", "test")[i % 5] for i in range(len(table))]
    result = audit(files_of(tmp_path, table, tmp_path / "cache"), AuditSettings(bootstrap=0, trees=50, trees_alone=10))
    assert result.verdict == "bad"
    everything = result.shortcuts.attribution.iloc[0]
    assert 0.8 < everything["balanced_acc"] <= 1
    assert (diagonal(result.shortcuts) > 0.8).all()
