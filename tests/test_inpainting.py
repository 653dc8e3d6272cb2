"""The demo's local-manipulation data set: real pixels outside the hole, and no clue in the files."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image

from probekit import inpainting
from probekit.errors import UsageError
from probekit.inpainting import INPAINTERS, PHOTOGRAPHS, InpaintingSettings, build, cut, refill

SMALL = InpaintingSettings(size=96, crops=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("inpainted")
    return root, build(root, SMALL)


def read(path):
    with Image.open(path) as image:
        return np.array(image)


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_table_is_a_manifest_of_the_files(made):
    root, samples = made
    assert list(samples.columns) == ["path", "label", "generator", "domain", "group", "mask"]
    assert set(samples["generator"]) == {"real", *INPAINTERS}
    assert ((samples["generator"] == "real") == (samples["label"] == 0)).all()
    assert ((samples["mask"] == "") == (samples["label"] == 0)).all()
    assert set(samples["domain"]) == {"demo"}
    files = {path.relative_to(root).as_posix() for path in root.rglob("*.png")}
    assert files == {*samples["path"], *samples["mask"]} - {""}
    assert samples["path"].is_unique
    assert samples["generator"].value_counts().nunique() == 1


def test_crops_of_one_scene_are_one_group(made):
    _, samples = made
    scene = samples["path"].str.contains("motorcycle_(?:left|right)")
    assert set(samples.loc[scene, "group"]) == {"motorcycle"}
    assert samples["group"].nunique() == len(PHOTOGRAPHS) - 1


def test_outside_the_mask_every_pixel_is_the_original_and_inside_some_are_not(made):
    root, samples = made
    for sample in samples[samples["label"] == 1].itertuples():
        real = read(root / "real" / Path(sample.path).name)
        fake, mask = read(root / sample.path), read(root / sample.mask)
        assert set(np.unique(mask)) == {0, 255}
        assert_array_equal(fake[mask == 0], real[mask == 0])
        assert (fake[mask == 255] != real[mask == 255]).any(), sample.path


def test_no_two_pictures_are_the_same(made):
    root, samples = made
    assert len({(root / path).read_bytes() for path in samples["path"]}) == len(samples)


def test_no_property_of_a_file_tells_its_class(made):
    root, samples = made
    seen = set()
    for path in samples["path"]:
        with Image.open(root / path) as image:
            seen.add((image.format, image.mode, image.size, tuple(image.info), (root / path).stat().st_size))
    assert len(seen) == 1


def test_a_grey_photograph_stays_grey_under_the_inpainters_that_work_in_rgb(made):
    root, _ = made
    for generator in ("telea", "navier-stokes", "biharmonic"):
        pixels = read(root / generator / "camera-00.png").astype(int)
        assert np.ptp(pixels, axis=2).max() == 0


def test_the_same_settings_give_the_same_bytes_whatever_the_threads(made, tmp_path):
    root, samples = made
    again = build(tmp_path, SMALL, workers=1)
    assert again.equals(samples)
    assert digests(tmp_path) == digests(root)


@pytest.mark.parametrize("generator", list(INPAINTERS))
def test_an_inpainter_depends_on_its_crop_alone(generator):
    import cv2

    crops = list(cut("coffee", replace(SMALL, crops=4)))
    forward = [refill(crop, generator) for crop in crops]
    cv2.setRNGSeed(123)
    backward = [refill(crop, generator) for crop in reversed(crops)][::-1]
    assert_array_equal(forward, backward)


def test_a_finished_data_set_is_not_made_again(made):
    root, _ = made
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    calls = []
    build(root, SMALL, progress=lambda *counts: calls.append(counts))
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_an_unfinished_data_set_is_completed_and_leaves_no_drafts(made, tmp_path):
    root, samples = made
    calls = []

    def stop(done, _total):
        calls.append(done)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, SMALL, progress=stop)
    assert calls == [1, 2, 3]
    assert not (tmp_path / "recipe.json").exists()
    complete = digests(root)
    assert all(complete.get(name) == digest for name, digest in digests(tmp_path).items())
    build(tmp_path, SMALL)
    (tmp_path / "telea" / "coffee-00.png").unlink()
    assert build(tmp_path, SMALL).equals(samples)
    assert digests(tmp_path) == complete


def test_other_seeds_give_other_crops():
    first, second = (next(iter(cut("coffee", replace(SMALL, seed=seed)))) for seed in (0, 1))
    assert (first.pixels != second.pixels).any() or (first.hole != second.hole).any()


def test_crops_do_not_depend_on_how_many_are_asked_for():
    few, many = (list(cut("coffee", replace(SMALL, crops=count))) for count in (2, 5))
    for one, other in zip(few, many, strict=False):
        assert one.name == other.name
        assert_array_equal(one.pixels, other.pixels)
        assert_array_equal(one.hole, other.hole)


@given(size=st.integers(96, 200), area=st.floats(0.05, 0.25), seed=st.integers(0, 999))
@pytest.mark.parametrize("draw", [inpainting.ellipse, inpainting.free_form])
@settings(max_examples=25, deadline=None)
def test_a_hole_keeps_off_the_border_and_covers_about_its_area(draw, size, area, seed):
    hole = draw(size, area, np.random.default_rng(seed))
    assert not hole[:4].any()
    assert not hole[-4:].any()
    assert not hole[:, :4].any()
    assert not hole[:, -4:].any()
    assert 0.8 * area <= hole.mean() <= area + 0.1


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"file cannot be written .*: choose another folder"):
        build(tmp_path / "file", SMALL)


@pytest.mark.parametrize("wrong", [{"size": 64}, {"crops": 0}, {"area": (0.2, 0.1)}, {"area": (0.1, 0.5)}])
def test_settings_that_leave_no_room_are_refused(wrong):
    with pytest.raises(UsageError, match="size must be at least 96"):
        InpaintingSettings(**wrong)
