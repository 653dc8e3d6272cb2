"""Leaks: what is planted on both sides is found, and nothing else is."""

import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probekit.audit import ALIKE, COPY, FEATURES, AuditSettings, audit
from probekit.audit.leaks import copies, divided_groups, pair_table, sides
from probekit.audit.near_duplicates import alike, near_in_features, standing_out
from probekit.audit.pictures import correlation, luminance, perceptual_hash
from tests.audit.pictures import data_set, drawn, files_of, jpeg, manifest_of, write
from tests.trials.studies import feature_set

QUICK = AuditSettings(bootstrap=0, trees=5, trees_alone=2)


def planted(table, path, label, generator, split, group):
    row = {"path": path, "label": label, "generator": generator, "split": split, "group": group}
    return pd.concat([table, pd.DataFrame([row])], ignore_index=True)


def leaks(result):
    return [finding for finding in result.findings if finding.topic == "leaks"]


def test_clean_data_is_quiet(tmp_path):
    files = files_of(tmp_path, data_set(tmp_path, 40), tmp_path / "cache")
    result = audit(files, QUICK)
    assert len(result.pairs) == len(result.groups) == 0
    assert [finding.severity for finding in leaks(result)] == ["good"]
    assert result.verdict != "bad"


def test_a_planted_duplicate_is_found_with_both_names(tmp_path):
    table = data_set(tmp_path)
    shutil.copy(tmp_path / "real/000.jpg", tmp_path / "real/copy.jpg")  # 000 is in train
    files = files_of(tmp_path, planted(table, "real/copy.jpg", 0, "real", "test", "other"), tmp_path / "cache")
    result = audit(files, QUICK)
    (pair,) = result.pairs.to_dict("records")
    assert (pair["kind"], pair["across"]) == (COPY, True)
    assert {pair["path_a"], pair["path_b"]} == {"real/000.jpg", "real/copy.jpg"}
    assert result.verdict == "bad"
    assert "real/copy.jpg" in leaks(result)[0].sentence


def test_a_pair_that_two_models_find_near_is_one_pair(tmp_path):
    table = data_set(tmp_path)
    files = files_of(tmp_path, table, tmp_path / "cache")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(table), 32))
    train, test = (np.flatnonzero(table["split"] == split)[0] for split in ("train", "test"))
    features[test] = features[train]
    one = feature_set(files.table, features)
    other = replace(one, sources=(replace(one.sources[0], model="npr"),))
    result = audit(files, QUICK, [one, other])
    near = result.pairs[result.pairs["kind"] == FEATURES]
    assert len(near) == 2
    assert near["features"].nunique() == 2
    (finding,) = [finding for finding in leaks(result) if finding.severity == "warn"]
    assert finding.numbers == {"kind": FEATURES, "pairs": 1}
    assert finding.sentence.startswith("1 more pair of")
    assert result.to_json()["pairs_across"] == {FEATURES: 1}


def test_copies_in_one_archive_are_named_by_their_members(tmp_path):
    table = data_set(tmp_path)
    shutil.copy(tmp_path / "real/000.jpg", tmp_path / "real/copy.jpg")
    table = planted(table, "real/copy.jpg", 0, "real", "test", "other")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in table["path"]:
            archive.write(tmp_path / path, path)
    table = table.assign(member=table["path"], path="a.zip")
    result = audit(files_of(tmp_path, table, tmp_path / "cache"), QUICK)
    (pair,) = result.pairs.to_dict("records")
    assert {pair["path_a"], pair["path_b"]} == {"a.zip member=real/000.jpg", "a.zip member=real/copy.jpg"}
    assert "(a.zip member=real/000.jpg and a.zip member=real/copy.jpg)" in leaks(result)[0].sentence


def test_a_copy_on_the_same_side_counts_twice_and_is_no_leak(tmp_path):
    table = data_set(tmp_path)
    shutil.copy(tmp_path / "real/000.jpg", tmp_path / "real/copy.jpg")
    files = files_of(tmp_path, planted(table, "real/copy.jpg", 0, "real", "train", "other"), tmp_path / "cache")
    result = audit(files, QUICK)
    assert not result.pairs["across"].any()
    assert sorted(finding.severity for finding in leaks(result)) == ["good", "warn"]


def test_the_same_bytes_with_two_labels_are_a_wrong_label(tmp_path):
    table = data_set(tmp_path)
    shutil.copy(tmp_path / "real/000.jpg", tmp_path / "lama/copy.jpg")
    files = files_of(tmp_path, planted(table, "lama/copy.jpg", 1, "lama", "train", "g000"), tmp_path / "cache")
    found = [finding for finding in audit(files, QUICK).findings if finding.topic == "labels"]
    assert [finding.severity for finding in found] == ["bad"]
    assert "lama/copy.jpg is lama" in found[0].sentence


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture,
        lambda picture: picture.resize((32, 32)),
        lambda picture: picture.point(lambda level: min(255, int(1.1 * level) + 4)),
    ],
    ids=["resaved", "half", "brighter"],
)
def test_a_planted_near_duplicate_is_found_in_other_bytes(tmp_path, change):
    table = data_set(tmp_path)
    again = change(Image.open(tmp_path / "real/000.jpg").convert("RGB"))
    write(tmp_path / "real/again.jpg", jpeg(again, 60))
    files = files_of(tmp_path, planted(table, "real/again.jpg", 0, "real", "test", "other"), tmp_path / "cache")
    result = audit(files, QUICK)
    (pair,) = result.pairs.to_dict("records")
    assert pair["kind"] == ALIKE
    assert {pair["path_a"], pair["path_b"]} == {"real/000.jpg", "real/again.jpg"}
    assert pair["value"] >= 0.96
    assert result.verdict == "bad"


def test_a_near_duplicate_on_the_same_side_is_none(tmp_path):
    table = data_set(tmp_path)
    write(tmp_path / "real/again.jpg", jpeg(Image.open(tmp_path / "real/000.jpg"), 60))
    files = files_of(tmp_path, planted(table, "real/again.jpg", 0, "real", "train", "other"), tmp_path / "cache")
    assert len(audit(files, QUICK).pairs) == 0


def test_a_planted_group_leak_is_found_unless_folds_hold_groups_together(tmp_path):
    table = data_set(tmp_path)
    table.loc[(table["group"] == "g000") & (table["label"] == 1), "split"] = "test"
    files = files_of(tmp_path, table, tmp_path / "cache")
    result = audit(files, QUICK)
    assert result.groups.to_dict("records") == [{"group": "g000", "samples": 2, "train": 1, "val": 0, "test": 1}]
    assert "g000" in leaks(result)[0].sentence
    folded = audit(files, AuditSettings(folds=3, bootstrap=0, trees=5, trees_alone=2))
    assert len(folded.groups) == 0
    assert [finding.severity for finding in leaks(folded)] == ["good"]


def test_out_of_fold_the_sides_are_groups(tmp_path):
    table = data_set(tmp_path)
    shutil.copy(tmp_path / "real/000.jpg", tmp_path / "real/copy.jpg")
    files = files_of(tmp_path, planted(table, "real/copy.jpg", 0, "real", "train", "other"), tmp_path / "cache")
    assert not copies(files.table, files.keys, 0)["across"].any()
    assert copies(files.table, files.keys, 3)["across"].all()


def test_pictures_of_one_colour_are_compared_with_none(tmp_path):
    table = data_set(tmp_path)
    for name, split in (("a", "train"), ("b", "test")):
        write(tmp_path / f"real/{name}.jpg", jpeg(Image.new("RGB", (64, 64), (90, 90, ord(name)))))
        table = planted(table, f"real/{name}.jpg", 0, "real", split, name)
    files = files_of(tmp_path, table, tmp_path / "cache")
    assert len(alike(files, QUICK)) == 0
    assert any("2 pictures are of one colour" in finding.sentence for finding in audit(files, QUICK).findings)


def test_a_picture_correlates_fully_with_itself_and_not_at_all_with_a_flat_one():
    grey = luminance(np.asarray(drawn(3)))
    flat = np.full((32, 32), 80, np.uint8)
    assert correlation(grey, grey) == pytest.approx(1, abs=1e-12)
    assert correlation(grey, flat) == 0
    assert perceptual_hash(flat) == b""
    assert len(perceptual_hash(grey)) == 8
    expected = np.corrcoef(grey.ravel(), luminance(np.asarray(drawn(4))).ravel())[0, 1]
    assert correlation(grey, luminance(np.asarray(drawn(4)))) == pytest.approx(expected, abs=1e-12)


def clouds(n=400, d=32, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(n)], "label": np.arange(n) % 2, "generator": "x"})
    table["split"] = np.where(np.arange(n) % 4 == 0, "test", "train")
    table["group"] = [f"g{i}" for i in range(n)]
    return rng.normal(size=(n, d)) * np.linspace(1, 100, d) + 7, table


def test_features_of_different_pictures_are_quiet_whatever_their_scale():
    features, table = clouds()
    assert len(near_in_features(features.astype(np.float32), table, 0)) == 0
    assert len(near_in_features((1e6 * features).astype(np.float32), table, 0)) == 0


def test_a_copy_that_only_the_features_know_is_found():
    features, table = clouds()
    features[8] = features[9] + 0.01 * features[10]  # 8 is in test, 9 in train
    (pair,) = near_in_features(features.astype(np.float32), table, 0).to_dict("records")
    assert (pair["kind"], pair["a"], pair["b"]) == (FEATURES, 8, 9)
    assert len(near_in_features(features.astype(np.float32), table.assign(split="train"), 0)) == 0


def test_all_pairs_of_several_copies_are_listed_until_they_are_too_many(monkeypatch):
    features, table = clouds()
    features[[8, 18]] = features[9]  # 8 and 18 are in test, 9 in train
    table.loc[18, "split"] = table.loc[8, "split"]
    pairs = near_in_features(features.astype(np.float32), table, 0)
    assert pairs[["a", "b"]].to_numpy().tolist() == [[8, 9], [9, 18]]
    monkeypatch.setattr("probekit.audit.near_duplicates.MOST", 2)
    nearest = near_in_features(features.astype(np.float32), table, 0)[["a", "b"]].to_numpy().tolist()
    assert nearest == [[8, 9], [9, 18]]
    table.loc[19, "split"] = table.loc[9, "split"]
    features[19] = features[9]
    assert len(near_in_features(features.astype(np.float32), table, 0)) < 4
    monkeypatch.undo()
    assert len(near_in_features(features.astype(np.float32), table, 0)) == 4


def test_identical_features_are_found_even_where_every_sample_has_a_copy():
    features, table = clouds(100)
    twice = np.concatenate([features, features])
    both = pd.concat([table.assign(split="train"), table.assign(split="test")], ignore_index=True)
    assert len(near_in_features(twice.astype(np.float32), both, 0)) == 100


def test_features_that_do_not_know_pictures_apart_accuse_nobody_but_copies():
    features, table = clouds(d=3)
    features[8] = features[9] + 0.001 * features[10]
    assert len(near_in_features(features.astype(np.float32), table, 0)) == 0
    features[8] = features[9]
    assert near_in_features(features.astype(np.float32), table, 0)[["a", "b"]].to_numpy().tolist() == [[8, 9]]


def test_constant_features_and_a_single_side_give_no_pair():
    _, table = clouds(50)
    assert len(near_in_features(np.full((50, 4), 0.1, np.float32), table, 0)) == 0
    assert standing_out(np.zeros(0)) < 1


def test_sides_are_splits_or_groups():
    table = pd.DataFrame({"split": ["train", "test"], "group": ["a", "a"]})
    assert sides(table, 0).tolist() == ["train", "test"]
    assert sides(table, 5).tolist() == ["a", "a"]


def test_an_empty_table_of_pairs_has_all_columns():
    _, table = clouds(4)
    nothing = np.zeros(0, np.int64)
    assert "path_b" in pair_table(table, sides(table, 0), COPY, nothing, nothing, nothing)
    assert len(divided_groups(table, 0)) == 0


def test_an_unreadable_file_is_reported_and_counted(tmp_path):
    table = data_set(tmp_path)
    (tmp_path / "real/003.jpg").write_bytes((tmp_path / "real/003.jpg").read_bytes()[:200])
    (tmp_path / "lama/004.jpg").unlink()
    files = files_of(tmp_path, table, tmp_path / "cache")
    assert files.unreadable["path"].tolist() == ["real/003.jpg", "lama/004.jpg"]
    assert len(files.table) == len(table) - 2
    (finding,) = (each for each in audit(files, QUICK).findings if each.topic == "files")
    assert finding.severity == "bad"
    assert "2 of 60 samples cannot be read" in finding.sentence


def test_a_second_reading_opens_no_file_and_a_changed_file_is_read_again(tmp_path, monkeypatch):
    from probekit import sources

    table = data_set(tmp_path, 10)
    first = files_of(tmp_path, table, tmp_path / "cache")
    opened = []
    read = sources.read
    monkeypatch.setattr(sources, "read", lambda sample: opened.append(sample.path) or read(sample))
    again = files_of(tmp_path, table, tmp_path / "cache")
    assert opened == []
    pd.testing.assert_frame_equal(again.table, first.table)
    assert again.hashes == first.hashes
    write(tmp_path / "real/000.jpg", jpeg(drawn(77), 50))
    changed = files_of(tmp_path, table, tmp_path / "cache")
    assert [path.endswith("real/000.jpg") for path in opened] == [True]
    assert changed.table.loc[0, "quality"] == 50


def test_boxes_of_one_file_are_samples_of_their_own(tmp_path):
    write(tmp_path / "a.jpg", jpeg(drawn(0, (96, 64))))
    table = pd.DataFrame({"path": ["a.jpg"] * 2, "label": [0, 1], "generator": ["real", "lama"], "split": "train"})
    table = table.assign(x0=[0, 32], y0=0, x1=[32, 96], y1=64)
    files = files_of(tmp_path, table, tmp_path / "cache")
    assert files.table["width"].tolist() == [32, 64]
    assert len(set(files.hashes)) == 2
    assert manifest_of(tmp_path, table).table["x0"].tolist() == [0, 32]
