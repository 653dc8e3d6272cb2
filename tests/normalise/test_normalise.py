"""Normalised copies: one size, one format, nothing lost on the way and nothing overwritten."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probekit import images, sources
from probekit.audit.properties import properties_of
from probekit.errors import ImageError, UnknownNameError, UsageError
from probekit.manifest import Manifest, validate
from probekit.normalise import NormaliseSettings, copying, normalise
from probekit.normalise.names import names_of
from probekit.normalise.pictures import Window
from probekit.sources import Sample
from tests.audit.pictures import drawn, jpeg, write

SMALL = NormaliseSettings(size=32, quality=80)


def manifest_of(root, paths, **columns):
    table = pd.DataFrame({"path": paths, "label": [i % 2 for i in range(len(paths))]})
    table["generator"] = ["lama" if label else "real" for label in table["label"]]
    table["split"] = ["train", "test"] * (len(paths) // 2) + ["train"] * (len(paths) % 2)
    return Manifest(
        "mixed", None, root, validate(table.assign(**columns), "mixed"), folds=3, facts={"split": {"how": "x"}}
    )


@pytest.fixture
def mixed(tmp_path):
    """Two classes that differ in size, format and quality."""
    root = tmp_path / "mixed"
    exif = Image.Exif()
    exif[0x010E] = "a camera"
    write(root / "real/a.jpg", jpeg(drawn(0, (80, 60)), 95, exif=exif, icc_profile=b"x" * 99, subsampling="4:4:4"))
    (root / "fake").mkdir()
    drawn(1, (48, 90)).save(root / "fake/a.png")
    write(root / "real/b.jpg", jpeg(drawn(2, (32, 32)), 50))
    drawn(3, (64, 64)).save(root / "fake/b.webp")
    return manifest_of(root, ["real/a.jpg", "fake/a.png", "real/b.jpg", "fake/b.webp"], family=["", "LOCAL", "", ""])


def bytes_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("resize", [True, False])
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_all_copies_have_the_same_properties_but_their_bytes(mixed, tmp_path, resize, kind):
    settings = NormaliseSettings(size=32, quality=80, format=kind, resize=resize)
    copied = normalise(mixed, "even", tmp_path / "even", settings)
    found = [properties_of(sources.read(Sample(str(path)))) for path in copied.manifest.absolute_paths()]
    kinds = {(f.format, f.quality, f.subsampling, f.exif, f.icc, f.progressive, f.width, f.height) for f in found}
    assert len({tuple(map(str, one)) for one in kinds}) == 1
    assert (found[0].format, found[0].width, found[0].height, found[0].exif) == (kind.upper(), 32, 32, False)
    assert (copied.written, copied.kept, len(copied.failed)) == (4, 0, 0)


def test_the_manifest_keeps_labels_groups_splits_folds_and_columns(mixed, tmp_path):
    copied = normalise(mixed, "even", tmp_path / "even", SMALL)
    ours, theirs = copied.manifest.table, mixed.table
    for column in ("label", "generator", "domain", "split", "group", "family"):
        assert ours[column].tolist() == theirs[column].tolist()
    assert ours["original"].tolist() == theirs["path"].tolist()
    assert copied.manifest.folds == 3
    assert copied.manifest.facts["split"] == {"how": "x"}
    assert copied.manifest.facts["normalised"]["from"] == "mixed"
    written = copied.manifest.write(tmp_path / "manifests")
    assert Manifest.read(written.path).absolute_paths() == copied.manifest.absolute_paths()


def test_crop_keeps_the_central_pixels_as_they_are(tmp_path):
    drawn(0, (50, 40)).save(tmp_path / "a.png")
    manifest = manifest_of(tmp_path, ["a.png"])
    settings = NormaliseSettings(size=32, format="png", resize=False)
    copied = normalise(manifest, "even", tmp_path / "out", settings)
    found = np.asarray(Image.open(copied.manifest.absolute_paths()[0]))
    np.testing.assert_array_equal(found, np.asarray(drawn(0, (50, 40)))[4:36, 9:41])


def test_copies_are_upright_and_squares_are_not_squashed(tmp_path):
    wide = Image.new("RGB", (120, 60))
    wide.paste((255, 0, 0), (30, 0, 90, 60))  # the central square is red
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path / "a.jpg", jpeg(wide, 95, exif=exif))
    copied = normalise(manifest_of(tmp_path, ["a.jpg"]), "even", tmp_path / "out", SMALL)
    found = np.asarray(Image.open(copied.manifest.absolute_paths()[0])).astype(int)
    assert found[..., 0].min() > 200
    assert found[..., 1:].max() < 60


def test_the_same_sources_give_the_same_bytes_with_any_number_of_workers(mixed, tmp_path):
    normalise(mixed, "even", tmp_path / "one", SMALL, workers=1)
    normalise(mixed, "even", tmp_path / "four", SMALL, workers=4)
    assert bytes_below(tmp_path / "one") == bytes_below(tmp_path / "four")


def test_smaller_pictures_are_left_out_and_counted_unless_they_may_be_enlarged(mixed, tmp_path):
    settings = NormaliseSettings(size=50)
    copied = normalise(mixed, "even", tmp_path / "even", settings)
    assert copied.failed["path"].tolist() == ["fake/a.png", "real/b.jpg"]
    assert copied.too_small == 2
    assert copied.manifest.table["original"].tolist() == ["real/a.jpg", "fake/b.webp"]
    larger = normalise(mixed, "larger", tmp_path / "larger", NormaliseSettings(size=50, enlarge=True))
    assert len(larger.failed) == 0
    assert {images.inspect(path).width for path in larger.manifest.absolute_paths()} == {50}
    assert {images.inspect(path).height for path in larger.manifest.absolute_paths()} == {50}


def test_unreadable_files_are_listed_with_their_reason(mixed, tmp_path):
    (mixed.root / "real/a.jpg").write_bytes((mixed.root / "real/a.jpg").read_bytes()[:300])
    (mixed.root / "fake/a.png").unlink()
    copied = normalise(mixed, "even", tmp_path / "even", SMALL)
    assert copied.failed["path"].tolist() == ["real/a.jpg", "fake/a.png"]
    assert "damaged" in copied.failed["reason"][0]
    assert "no such file" in copied.failed["reason"][1]
    assert len(copied.manifest.table) == copied.written == 2


def test_a_second_run_keeps_what_is_finished_and_copies_what_changed(mixed, tmp_path):
    to = tmp_path / "even"
    normalise(mixed, "even", to, SMALL)
    before = bytes_below(to)
    (to / "images/fake/a.png.jpg").unlink()
    write(mixed.root / "real/b.jpg", jpeg(drawn(9, (64, 64))))
    again = normalise(mixed, "even", to, SMALL)
    assert (again.written, again.kept) == (2, 2)
    after = bytes_below(to)
    assert {name for name in after if after[name] != before[name]} == {"images/real/b.jpg", "copies.jsonl"}


def test_a_kill_leaves_no_half_copy_under_a_name(mixed, tmp_path, monkeypatch):
    to = tmp_path / "even"
    write_one = copying._write
    done = []

    def die(*how):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(write_one(*how))

    monkeypatch.setattr(copying, "_write", die)
    with pytest.raises(KeyboardInterrupt):
        normalise(mixed, "even", to, SMALL, workers=1)
    monkeypatch.undo()
    assert len(list((to / "images").rglob("*.jpg"))) == 2
    again = normalise(mixed, "even", to, SMALL)
    assert (again.written, again.kept) == (2, 2)
    fresh = normalise(mixed, "even", tmp_path / "fresh", SMALL)
    assert bytes_below(to) == bytes_below(tmp_path / "fresh")
    assert fresh.written == 4


def test_names_never_collide():
    root = "/data"
    paths = ["a.png", "a.jpg", "a.png.jpg", "A.JPG", "x/a.jpg", "../other/a.jpg", "../more/a.jpg"]
    samples = [Sample(os.path.normpath(f"{root}/{path}")) for path in paths]
    samples += [Sample("/data/z.zip", member) for member in ("a.png", "../../a.png", "/etc/a.png", "x\\a.png")]
    samples += [Sample("/data/v.mp4", frame=3), Sample("/data/a.jpg", box=(0, 0, 5, 5)), Sample("/data/a.jpg")]
    names = names_of(samples, Path(root), ".jpg")
    assert len({name.casefold() for name in names}) == len(samples) - 1  # a.jpg is there twice
    assert names[1] == names[-1]
    assert names[4] == "images/x/a.jpg"
    assert all(name.startswith("images/") and name.endswith(".jpg") for name in names)
    assert not any(part in ("..", "") for name in names for part in name.split("/"))


def test_masks_come_along_with_only_their_own_values(tmp_path):
    drawn(0, (90, 70)).save(tmp_path / "a.png")
    mask = np.zeros((70, 90), np.uint8)
    mask[:, 45:] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    manifest = manifest_of(tmp_path, ["a.png"], mask="m.png")
    copied = normalise(manifest, "even", tmp_path / "out", SMALL)
    found = np.asarray(Image.open(tmp_path / "out" / copied.manifest.table["mask"][0]))
    assert set(np.unique(found)) == {0, 255}
    assert found.shape == (32, 32)
    np.testing.assert_array_equal(found[:, :16], 0)
    np.testing.assert_array_equal(found[:, 16:], 255)


def test_a_mask_of_another_size_is_named(tmp_path):
    drawn(0, (90, 70)).save(tmp_path / "a.png")
    Image.new("L", (9, 7)).save(tmp_path / "m.png")
    copied = normalise(manifest_of(tmp_path, ["a.png"], mask="m.png"), "even", tmp_path / "out", SMALL)
    assert "its mask" in copied.failed["reason"][0]
    assert "9 × 7, the image 90 × 70" in copied.failed["reason"][0]


def boxed(tmp_path):
    drawn(0, (100, 60)).save(tmp_path / "a.png")
    boxes = {"x0": [30, 10], "y0": [10, 10], "x1": [70, 45], "y1": [50, 45]}
    return manifest_of(tmp_path, ["a.png", "a.png"], **boxes)


def test_a_box_is_cut_out_as_a_picture_of_its_own(tmp_path):
    settings = NormaliseSettings(size=20, format="png", resize=False)
    copied = normalise(boxed(tmp_path), "even", tmp_path / "out", settings)
    assert "x0" not in copied.manifest.table
    pixels = np.asarray(drawn(0, (100, 60)))
    first, second = (np.asarray(Image.open(path)) for path in copied.manifest.absolute_paths())
    np.testing.assert_array_equal(first, pixels[20:40, 40:60])
    np.testing.assert_array_equal(second, pixels[17:37, 17:37])


def test_a_kept_box_moves_along_and_is_clipped(tmp_path):
    copied = normalise(boxed(tmp_path), "even", tmp_path / "out", NormaliseSettings(size=30, boxes="keep"))
    table = copied.manifest.table  # the square is 20 … 80 by 0 … 60, halved
    assert table[["x0", "y0", "x1", "y1"]].to_numpy().tolist() == [[5, 5, 25, 25], [0, 5, 13, 23]]
    assert table["path"].nunique() == 1
    with pytest.raises(ImageError, match="outside the central square"):
        Window(20, 0, 60, 30).move((0, 0, 20, 60))


def test_boxes_of_one_picture_keep_the_masks_that_are_theirs(tmp_path):
    manifest = boxed(tmp_path)
    halves = []
    for name, columns in (("left", slice(0, 50)), ("right", slice(50, 100))):
        halves.append(np.zeros((60, 100), np.uint8))
        halves[-1][:, columns] = 255
        Image.fromarray(halves[-1]).save(tmp_path / f"{name}.png")
    table = manifest.table.assign(mask=["left.png", "right.png"])
    third = table.iloc[[0]].assign(x0=40, x1=60)  # the same mask again
    manifest = replace(manifest, table=pd.concat([table, third], ignore_index=True))
    copied = normalise(manifest, "even", tmp_path / "out", NormaliseSettings(size=30, boxes="keep"))
    found = [np.asarray(Image.open(tmp_path / "out" / mask)) for mask in copied.manifest.table["mask"]]
    for mask, half in zip(found, (0, 1, 0), strict=True):
        np.testing.assert_array_equal(mask[:, :15], 0 if half else 255)
        np.testing.assert_array_equal(mask[:, 15:], 255 if half else 0)
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 2
    again = normalise(manifest, "even", tmp_path / "out", NormaliseSettings(size=30, boxes="keep"))
    assert (again.written, again.kept) == (0, 3)


def written_at_noon(path, content):
    write(path, content)
    os.utime(path, (43200, 43200))


def test_a_folder_of_copies_of_another_root_is_refused(tmp_path):
    for seed, root in enumerate(("one", "two")):
        written_at_noon(tmp_path / root / "a.jpg", jpeg(drawn(seed)))
    normalise(manifest_of(tmp_path / "one", ["a.jpg"]), "even", tmp_path / "even", SMALL)
    with pytest.raises(UsageError, match="below another folder"):
        normalise(manifest_of(tmp_path / "two", ["a.jpg"]), "even", tmp_path / "even", SMALL)


def test_a_source_of_another_size_is_copied_again_though_its_time_is_the_same(tmp_path):
    manifest = manifest_of(tmp_path / "in", ["a.jpg"])
    written_at_noon(tmp_path / "in/a.jpg", jpeg(drawn(0)))
    normalise(manifest, "even", tmp_path / "even", SMALL)
    written_at_noon(tmp_path / "in/a.jpg", jpeg(drawn(1, (96, 96))))
    again = normalise(manifest, "even", tmp_path / "even", SMALL)
    assert (again.written, again.kept) == (1, 0)
    normalise(manifest, "even", tmp_path / "fresh", SMALL)
    assert bytes_below(tmp_path / "even" / "images") == bytes_below(tmp_path / "fresh" / "images")


def test_a_mask_from_another_file_is_copied_again_though_its_time_and_size_are_the_same(tmp_path):
    drawn(0).save(tmp_path / "a.png")
    for name, level in (("black", 0), ("white", 255)):
        Image.new("L", (64, 64), level).save(tmp_path / f"{name}.bmp")
        os.utime(tmp_path / f"{name}.bmp", (43200, 43200))
    for name, level in (("black", 0), ("white", 255)):
        copied = normalise(manifest_of(tmp_path, ["a.png"], mask=f"{name}.bmp"), "even", tmp_path / "out", SMALL)
        found = np.asarray(Image.open(tmp_path / "out" / copied.manifest.table["mask"][0]))
        assert (found == level).all()


def test_a_line_that_a_kill_cut_off_means_that_the_copy_is_made_again(mixed, tmp_path):
    normalise(mixed, "even", tmp_path / "even", SMALL)
    ledger = tmp_path / "even" / "copies.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-9])
    again = normalise(mixed, "even", tmp_path / "even", SMALL)
    assert (again.written, again.kept) == (1, 3)


def test_folders_that_hold_something_else_are_refused(mixed, tmp_path):
    with pytest.raises(UsageError, match="the images of mixed themselves"):
        normalise(mixed, "even", mixed.root, SMALL)
    write(tmp_path / "full/thesis.tex", b"x")
    with pytest.raises(UsageError, match="not empty"):
        normalise(mixed, "even", tmp_path / "full", SMALL)
    normalise(mixed, "even", tmp_path / "even", SMALL)
    with pytest.raises(UsageError, match="other settings"):
        normalise(mixed, "even", tmp_path / "even", NormaliseSettings(size=31))
    (tmp_path / "even" / "normalised.json").write_text("{")
    with pytest.raises(UsageError, match="other settings"):
        normalise(mixed, "even", tmp_path / "even", SMALL)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"quality": 101}])
def test_settings_without_meaning_are_refused(wrong):
    with pytest.raises(UsageError, match="give 1 to"):
        NormaliseSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"format": "gif"}, {"subsampling": "4:3:3"}, {"boxes": "drop"}])
def test_unknown_words_are_refused(wrong):
    with pytest.raises(UnknownNameError, match="Known"):
        NormaliseSettings(**wrong)
