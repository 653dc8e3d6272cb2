"""Extraction: features do not depend on order, threads, company or interruptions; nothing goes missing."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from probekit.errors import FeatureOverflowError, ManifestError, MissingFeaturesError, UnknownNameError, UsageError
from probekit.extract import ExtractSettings, extract
from probekit.features import Join, Selector, load_features
from probekit.manifest import validate
from probekit.store import list_stores
from probekit.views import View
from tests.extract.conftest import manifest_of, write_image

SRM = ExtractSettings(("srm",))


def features_of(manifest, cache, reference="srm"):
    return load_features(manifest, reference, cache=cache)


def test_features_do_not_depend_on_order_threads_units_or_company(make_manifest, tmp_path):
    manifest = make_manifest(23)
    extract(manifest, SRM, cache=tmp_path / "a", workers=1, device="cpu")
    expected = features_of(manifest, tmp_path / "a").matrix
    order = np.random.default_rng(1).permutation(23)
    shuffled = replace(manifest, table=validate(manifest.table.iloc[order], "shuffled"))
    both = ExtractSettings(("npr", "srm"))
    extract(shuffled, both, cache=tmp_path / "b", workers=3, unit_size=5, batch_size=7, device="cpu")
    np.testing.assert_array_equal(features_of(shuffled, tmp_path / "b").matrix, expected[order])


def test_a_store_extended_by_another_manifest_equals_one_written_at_once(make_manifest, tmp_path):
    extract(make_manifest(5), SRM, cache=tmp_path / "grown", device="cpu")
    second = extract(make_manifest(12), SRM, cache=tmp_path / "grown", device="cpu")
    extract(make_manifest(12), SRM, cache=tmp_path / "whole", device="cpu")
    assert second.models[0].computed == 7
    grown, whole = (features_of(make_manifest(12), tmp_path / name).matrix for name in ("grown", "whole"))
    np.testing.assert_array_equal(grown, whole)


def test_running_again_computes_nothing_and_loads_no_model(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(6)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    monkeypatch.setattr("probekit.models.Model.load", lambda *_: pytest.fail("the model was loaded"))
    again = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    assert (again.models[0].done, again.models[0].computed) == (6, 0)


def test_a_plan_is_the_same_however_many_samples_are_looked_for_together(make_manifest, tmp_path, monkeypatch):
    extract(make_manifest(5), SRM, cache=tmp_path / "cache", device="cpu")
    monkeypatch.setattr("probekit.extract.plan._BATCH", 2)
    more = extract(make_manifest(7), SRM, cache=tmp_path / "cache", device="cpu")
    assert (more.models[0].done, more.models[0].computed) == (7, 2)


def test_the_same_bytes_under_two_paths_are_one_row(make_manifest, tmp_path):
    manifest = make_manifest(3)
    shutil.copy(tmp_path / "images" / "0001.png", tmp_path / "images" / "copy.png")
    doubled = manifest_of(tmp_path / "images", [*manifest.table["path"], "copy.png"])
    result = extract(doubled, SRM, cache=tmp_path / "cache", device="cpu")
    assert (result.models[0].rows, result.models[0].computed) == (4, 3)
    assert next(iter(list_stores(tmp_path / "cache"))).rows == 3
    found = features_of(doubled, tmp_path / "cache").matrix
    np.testing.assert_array_equal(found[1], found[3])


def test_a_box_is_an_image_of_its_own(tmp_path):
    path = write_image(tmp_path / "images" / "a.png", 0, size=(64, 64))
    Image.open(path).crop((8, 4, 40, 44)).save(tmp_path / "images" / "cut.png")
    names = ["a.png", "a.png", "cut.png"]
    boxes = {"x0": ["", "8", ""], "y0": ["", "4", ""], "x1": ["", "40", ""], "y1": ["", "44", ""]}
    manifest = manifest_of(tmp_path / "images", names, **boxes)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    whole, box, cut = features_of(manifest, tmp_path / "cache").matrix
    np.testing.assert_array_equal(box, cut)
    assert not np.array_equal(whole, box)


def test_every_unreadable_image_is_listed_and_the_rest_is_done(make_manifest, tmp_path):
    good = list(make_manifest(3).table["path"])
    folder = tmp_path / "images"
    (folder / "text.jpg").write_text("this is a text")
    (folder / "empty.png").write_bytes(b"")
    whole = write_image(folder / "whole.jpg", 9, size=(64, 64)).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "folder.png").mkdir()
    bad = ["text.jpg", "empty.png", "cut.jpg", "folder.png", "missing.png"]
    manifest = manifest_of(folder, [*good, *bad, "whole.jpg"])
    for _ in range(2):  # a second run lists them again
        result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
        reasons = {path.rsplit("/", 1)[1]: reason for path, reason in result.failed[["path", "reason"]].to_numpy()}
        assert set(reasons) == set(bad)
        assert "no image" in reasons["text.jpg"]
        assert "empty" in reasons["empty.png"]
        assert "truncated" in reasons["cut.jpg"]
        assert "folder" in reasons["folder.png"]
        assert "no such file" in reasons["missing.png"]
        assert (result.models[0].done, result.models[0].failed) == (4, 5)
    found = features_of(manifest, tmp_path / "cache")
    assert list(found.samples["path"]) == [*good, "whole.jpg"]
    assert set(found.excluded["path"]) == set(bad)
    assert [reference for reference, _ in Join(manifest, tmp_path / "cache").covering()] == ["srm#blocks"]


def test_a_failed_image_that_was_mended_is_found_by_its_new_bytes(make_manifest, tmp_path):
    manifest = make_manifest(2)
    (tmp_path / "images" / "0001.png").write_text("broken")
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].failed == 1
    write_image(tmp_path / "images" / "0001.png", 1)
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].failed == 0


def test_failed_images_are_tried_again_on_request_and_only_once(make_manifest, tmp_path):
    manifest = make_manifest(3)
    (tmp_path / "images" / "0001.png").write_text("broken")
    for retry in (False, True, True):
        result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", retry_failed=retry)
        assert (result.models[0].done, result.models[0].failed) == (2, 1)


def test_samples_that_were_never_extracted_are_an_error_or_excluded_by_name(make_manifest, tmp_path):
    extract(make_manifest(3), SRM, cache=tmp_path / "cache", device="cpu")
    manifest = make_manifest(5)
    with pytest.raises(MissingFeaturesError, match=r"2 of 5 samples .* \(first: 0003.png\).*probekit extract"):
        features_of(manifest, tmp_path / "cache")
    found = load_features(manifest, "srm", cache=tmp_path / "cache", allow_missing=True)
    assert (len(found.samples), len(found.excluded)) == (3, 2)
    with pytest.raises(MissingFeaturesError, match="2 of 5 samples"):
        Join(manifest, tmp_path / "cache").covering()
    assert len(Join(manifest, tmp_path / "cache").covering(allow_missing=True)) == 1


def test_features_outlive_their_files_but_not_a_change(make_manifest, tmp_path):
    manifest = make_manifest(3)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    before = features_of(manifest, tmp_path / "cache").matrix
    (tmp_path / "images" / "0002.png").unlink()
    np.testing.assert_array_equal(features_of(manifest, tmp_path / "cache").matrix, before)
    write_image(tmp_path / "images" / "0001.png", 77)
    with pytest.raises(MissingFeaturesError, match="1 of 3 samples"):
        features_of(manifest, tmp_path / "cache")


def test_joining_is_by_identity_under_any_permutation(make_manifest, tmp_path):
    manifest = make_manifest(9)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    before = features_of(manifest, tmp_path / "cache").matrix
    order = np.random.default_rng(2).permutation(9)
    permuted = replace(manifest, table=validate(manifest.table.iloc[order], "permuted"))
    np.testing.assert_array_equal(features_of(permuted, tmp_path / "cache").matrix, before[order])


def test_two_parts_stand_side_by_side(make_manifest, tmp_path):
    manifest = make_manifest(3)
    extract(manifest, ExtractSettings(("srm", "npr")), cache=tmp_path / "cache", device="cpu")
    found = features_of(manifest, tmp_path / "cache", "npr+srm#blocks")
    assert [source.model for source in found.sources] == ["npr", "srm"]
    np.testing.assert_array_equal(found.blocks[1], features_of(manifest, tmp_path / "cache").matrix)
    assert found.matrix.shape == (3, sum(found.widths))


def test_an_ambiguous_reference_lists_the_stores(make_manifest, tmp_path):
    manifest = make_manifest(3)
    for dtype in ("float16", "float32"):
        extract(manifest, replace(SRM, dtype=dtype), cache=tmp_path / "cache", device="cpu")
    with pytest.raises(UsageError, match=r"several stores have srm: .*--store") as error:
        features_of(manifest, tmp_path / "cache")
    assert all(store.path.name in str(error.value) for store in list_stores(tmp_path / "cache"))
    names = [store.path.name for store in list_stores(tmp_path / "cache")]
    for name in names:
        assert (
            load_features(manifest, "srm", cache=tmp_path / "cache", selector=Selector(store=name)).sources[0].name
            == name
        )
    assert len(Join(manifest, tmp_path / "cache").covering()) == 2


def test_unknown_models_and_taps_are_named(make_manifest, tmp_path):
    manifest = make_manifest(2)
    with pytest.raises(UnknownNameError, match=r"unknown model 'srmm'.*'srm'"):
        extract(manifest, ExtractSettings(("srmm",)), cache=tmp_path / "cache", device="cpu")
    with pytest.raises(UsageError, match="srm has no tap 'cls'"):
        extract(manifest, ExtractSettings(("srm",), taps=("cls",)), cache=tmp_path / "cache", device="cpu")
    with pytest.raises(UsageError, match="has no features yet: run `probekit extract --model clip`"):
        features_of(manifest, tmp_path / "cache", "clip")
    assert not list_stores(tmp_path / "cache")


def test_a_misspelt_reference_lists_what_there_is(make_manifest, tmp_path):
    manifest = make_manifest(2)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    with pytest.raises(UsageError, match=r"no features of 'smr', it has those of srm\. Did you mean 'srm'\?"):
        features_of(manifest, tmp_path / "cache", "smr")
    with pytest.raises(UnknownNameError, match=r"'block'\. Did you mean 'blocks'"):
        features_of(manifest, tmp_path / "cache", "srm#block")
    with pytest.raises(UsageError, match="no store of srm fits"):
        load_features(manifest, "srm", cache=tmp_path / "cache", selector=Selector(view="squash"))


@pytest.mark.parametrize("name", ["banana", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_made(make_manifest, tmp_path, name):
    with pytest.raises(UsageError, match=f"--device {name}"):
        extract(make_manifest(2), SRM, cache=tmp_path / "cache", device=name)
    assert not (tmp_path / "cache").exists()


def test_a_vanished_folder_is_one_line_and_its_features_still_answer(make_manifest, tmp_path):
    manifest = make_manifest(3)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    before = features_of(manifest, tmp_path / "cache").matrix
    (tmp_path / "images").rename(tmp_path / "moved")
    with pytest.raises(ManifestError, match="is gone, where the images of test were"):
        extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    np.testing.assert_array_equal(features_of(manifest, tmp_path / "cache").matrix, before)
    moved = replace(manifest, root=tmp_path / "moved")
    assert extract(moved, SRM, cache=tmp_path / "cache", device="cpu").models[0].computed == 0


def test_an_image_that_one_view_cannot_show_fails_for_that_model_only(tmp_path, monkeypatch):
    from probekit import models

    squashing = replace(models.find("npr"), card=replace(models.find("npr").card, view=View("resize", 300, 300)))
    found = models.find
    monkeypatch.setattr(models, "find", lambda name, *rest: squashing if name == "npr" else found(name, *rest))
    Image.new("RGB", (90000, 2)).save(tmp_path / "strip.png")
    manifest = manifest_of(tmp_path, ["strip.png"])
    result = extract(manifest, ExtractSettings(("npr", "srm")), cache=tmp_path / "cache", device="cpu")
    assert [(model.done, model.failed) for model in result.models] == [(0, 1), (1, 0)]


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "zero\0byte.png"])
def test_a_name_that_cannot_be_opened_fails_alone(make_manifest, tmp_path, name):
    manifest = manifest_of(tmp_path / "images", [*make_manifest(2).table["path"], name])
    result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    assert (result.models[0].done, result.models[0].failed) == (2, 1)


def test_a_model_whose_output_cannot_be_stored_keeps_what_was_done(make_manifest, tmp_path, monkeypatch):
    from probekit import models

    found = models.find("srm")

    def poisoned(*arguments):
        net = found.build(*arguments)

        def forward(batch, taps):
            features = net(batch, taps)
            if (batch.pixels[0].float().mean() * 1000).int() == marked:
                features["blocks"] = features["blocks"] * float("nan")
            return features

        return forward

    manifest = make_manifest(4)
    with Image.open(tmp_path / "images" / "0003.png") as image:
        import torch

        marked = (torch.from_numpy(np.array(image)).float().mean() * 1000).int()
    monkeypatch.setattr(models, "find", lambda *_: replace(found, build=poisoned))
    with pytest.raises(FeatureOverflowError, match=r"0003\.png: in tap blocks of srm, the model gave nan"):
        extract(manifest, SRM, cache=tmp_path / "cache", unit_size=1, batch_size=1, device="cpu")
    assert next(iter(list_stores(tmp_path / "cache"))).rows == 3
    monkeypatch.undo()
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].computed == 1


def test_progress_only_grows_and_ends_at_the_total(make_manifest, tmp_path):
    seen = []
    extract(
        make_manifest(10), SRM, cache=tmp_path / "c", unit_size=4, batch_size=2, device="cpu", on_progress=seen.append
    )
    counts = [progress.done for progress in seen]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1], seen[-1].total) == (0, 10, 10)
