"""What holds for every published data set: a new layout needs a tree in `published.py`, and is tested by having one."""

from pathlib import Path

import pandas as pd
import pytest

from probekit.layouts import ImportOptions, import_manifest, layouts, scan
from probekit.layouts.names import find_generator
from probekit.manifest import Manifest, check
from tests.layouts.published import PUBLISHED

GENERIC = {"class-folders", "table", "template", "webdataset", "zero-one"}
NO_REALS = {"coco-attr", "df40"}  # df40 borrows them, see test_datasets.py

each_dataset = pytest.mark.parametrize("dataset", PUBLISHED)


@pytest.fixture
def tree(tmp_path: Path, dataset: str) -> Path:
    root = tmp_path / dataset
    root.mkdir()
    PUBLISHED[dataset](root)
    return root


def test_every_layout_is_generic_or_has_a_tree():
    assert set(layouts.names()) == GENERIC | set(PUBLISHED)


@each_dataset
def test_no_image_is_lost_and_odd_names_are_kept(tree, dataset):
    found = scan(tree, dataset)
    images = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.suffix.lower() == ".png"}
    rows = set(found.table["path"])
    masks = set(found.table["mask"]) - {""} if "mask" in found.table else set()
    listed = set(found.ignored["path"])
    if dataset in ("osma", "dnadet", "deepfakebench"):
        assert rows <= images, "lists say what is in the data set"
    else:
        assert rows | masks | (listed & images) == images
        assert not (listed & images)
    assert any(path.endswith("a.b.PNG") for path in rows)
    assert (found.expected["found"] > 0).any()
    assert (found.expected["found"] <= found.expected["expected"]).all()


@each_dataset
def test_generators_are_canonical_and_labels_agree(tree, dataset):
    table = scan(tree, dataset).table
    assert ((table["label"] == 0) == (table["generator"] == "real")).all()
    if dataset != "osma":  # which attributes models, not architectures
        for name in set(table["generator"]) - {"real"}:
            assert find_generator(name, dataset).name == name
    if dataset not in NO_REALS:
        real_domains = set(table.loc[table["label"] == 0, "domain"])
        assert set(table.loc[table["label"] == 1, "domain"]) <= real_domains


@each_dataset
def test_no_group_is_divided_by_a_split_and_imports_repeat_exactly(tree, dataset, tmp_path):
    made, _ = import_manifest(tree, dataset, "m")
    assert made.table.groupby("group")["split"].nunique().max() == 1
    again, _ = import_manifest(tree, dataset, "m")
    assert again.sha256 == made.sha256
    made.write(tmp_path / "manifests")
    report = check(Manifest.read("m", tmp_path / "manifests"))
    assert not {"unreadable", "no mask", "mask size", "group in several splits"} & set(report.counts)


@each_dataset
def test_a_data_set_behind_links_is_the_same(tree, dataset, tmp_path):
    linked = tmp_path / "links"
    linked.mkdir()
    for part in tree.iterdir():
        (linked / part.name).symlink_to(part)
    own, other = scan(tree, dataset), scan(linked, dataset)
    pd.testing.assert_frame_equal(own.table, other.table)
    assert (own.notes, own.ignored.to_numpy().tolist()) == (other.notes, other.ignored.to_numpy().tolist())


@each_dataset
def test_a_file_that_belongs_nowhere_is_reported(tree, dataset):
    (tree / "notes.docx").write_text("text")
    found = scan(tree, dataset, ImportOptions(skip_missing=True))
    lists = {"osma", "dnadet", "deepfakebench", "forgerynet"}  # read nothing but what they list
    assert ("notes.docx" in set(found.ignored["path"])) == (dataset not in lists)
