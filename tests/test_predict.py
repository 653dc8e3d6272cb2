"""Predictions for image files and for manifests; nothing is skipped, and nothing is scored that does not fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image
from safetensors.torch import save_file
from sklearn.metrics import average_precision_score, roc_auc_score

from probekit import heads, images, models
from probekit.errors import MissingFeaturesError, ModelError, ProbeError, UnknownNameError, UsageError
from probekit.heads.linear import linear
from probekit.predict import PredictSettings, list_images, manifests, predict_images, predict_manifest
from probekit.views import OPENAI_CLIP, View
from tests.extract.conftest import manifest_of, write_image
from tests.heads.published import save_rine, save_ufd
from tests.heads.stored import store_features
from tests.models.conftest import clip_archs  # noqa: F401  # a fixture

TINY = "open_clip:tiny"


@pytest.fixture
def tiny(clip_archs, tmp_path):  # noqa: F811  # the fixture
    """A head on a tiny CLIP, its weights, and what open_clip itself makes of an image."""
    torch.manual_seed(0)
    library = open_clip.CLIP(**open_clip.get_model_config("tiny")).eval()
    weights = tmp_path / "clip.safetensors"
    save_file(library.state_dict(), weights)
    save_ufd(tmp_path / "fc.pth")
    weight = np.random.default_rng(1).normal(size=24)
    head = replace(
        heads.read(tmp_path / "fc.pth"),
        models=(TINY,),
        widths={"proj": 24},
        view=View("center", crop=32, normalize=OPENAI_CLIP),
        score=linear("proj", weight, 0.1, "raw"),
    )

    def expected(path):
        crop = head.view.apply(images.load(path), b"")[0].float() / 255
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (OPENAI_CLIP.mean, OPENAI_CLIP.std))
        with torch.inference_mode():
            feature = library.encode_image(((crop - mean) / std)[None])[0].numpy()
        return float(feature @ weight + 0.1)

    return head, {TINY: weights}, expected


@pytest.fixture
def folder(tmp_path):
    """Seven pictures, two of them below, beside files that are none."""
    for number in range(5):
        write_image(tmp_path / "in" / f"{number}.png", number, size=(20 + 9 * number, 48))
    write_image(tmp_path / "in" / "b" / "a.b.PNG", 7)
    write_image(tmp_path / "in" / "a" / "größe 1.png", 8)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path / "in"


# Images


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_images_are_scored_as_the_library_and_the_head_score_them(tiny, folder, batch_size):
    head, weights, expected = tiny
    found = predict_images([folder], head, weights=weights, batch_size=batch_size, device="cpu")
    assert list(found.table["path"]) == sorted(found.table["path"])
    assert len(found.table) == 7
    assert_allclose(found.table["score"], [expected(Path(path)) for path in found.table["path"]], rtol=1e-4, atol=1e-5)
    assert_allclose(found.table["probability"], 1 / (1 + np.exp(-found.table["score"])), rtol=1e-12)
    assert (found.table["label"] == (found.table["score"] > 0)).all()
    assert found.source["precision"] == "float32"
    assert len(found.source["weights_sha256"]) == 64
    assert found.notes == (f"{folder}: 1 file is no image by name, and left out (notes.txt).",)


def test_an_image_given_twice_is_scored_once_in_the_order_given(folder):
    paths, _ = list_images([folder / "3.png", folder])
    assert [Path(sample.path).name for sample in paths] == [
        "3.png",
        "0.png",
        "1.png",
        "2.png",
        "4.png",
        "größe 1.png",
        "a.b.PNG",
    ]


def test_a_file_is_tried_whatever_its_name(tiny, folder):
    head, weights, expected = tiny
    (folder / "3.png").rename(folder / "3.dat")
    found = predict_images([folder / "3.dat"], head, weights=weights, device="cpu")
    assert_allclose(found.table["score"], [expected(folder / "3.dat")], rtol=1e-4, atol=1e-5)


def test_unreadable_images_are_recorded_with_their_reasons(tiny, folder):
    head, weights, _ = tiny
    (folder / "2.png").write_text("no image")
    (folder / "3.png").write_bytes(b"")
    gone, long = folder / "gone.png", folder / ("x" * 300)
    found = predict_images([folder, gone, long], head, weights=weights, batch_size=2, device="cpu")
    assert len(found.table) == 5
    reasons = dict(zip(found.failed["path"], found.failed["reason"], strict=True))
    assert set(reasons) == {str(path) for path in (folder / "2.png", folder / "3.png", gone, long)}
    assert "no image" in reasons[str(folder / "2.png")]
    assert "empty" in reasons[str(folder / "3.png")]
    assert reasons[str(gone)] == "there is no such file."


def test_a_folder_of_broken_images_has_no_scores_and_no_crash(tiny, tmp_path):
    head, weights, _ = tiny
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_text("no image")
    found = predict_images([tmp_path / "broken"], head, weights=weights, device="cpu")
    assert (len(found.table), len(found.failed)) == (0, 1)
    assert found.to_json()["predictions"] == []


def test_features_that_are_not_finite_fail_that_image_alone(tiny, folder, monkeypatch):
    head, weights, expected = tiny
    forward = models.compute.forward

    def spoiled(*given):
        features = forward(*given)
        features["proj"][1, 3] = np.nan
        return features

    monkeypatch.setattr(models.compute, "forward", spoiled)
    found = predict_images([folder / f"{n}.png" for n in range(3)], head, weights=weights, device="cpu")
    assert [Path(path).name for path in found.table["path"]] == ["0.png", "2.png"]
    assert_allclose(found.table["score"].iloc[1], expected(folder / "2.png"), rtol=1e-4, atol=1e-5)
    assert "not finite" in found.failed["reason"].iloc[0]


def test_scores_of_several_crops_are_averaged(tiny, folder, monkeypatch):
    head, weights, _ = tiny
    whole = predict_images([folder / "4.png"], head, weights=weights, device="cpu").table["score"].iloc[0]
    apply = View.apply
    monkeypatch.setattr(
        View, "apply", lambda view, image, seed: [*apply(view, image, seed), *apply(view, image.flip(2), seed)]
    )
    flipped = folder / "flipped.png"
    Image.open(folder / "4.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(flipped)
    both = predict_images([folder / "4.png"], head, weights=weights, device="cpu").table["score"].iloc[0]
    monkeypatch.setattr(View, "apply", apply)
    other = predict_images([flipped], head, weights=weights, device="cpu").table["score"].iloc[0]
    assert both == pytest.approx((whole + other) / 2, rel=1e-4, abs=1e-5)
    assert both != pytest.approx(whole, rel=1e-3)


def test_the_threshold_is_a_probability_and_moves_the_verdict_alone(tiny, folder):
    head, weights, _ = tiny
    plain = predict_images([folder], head, weights=weights, device="cpu")
    middle = float(plain.table["probability"].nlargest(3).iloc[1:].mean())
    moved = predict_images([folder], head, PredictSettings(threshold=middle), weights=weights, device="cpu")
    assert_allclose(moved.table["score"], plain.table["score"])
    assert (moved.table["label"] == (plain.table["probability"] > middle)).all()
    assert moved.to_json()["threshold"] == middle


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(UsageError, match="between 0 and 1"):
        PredictSettings(threshold=threshold)


def test_progress_ends_at_the_number_of_images(tiny, folder):
    head, weights, _ = tiny
    seen = []
    (folder / "2.png").write_text("no image")
    note = lambda *counts: seen.append(counts)  # noqa: E731
    predict_images([folder], head, weights=weights, device="cpu", batch_size=3, on_progress=note)
    assert seen == [(0, 7), (3, 7), (6, 7), (7, 7)]


def test_what_cannot_be_carried_out_is_refused(tiny, folder, tmp_path):
    head, weights, _ = tiny
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="holds no image"):
        predict_images([tmp_path / "nothing"], head, weights=weights)
    with pytest.raises(UsageError, match="there is no image"):
        predict_images([], head, weights=weights)
    with pytest.raises(UnknownNameError, match=r"model of .*fc\.pth"):
        predict_images([folder], head, weights={"clip": weights[TINY]})
    with pytest.raises(ProbeError, match=r"needs 768 numbers of open_clip:tiny#proj, which has \[24\]"):
        predict_images([folder], replace(head, widths={"proj": 768}), weights=weights)
    with pytest.raises(ProbeError, match="needs tap ln9@0, which open_clip:tiny does not have"):
        predict_images([folder], replace(head, widths={"ln9@0": 24}), weights=weights)


# Manifests


@pytest.fixture
def judged(tmp_path):
    """Twenty-four samples of two generators and their real images, UFD's head, and features that are noise."""
    names = [f"{number:02d}.png" for number in range(24)]
    for number, name in enumerate(names):
        write_image(tmp_path / "images" / name, number)
    generators = ["real", "lama", "real", "ldm"] * 6
    manifest = manifest_of(tmp_path / "images", names, generator=generators)
    save_ufd(tmp_path / "fc.pth")
    head = heads.read(tmp_path / "fc.pth")
    features = np.random.default_rng(0).normal(0.1, 1, (24, 768)).astype(np.float32)
    return manifest, head, features


def test_stored_features_of_a_manifest_are_scored_and_judged(judged, tmp_path):
    manifest, head, features = judged
    of_clip = View("resize", resize=224, crop=224, normalize=OPENAI_CLIP).with_policy("center")
    store_features(manifest, tmp_path / "cache", "clip", of_clip, {"proj": features})
    found = predict_manifest(manifest, head, cache=tmp_path / "cache")
    assert_allclose(found.table["score"], head.scores({"proj": features}), rtol=1e-12)
    assert list(found.table["truth"]) == list(manifest.table["label"])
    assert list(found.pairs["generator"]) == ["lama", "ldm"]
    for row in found.pairs.itertuples():
        own = found.table["generator"].isin(["real", row.generator])
        truth, scores = found.table.loc[own, "truth"], found.table.loc[own, "score"]
        assert (row.n_real, row.n_fake) == (12, 6)
        assert row.auc == pytest.approx(roc_auc_score(truth, scores))
        assert row.ap == pytest.approx(average_precision_score(truth, scores))
        assert row.acc == pytest.approx(((scores > 0) == (truth == 1)).mean())
    assert found.to_json(every_image=False)["pairs"][0]["auc"] == found.pairs["auc"].iloc[0]


def test_a_threshold_changes_accuracy_but_no_ranking(judged, tmp_path):
    manifest, head, features = judged
    store_features(manifest, tmp_path / "cache", "clip", head.view, {"proj": features})
    plain = predict_manifest(manifest, head, cache=tmp_path / "cache")
    high = predict_manifest(manifest, head, PredictSettings(threshold=0.999), cache=tmp_path / "cache")
    assert_allclose(high.pairs["auc"], plain.pairs["auc"])
    assert (high.pairs["real_acc"] == 1).all()
    assert (high.pairs["fake_acc"] == 0).all()


def test_failed_samples_are_listed_and_not_judged(judged, tmp_path):
    manifest, head, features = judged
    store_features(manifest, tmp_path / "cache", "clip", head.view, {"proj": features}, failed=[1, 4])
    found = predict_manifest(manifest, head, cache=tmp_path / "cache")
    assert list(found.failed["path"]) == ["01.png", "04.png"]
    assert set(found.failed["reason"]) == {"the image is damaged"}
    assert len(found.table) == 22
    assert found.pairs.set_index("generator").loc["lama", "n_fake"] == 5


@pytest.mark.parametrize("rows", [7, 100])
def test_a_head_of_many_taps_scores_the_same_in_pieces(judged, tmp_path, monkeypatch, rows):
    manifest, _, _ = judged
    save_rine(tmp_path / "rine.pth")
    head = heads.read(tmp_path / "rine.pth")
    rng = np.random.default_rng(1)
    features = {tap: rng.normal(0.1, 1, (24, 1024)).astype(np.float32) for tap in head.taps}
    store_features(manifest, tmp_path / "cache", "clip", head.view, features, failed=[1, 4])
    monkeypatch.setattr(manifests, "PIECE", rows * 4 * 24 * 1024)
    found = predict_manifest(manifest, head, cache=tmp_path / "cache")
    kept = np.delete(np.arange(24), [1, 4])
    assert list(found.table["path"]) == [manifest.table["path"][row] for row in kept]
    assert_allclose(found.table["score"], head.scores({t: f[kept] for t, f in features.items()}), rtol=1e-4, atol=1e-5)
    assert list(found.failed["path"]) == ["01.png", "04.png"]


def test_a_manifest_of_fakes_alone_is_scored_but_its_ranking_is_undefined(judged, tmp_path):
    manifest, head, features = judged
    alone = replace(manifest, table=manifest.table[manifest.table["label"] == 1].reset_index(drop=True))
    store_features(alone, tmp_path / "cache", "clip", head.view, {"proj": features[:12]})
    found = predict_manifest(alone, head, cache=tmp_path / "cache")
    assert found.pairs["auc"].isna().all()
    assert found.to_json()["pairs"][0]["auc"] is None
    assert "lama has no real samples" in found.notes[0]


def test_a_manifest_of_real_images_alone_has_scores_and_no_pairs(judged, tmp_path):
    manifest, head, features = judged
    alone = replace(manifest, table=manifest.table[manifest.table["label"] == 0].reset_index(drop=True))
    store_features(alone, tmp_path / "cache", "clip", head.view, {"proj": features[:12]})
    found = predict_manifest(alone, head, cache=tmp_path / "cache")
    assert (len(found.table), len(found.pairs)) == (12, 0)


@pytest.mark.parametrize(
    ("model", "view", "tap", "said"),
    [
        (
            "clip",
            View("resize", resize=224, crop=224, normalize=OPENAI_CLIP),
            "proj",
            "view resize .* is not center224",
        ),
        ("clip", View("center", crop=224, normalize=OPENAI_CLIP), "cls", "tap proj is missing"),
        ("dinov2", View("center", crop=224, normalize=OPENAI_CLIP), "proj", "cache lacks"),
    ],
)
def test_a_store_that_does_not_fit_is_refused_with_the_command_that_fills_one(judged, tmp_path, model, view, tap, said):
    manifest, head, features = judged
    store_features(manifest, tmp_path / "cache", model, view, {tap: features})
    command = "Run: probekit extract --model clip --taps proj --view center --manifest test$"
    with pytest.raises(MissingFeaturesError, match=rf"{said}.*{command}"):
        predict_manifest(manifest, head, cache=tmp_path / "cache")


def test_an_empty_cache_is_no_bug(judged, tmp_path):
    manifest, head, _ = judged
    with pytest.raises(MissingFeaturesError, match="needs clip#proj in view center224"):
        predict_manifest(manifest, head, cache=tmp_path / "cache")


def test_samples_that_were_never_extracted_are_named_unless_they_may_be_missing(judged, tmp_path):
    manifest, head, features = judged
    known = replace(manifest, table=manifest.table.iloc[:20])
    store_features(known, tmp_path / "cache", "clip", head.view, {"proj": features[:20]})
    with pytest.raises(
        MissingFeaturesError, match=r"4 of 24 samples.*--view center --manifest test, or .*--allow-missing"
    ):
        predict_manifest(manifest, head, cache=tmp_path / "cache")
    found = predict_manifest(manifest, head, cache=tmp_path / "cache", allow_missing=True)
    assert (len(found.table), len(found.failed)) == (20, 4)


def test_two_stores_that_fit_are_told_apart_by_precision(judged, tmp_path):
    manifest, head, features = judged
    for precision in ("float32", "bfloat16"):
        store_features(manifest, tmp_path / "cache", "clip", head.view, {"proj": features}, precision=precision)
    with pytest.raises(UsageError, match=r"several stores.*--precision or --store"):
        predict_manifest(manifest, head, cache=tmp_path / "cache")
    found = predict_manifest(manifest, head, PredictSettings(precision="bfloat16"), cache=tmp_path / "cache")
    assert found.source["precision"] == "bfloat16"
    one = predict_manifest(manifest, head, cache=tmp_path / "cache", store=found.source["address"][:12])
    assert one.source == found.source


def test_a_stored_feature_that_is_not_finite_names_the_image(judged, tmp_path, monkeypatch):
    manifest, head, features = judged
    store_features(manifest, tmp_path / "cache", "clip", head.view, {"proj": features})
    spoiled = features.copy()
    spoiled[5, 5] = np.inf
    monkeypatch.setattr("probekit.store.Store.read", lambda *_: spoiled)
    with pytest.raises(ModelError, match=r"05.png: its features are not finite"):
        predict_manifest(manifest, head, cache=tmp_path / "cache")
