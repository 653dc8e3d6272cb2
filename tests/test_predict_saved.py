"""A saved probe says of an image what it said of the same pixels in its own evaluation, and refuses other features."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from probekit import heads, models
from probekit.errors import MissingFeaturesError, ProbeError, UsageError
from probekit.extract import ExtractSettings, extract
from probekit.features import Selector, load_features
from probekit.heads.saved import Block, Calibration, save_probe
from probekit.manifest import Manifest, validate
from probekit.models import Weights
from probekit.predict import PredictSettings, list_images, loading, predict_images, predict_manifest
from probekit.views import View
from tests.extract.conftest import write_image
from tests.heads.learned import train
from tests.sources.conftest import make_video, make_zip

predict_here = partial(predict_images, device="cpu", workers=2)


@pytest.fixture
def faces(tmp_path):
    """Eighteen pictures of three kinds and sizes, real ones noisier; the last six are the test split."""
    rows = []
    for number in range(18):
        generator = ("real", "lama", "ldm")[number % 3]
        name = f"{number:02d}-{generator}.png"
        path = write_image(tmp_path / "faces" / name, number, size=(40 + number, 56))
        if generator != "real":
            blurred = Image.open(path).resize((28, 30)).resize((56, 40 + number))
            blurred.rotate(90 * (generator == "ldm"), expand=True).save(path)
        split = "train" if number < 12 else "test"
        rows.append({"path": name, "label": int(generator != "real"), "generator": generator, "split": split})
    return Manifest("faces", None, tmp_path / "faces", validate(pd.DataFrame(rows), "faces"))


def stored_decisions(manifest, cache, probe, reference="npr", **selector):
    found = load_features(manifest, reference, cache=cache, selector=Selector(**selector))
    return probe.decisions(found.matrix)


@pytest.mark.parametrize("model", ["npr", "srm", "spectrum"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_images_and_their_manifest_score_as_the_stored_features_did(faces, tmp_path, model, batch_size):
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings((model,)), cache=cache, device="cpu")
    probe = train(faces, cache, model)
    head = heads.read(save_probe(tmp_path / "probe", probe))
    expected = stored_decisions(faces, cache, probe, model)
    assert np.ptp(expected) > 1
    found = predict_here([faces.root], head, batch_size=batch_size)
    assert [path.rpartition("/")[2] for path in found.table["path"]] == list(faces.table["path"])
    assert_allclose(found.table["score"], expected, rtol=0, atol=1e-6)
    assert (found.table["label"] == (expected > 0)).all()
    assert_allclose(found.table["llr"], expected - np.log(probe.prior[1] / probe.prior[0]), rtol=0, atol=1e-6)
    one = predict_here([faces.root / "03-real.png"], head)
    assert_allclose(one.table["score"], expected[3:4], rtol=0, atol=1e-6)
    judged = predict_manifest(faces, head, cache=cache)
    assert_allclose(judged.table["score"], expected, rtol=1e-12)
    assert found.notes == ()


def test_two_taps_of_one_model_stand_in_the_order_in_which_they_were_learned(faces, tmp_path):
    cache, reference = tmp_path / "cache", "spectrum#blocks+spectrum#azimuthal"
    extract(faces, ExtractSettings(("spectrum",), taps=("azimuthal", "blocks")), cache=cache, device="cpu")
    probe = train(faces, cache, reference)
    head = heads.read(save_probe(tmp_path / "probe", probe))
    expected = stored_decisions(faces, cache, probe, reference)
    assert head.taps == ("blocks", "azimuthal")
    assert_allclose(predict_here([faces.root], head).table["score"], expected, rtol=0, atol=1e-6)
    assert_allclose(predict_manifest(faces, head, cache=cache).table["score"], expected, rtol=1e-9)


@pytest.mark.parametrize("crops", ["mean", "all"])
def test_crops_are_averaged_as_the_probe_learned_them(faces, tmp_path, crops):
    cache = tmp_path / "cache"
    write_image(faces.root / "00-real.png", 0, size=(520, 1030))  # six tiles
    extract(faces, ExtractSettings(("srm",), view="tile"), cache=cache, device="cpu")
    probe = train(faces, cache, "srm", selector=Selector(crops=crops))
    head = heads.read(save_probe(tmp_path / "probe", probe))
    decisions = stored_decisions(faces, cache, probe, "srm", crops=crops)
    if crops == "all":
        assert len(decisions) == 17 + 6
        decisions = np.concatenate([[decisions[:6].mean()], decisions[6:]])
    assert_allclose(predict_here([faces.root], head, batch_size=4).table["score"], decisions, rtol=0, atol=1e-6)
    judged = predict_manifest(faces, head, cache=cache)
    assert_allclose(judged.table["score"], decisions, rtol=1e-9, atol=1e-9)
    assert list(judged.table["path"]) == list(faces.table["path"])


def test_a_probe_of_a_perturbed_view_perturbs_what_it_is_given(faces, tmp_path):
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings(("npr",), perturb=("none", "noise:var=10")), cache=cache, device="cpu")
    probe = train(faces, cache, selector=Selector(perturb="noise:var=10"))
    head = heads.read(save_probe(tmp_path / "probe", probe))
    expected = stored_decisions(faces, cache, probe, perturb="noise:var=10")
    assert np.abs(expected - stored_decisions(faces, cache, probe)).max() > 0.1, "the noise changes nothing"
    assert_allclose(predict_here([faces.root], head).table["score"], expected, rtol=0, atol=1e-6)
    assert_allclose(predict_manifest(faces, head, cache=cache).table["score"], expected, rtol=1e-12)
    assert "--perturb noise:var=10" in head.extract_command("faces")


def test_attribution_names_the_likeliest_generators(faces, tmp_path):
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings(("npr",)), cache=cache, device="cpu")
    probe = train(faces, cache, classes=("real", "lama", "ldm"), calibration=Calibration("temperature", 0.5, 0.0))
    head = heads.read(save_probe(tmp_path / "probe", probe))
    found = predict_here([faces.root], head, PredictSettings(top=1))
    logits = 0.5 * stored_decisions(faces, cache, probe)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert list(found.table) == ["path", "score", "probability", "label", "llr", "predicted", "top1", "p_top1"]
    assert_allclose(found.table["probability"], 1 - shares[:, 0], rtol=0, atol=1e-6)
    assert_allclose(found.table["p_top1"], shares[:, 1:].max(axis=1), rtol=0, atol=1e-6)
    assert set(found.table["predicted"]) == {"real", "lama", "ldm"}
    assert predict_manifest(faces, head, cache=cache).table["predicted"].tolist() == found.table["predicted"].tolist()


def test_a_probe_without_probabilities_gives_scores_and_verdicts_and_one_note(faces, tmp_path):
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings(("npr",)), cache=cache, device="cpu")
    probe = train(faces, cache, threshold=0.3, threshold_by="val-eer")
    margins = replace(probe, classifier=replace(probe.classifier, probabilistic=False))
    head = heads.read(save_probe(tmp_path / "probe", margins))
    found = predict_here([faces.root], head)
    assert list(found.table) == ["path", "score", "probability", "label"]
    assert (found.table["label"] == (found.table["score"] > 0.3)).all()
    said = found.to_json()
    assert (said["threshold"], said["score_threshold"], said["predictions"][0]["probability"]) == (None, 0.3, None)
    assert len(said["notes"]) == 1
    json.dumps(said, allow_nan=False)
    with pytest.raises(UsageError, match=r"--threshold 0.9: .* gives no probabilities.*score 0.3"):
        predict_here([faces.root], head, PredictSettings(threshold=0.9))


def test_the_saved_threshold_decides_unless_a_probability_is_given(faces, tmp_path):
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings(("npr",)), cache=cache, device="cpu")
    head = heads.read(save_probe(tmp_path / "probe", train(faces, cache, threshold=50.0, threshold_by="val-fpr")))
    assert predict_here([faces.root], head).table["label"].sum() == 0
    moved = predict_here([faces.root], head, PredictSettings(threshold=0.5))
    assert (moved.table["label"] == (moved.table["score"] > 0)).all()
    assert moved.table["label"].sum() > 0


def test_pairs_are_of_the_splits_that_the_probe_has_not_seen(faces, tmp_path):
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings(("npr",)), cache=cache, device="cpu")
    probe = train(faces, cache)
    judged = predict_manifest(faces, heads.read(save_probe(tmp_path / "probe", probe)), cache=cache)
    assert len(judged.table) == 18
    assert judged.pairs[["n_real", "n_fake"]].to_numpy().tolist() == [[2, 2], [2, 2]]
    assert "of the 6 samples outside train, val" in judged.notes[0]
    every = replace(probe, seen=("train", "val", "test"))
    none = predict_manifest(faces, heads.read(save_probe(tmp_path / "every", every)), cache=cache)
    assert none.pairs is None
    assert "learned from all splits" in none.notes[0]
    other = replace(probe, manifest_sha256="0" * 64)
    whole = predict_manifest(faces, heads.read(save_probe(tmp_path / "other", other)), cache=cache)
    assert whole.pairs["n_real"].tolist() == [6, 6]
    assert "judged as if it had not seen them" in whole.notes[0]
    rest = replace(probe, task="one-vs-rest", class_names=("rest", "lama"))
    unlike = predict_manifest(faces, heads.read(save_probe(tmp_path / "rest", rest)), cache=cache)
    assert (unlike.pairs, unlike.notes) == (
        None,
        ("scores tell lama from all else, not fake from real: there are no pairs.",),
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"precision": "bfloat16"}, "precision float32 is not bfloat16"),
        ({"dtype": "float32"}, "number format float16 is not float32"),
        ({"weights_sha256": "ab" * 32}, "weights none is not abababababab"),
        ({"model_settings": {"version": 2}}, "model settings {'version': 1} is not {'version': 2}"),
        ({"view": {"policy": "center", "crop": 64}, "view_name": "center64"}, r"view native \(512\) is not center64"),
    ],
)
def test_a_store_of_other_features_is_refused_with_the_command_that_fills_one(faces, tmp_path, changes, said):
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings(("npr",)), cache=cache, device="cpu")
    probe = train(faces, cache)
    other = replace(probe.blocks[0], settings=replace(probe.blocks[0].settings, **changes))
    head = heads.read(save_probe(tmp_path / "probe", replace(probe, blocks=(other,))))
    with pytest.raises(MissingFeaturesError, match=rf"{said}\)\. Run: probekit extract --model npr --taps blocks"):
        predict_manifest(faces, head, cache=cache)


def test_another_model_for_images_is_refused(faces, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings(("npr",)), cache=cache, device="cpu")
    probe = train(faces, cache)
    (block,) = probe.blocks

    def saved(**changes):
        settings = replace(block.settings, **changes)
        return heads.read(save_probe(tmp_path / "probe", replace(probe, blocks=(Block("blocks", 63, settings),))))

    with pytest.raises(ProbeError, match=r"with weights abababababab, these are none.*--weights npr=FILE"):
        predict_here([faces.root], saved(weights_sha256="ab" * 32))
    with pytest.raises(ProbeError, match=r"settings {'version': 2}, this probekit's has {'version': 1}"):
        predict_here([faces.root], saved(model_settings={"version": 2}))
    imported = saved(view={"policy": "undeclared", "imported": True}, view_name="undeclared")
    with pytest.raises(ProbeError, match=r"imported features of npr in view undeclared.*not images"):
        predict_here([faces.root], imported)
    assert imported.extract_command("faces") == "probekit cache import FILE --model npr --manifest faces"
    nvjpeg = View("native", crop=512, decoder="nvjpeg")
    record = {"policy": "native", "crop": 512, "decoder": "nvjpeg"}
    with pytest.raises(UsageError, match=r"nvjpeg decoded, which needs a GPU"):
        predict_here([faces.root], saved(view=record, view_name=nvjpeg.name))
    found = models.find("npr")
    other = replace(found, weights=Weights(None, "cd" * 32))
    monkeypatch.setattr(models, "find", lambda *_: other)
    with pytest.raises(ProbeError, match=r"with weights none, these are cdcdcdcdcdcd"):
        predict_here([faces.root], saved())


def test_another_precision_on_request_is_noted(faces, tmp_path):
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings(("npr",)), cache=cache, device="cpu")
    head = heads.read(save_probe(tmp_path / "probe", train(faces, cache)))
    found = predict_here([faces.root], head, PredictSettings(precision="bfloat16"))
    assert found.source["precision"] == "bfloat16"
    assert "computed in bfloat16, but" in found.notes[0]


# What is shown


def test_videos_are_scored_by_some_of_their_frames(faces, tmp_path):
    pytest.importorskip("av")
    cache = tmp_path / "cache"
    extract(faces, ExtractSettings(("npr",)), cache=cache, device="cpu")
    head = heads.read(save_probe(tmp_path / "probe", train(faces, cache)))
    (tmp_path / "clips").mkdir()
    video = make_video(tmp_path / "clips" / "a.mp4", frames=10)
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"no video")
    found = predict_here([tmp_path / "clips"], head, PredictSettings(frames=2))
    assert list(found.table["path"]) == [f"{video} frame=2", f"{video} frame=7"]
    assert found.table["score"].nunique() == 2
    assert list(found.failed["path"]) == [f"{tmp_path / 'clips' / 'broken.mp4'} frame=0"]
    assert "no video" in found.failed["reason"][0]
    archive = make_zip(tmp_path / "clips.zip", {"in/a.mp4": video.read_bytes()})
    inside = predict_here([archive], head, PredictSettings(frames=2))
    assert_allclose(inside.table["score"], found.table["score"])
    with pytest.raises(UsageError, match=r"clips holds no image \(2 other files\)"):
        list_images([tmp_path / "clips"], frames=0)


def test_no_more_images_are_read_ahead_than_there_is_room_for(faces, tmp_path, monkeypatch):
    samples, _ = list_images([faces.root])
    show, alive = loading._show, []
    given = 0

    def counted(*arguments):
        alive.append(1)
        return show(*arguments)

    monkeypatch.setattr(loading, "_show", counted)
    monkeypatch.setattr(loading, "AHEAD_BYTES", 1)
    for batch in loading.batches(samples, View("native", crop=512), 1, 2, None):
        given += len(batch)
        assert len(alive) - given <= 3, "more than those being read"
    assert given == 18


def test_a_batch_ends_with_enough_crops(faces):
    samples, _ = list_images([faces.root])
    view = View("tile", crop=16)
    sizes = [len(batch) for batch in loading.batches(samples, view, 8, 2, None)]
    assert sizes == [1] * 18  # each has twelve tiles or more
    assert [len(batch) for batch in loading.batches(samples, View("native"), 8, 2, None)] == [8, 8, 2]
