"""Extraction under perturbations: a store for each, the same features in any order and company."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from probekit import images, perturbations
from probekit.errors import UsageError
from probekit.extract import ExtractSettings, extract
from probekit.features import Selector, load_features
from probekit.keys import file_digest, sample_key
from probekit.manifest import validate
from probekit.models import Model
from probekit.store import list_stores
from tests.extract.conftest import manifest_of, write_image

CHAINS = ("none,noise:var=10", "crop:0.1+jpeg:50", "blur:sigma=3.0,k=9")
NAMES = ["none", "noise:var=10", "crop:0.1+jpeg:50", "blur:k=9,sigma=3"]
VIEWS = ["native512", "noise-var10-native512", "crop0.1+jpeg50-native512", "blur-k9-sigma3-native512"]


def features_of(manifest, cache, view, model="srm"):
    return load_features(manifest, model, cache=cache, selector=Selector(view=view)).matrix


def test_every_model_fills_a_store_for_each_perturbation(make_manifest, tmp_path):
    result = extract(make_manifest(3), ExtractSettings(("srm", "npr"), perturb=CHAINS), cache=tmp_path, device="cpu")
    found = [(model.model, model.perturb, model.view) for model in result.models]
    assert found == [(model, *pair) for model in ("srm", "npr") for pair in zip(NAMES, VIEWS, strict=True)]
    assert [entry["perturb"] for entry in result.to_json()["models"]] == NAMES * 2
    assert all((model.done, model.computed) == (3, 3) for model in result.models)
    assert len({model.address for model in result.models}) == 8
    assert len(list(list_stores(tmp_path))) == 8


def test_perturbed_features_do_not_depend_on_order_threads_batches_or_company(make_manifest, tmp_path):
    manifest = make_manifest(11)
    alone = ExtractSettings(("srm",), perturb=("noise:var=10",))
    extract(manifest, alone, cache=tmp_path / "a", workers=1, batch_size=1, device="cpu")
    order = np.random.default_rng(1).permutation(11)
    shuffled = replace(manifest, table=validate(manifest.table.iloc[order], "shuffled"))
    among = ExtractSettings(("npr", "srm"), perturb=CHAINS)
    extract(shuffled, among, cache=tmp_path / "b", workers=3, unit_size=4, batch_size=7, device="cpu")
    expected = features_of(manifest, tmp_path / "a", VIEWS[1])
    np.testing.assert_array_equal(features_of(shuffled, tmp_path / "b", VIEWS[1]), expected[order])


def test_spellings_of_one_perturbation_share_a_store_and_none_is_the_store_without(make_manifest, tmp_path):
    manifest = make_manifest(2)
    first = extract(manifest, ExtractSettings(("srm",), perturb=("jpeg:75",)), cache=tmp_path, device="cpu")
    again = extract(manifest, ExtractSettings(("srm",), perturb=("jpeg:075,jpeg:75",)), cache=tmp_path, device="cpu")
    assert [model.address for model in again.models] == [model.address for model in first.models]
    assert again.models[0].computed == 0
    clean = extract(manifest, ExtractSettings(("srm",)), cache=tmp_path, device="cpu")
    named = extract(manifest, ExtractSettings(("srm",), perturb=("none",)), cache=tmp_path, device="cpu")
    assert (clean.models[0].address, named.models[0].computed) == (named.models[0].address, 0)


def test_features_are_those_of_the_perturbed_pixels_with_the_key_of_the_image_as_seed(tmp_path):
    path = write_image(tmp_path / "images" / "a.png", 3, size=(64, 64))
    Image.open(path).crop((8, 4, 40, 44)).save(tmp_path / "images" / "cut.png")
    boxes = {"x0": ["", "8"], "y0": ["", "4"], "x1": ["", "40"], "y1": ["", "44"]}
    manifest = manifest_of(tmp_path / "images", ["a.png", "a.png"], **boxes)
    extract(manifest, ExtractSettings(("srm",), perturb=("noise:var=100",)), cache=tmp_path / "a", device="cpu")
    noise = Selector(perturb="noise:var=100")
    found = load_features(manifest, "srm", cache=tmp_path / "a", selector=noise)
    (store,) = list_stores(tmp_path / "a")
    pictures = [images.load(path), images.load(tmp_path / "images" / "cut.png")]
    chain = perturbations.parse_chain("noise:var=100")
    for row, (picture, key) in enumerate(zip(pictures, sample_keys(path), strict=True)):
        noisy = chain.apply(picture, key).permute(1, 2, 0).numpy()
        Image.fromarray(noisy).save(tmp_path / "images" / f"noisy{row}.png")
    noisy = manifest_of(tmp_path / "images", ["noisy0.png", "noisy1.png"])
    extract(noisy, ExtractSettings(("srm",)), cache=tmp_path / "b", device="cpu")
    np.testing.assert_array_equal(found.matrix, load_features(noisy, "srm", cache=tmp_path / "b").matrix)
    assert store.settings.view["perturb"] == "noise:var=100"


def sample_keys(path):
    digest = file_digest(path.read_bytes())
    return [sample_key(digest), sample_key(digest, {"x0": 8, "y0": 4, "x1": 40, "y1": 44})]


def test_an_image_is_decoded_once_and_perturbed_once_for_all_models(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(4)
    calls = {"decode": 0, "perturb": 0}
    decode, apply = images.decode, perturbations.Operation.apply

    def count_decode(data, **options):
        calls["decode"] += 1
        return decode(data, **options)

    def count_apply(self, *args):
        calls["perturb"] += 1
        return apply(self, *args)

    monkeypatch.setattr("probekit.images.decode", count_decode)
    monkeypatch.setattr("probekit.perturbations.Operation.apply", count_apply)
    settings = ExtractSettings(("srm", "npr", "spectrum"), perturb=("none,noise:var=5,blur:k=3",))
    extract(manifest, settings, cache=tmp_path, workers=1, device="cpu")
    assert calls == {"decode": 4, "perturb": 8}


def test_the_weights_of_a_model_are_loaded_once_for_all_perturbations(make_manifest, tmp_path, monkeypatch):
    loaded = []
    load = Model.load
    monkeypatch.setattr(Model, "load", lambda self, *args: loaded.append(self.card.name) or load(self, *args))
    settings = ExtractSettings(("srm", "npr"), perturb=("none,jpeg:75,jpeg:50",))
    extract(make_manifest(2), settings, cache=tmp_path, device="cpu")
    assert sorted(loaded) == ["npr", "srm"]


def test_what_one_perturbation_refuses_others_show_and_each_reason_names_its_view(make_manifest, tmp_path):
    names = list(make_manifest(1).table["path"])
    Image.new("RGB", (1, 17_000)).save(tmp_path / "images" / "long.png")
    (tmp_path / "images" / "text.png").write_text("no image")
    manifest = manifest_of(tmp_path / "images", [*names, "long.png", "text.png"])
    settings = ExtractSettings(("srm",), perturb=("none,webp:50,jpeg:50",))
    result = extract(manifest, settings, cache=tmp_path / "cache", device="cpu")
    assert [(model.done, model.failed) for model in result.models] == [(2, 1), (1, 2), (2, 1)]
    reasons = dict(result.failed.groupby("view")["reason"].agg(list))
    assert {view: len(found) for view, found in reasons.items()} == {
        "native512": 1,
        "webp50-native512": 2,
        "jpeg50-native512": 1,
    }
    assert "more than WEBP can hold" in reasons["webp50-native512"][0]
    assert all("no image" in found[-1] for found in reasons.values())


def test_a_perturbation_that_does_not_exist_is_refused_before_anything_is_made(make_manifest, tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'jpeg'"):
        extract(make_manifest(1), ExtractSettings(("srm",), perturb=("jpg:75",)), cache=tmp_path / "c", device="cpu")
    assert not (tmp_path / "c").exists()
