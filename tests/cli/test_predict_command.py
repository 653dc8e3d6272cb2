"""`probekit predict`: what it prints, what it records, and one line for what it cannot do."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from probekit.heads.saved import save_probe
from probekit.manifest import Manifest
from probekit.models import Model, ModelCard, Weights
from probekit.views import OPENAI_CLIP, View
from tests.cli.test_commands import one_line
from tests.extract.conftest import write_image
from tests.heads.learned import learned, train
from tests.heads.published import save_ufd
from tests.heads.stored import store_features

CENTER = View("center", crop=224, normalize=OPENAI_CLIP)


class MeanColour:
    """In place of CLIP: 768 numbers that follow the mean colour of the crop."""

    def __init__(self, width: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.directions = torch.randn(3, width, generator=generator)

    def __call__(self, batch, taps):
        return {"proj": (batch.pixels.float().mean(dim=(2, 3)) / 255 - 0.5) @ self.directions}


@pytest.fixture
def without_clip(monkeypatch):
    """No weights are needed for `clip`."""
    card = ModelCard("clip", "file", "MIT", View("resize", 224, 224, normalize=OPENAI_CLIP), {"proj": 768}, "proj")
    model = Model(card, Weights(), lambda *_: MeanColour(768))
    monkeypatch.setattr("probekit.models.find", lambda name, weights=None: model)


@pytest.fixture
def pictures(tmp_path):
    """Four pictures, and a head beside them."""
    for number in range(4):
        write_image(tmp_path / "photos" / f"{number}.png", number, size=(230, 240))
    save_ufd(tmp_path / "fc_weights.pth")
    return tmp_path / "photos"


def test_images_are_scored_and_the_run_is_recorded(type_, without_clip, pictures):
    answer = type_("probekit predict photos photos/3.png --probe fc_weights.pth --json")
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert [list(row) for row in said["predictions"]] == [["path", "score", "probability", "label"]] * 4
    assert said["failed"] == []
    assert (said["probe"]["format"], said["probe"]["model"], len(said["probe"]["sha256"])) == ("ufd", "clip", 64)
    record = json.loads((Path(said["run"]) / "run.json").read_text())
    assert (record["verb"], record["status"], record["result"]["scored"]) == ("predict", "done", 4)
    table = pd.read_parquet(Path(said["run"]) / "tables" / "predictions.parquet")
    assert list(table["score"]) == [row["score"] for row in said["predictions"]]


def test_a_table_shows_path_score_and_verdict(type_, without_clip, pictures):
    answer = type_("probekit predict photos --probe fc_weights.pth")
    assert answer.code == 0, answer.err
    assert all(word in answer.out for word in ("verdict", "probability", "photos/2.png"))
    assert "real" in answer.out + answer.err
    assert "4 images scored" in answer.err


def test_an_extreme_threshold_calls_nothing_or_everything_fake(type_, without_clip, pictures):
    for threshold, called in (("0.000001", 4), ("0.999999", 0)):
        answer = type_(f"probekit predict photos --probe fc_weights.pth --threshold {threshold} --json")
        assert json.loads(answer.out)["called_fake"] == called


def test_unreadable_images_are_listed_and_the_exit_code_is_1(type_, without_clip, pictures):
    (pictures / "1.png").write_text("no image")
    answer = type_("probekit predict photos gone.jpg --probe fc_weights.pth --json")
    assert answer.code == 1, answer.err
    said = json.loads(answer.out)
    assert [row["path"] for row in said["failed"]] == ["photos/1.png", "gone.jpg"]
    assert len(said["predictions"]) == 3
    assert "2 images without a score" in answer.err
    assert "there is no such file" in answer.err
    assert (Path(said["run"]) / "tables" / "failed.csv").exists()


@pytest.fixture
def extracted(type_, pictures, tmp_path) -> Manifest:
    """Twelve pictures of each of three kinds, imported, and features of `clip#proj` for them."""
    for kind, shift in (("real", 0), ("lama", 100), ("ldm", 200)):
        for number in range(12):
            write_image(tmp_path / "faces" / kind / f"{number:02d}.png", number + shift)
    assert type_("probekit manifest import faces --name faces").code == 0
    manifest = Manifest.read("faces")
    features = np.random.default_rng(0).normal(0.1, 1, (36, 768)).astype(np.float32)
    store_features(manifest, tmp_path / "cache", "clip", CENTER, {"proj": features})
    return manifest


def test_a_manifest_is_judged_per_generator(type_, extracted):
    answer = type_("probekit predict --manifest faces --probe fc_weights.pth --json")
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert [row["generator"] for row in said["pairs"]] == ["lama", "ldm"]
    assert {"auc", "ap", "acc", "balanced_acc", "n_real", "n_fake"} <= said["pairs"][0].keys()
    assert len(said["predictions"]) == 36
    record = json.loads((Path(said["run"]) / "run.json").read_text())
    assert record["manifest"]["name"] == "faces"
    assert record["stores"][0]["model"] == "clip"
    assert "predictions" not in record["result"]
    table = type_("probekit predict --probe fc_weights.pth")
    assert "lama" in table.out
    assert type_("probekit report --out page.html").code == 0


def test_images_that_are_named_are_meant_even_where_the_environment_names_a_manifest(
    type_, without_clip, extracted, monkeypatch
):
    monkeypatch.setenv("PROBEKIT_MANIFEST", "faces")
    answer = type_("probekit predict photos --probe fc_weights.pth --json")
    assert len(json.loads(answer.out)["predictions"]) == 4
    answer = type_("probekit predict --probe fc_weights.pth --json")
    assert len(json.loads(answer.out)["predictions"]) == 36


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "photos --probe runs/two",
            ["runs/two: holds 2 saved probes", "runs/two/probes/a.json", "runs/two/probes/b.json"],
        ),
        ("photos --probe runs/none", ["its folder probes holds no saved probe"]),
        ("photos --probe runs/two/probes/a.json --threshold 0.7", ["--threshold 0.7", "gives no probabilities"]),
        ("--probe runs/two/probes/b.json --manifest faces", ["needs npr#blocks in view native512", "--model npr"]),
        ("photos --probe half.json", ["half.json", "half.safetensors are missing"]),
        ("photos --probe photos/0.png", ["photos/0.png", "a PNG image, not a probe file"]),
        ("photos --probe nosuch.pth", ["nosuch.pth", "no such probe file"]),
        ("photos --probe code.pth", ["code.pth", "nothing else is unpickled"]),
        ("photos --probe narrow.pth", ["weight is [1, 512], expected [1, 768]"]),
        ("photos --probe fc_weights.pth --manifest faces", ["images or --manifest, not both"]),
        ("photos --probe fc_weights.pth --threshold 1", ["--threshold 1"]),
        ("photos --probe fc_weights.pth --precision float8", ["--precision", "'float8'"]),
        ("photos --probe fc_weights.pth --weights gone.pt", ["--weights gone.pt", "clip=FILE"]),
        ("photos --probe fc_weights.pth --weights clip=gone.pt", ["gone.pt: no such file"]),
        ("photos --probe fc_weights.pth --device banana", ["--device banana"]),
        ("empty --probe fc_weights.pth", ["empty holds no image"]),
        ("--probe fc_weights.pth --manifest nosuch", ["nosuch"]),
        (
            "--probe fc_weights.pth --manifest faces --store ffff",
            ["clip#proj in view center224", "Run: probekit extract"],
        ),
        ("--probe fc_weights.pth --manifest faces --cache photos", ["Run: probekit extract --model clip --taps proj"]),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(type_, without_clip, extracted, arguments, words):
    class Stowaway:
        def __reduce__(self):
            return (Path.mkdir, (Path("stowaway"),))

    torch.save({"weight": torch.zeros(1, 768), "bias": Stowaway()}, "code.pth")
    save_ufd("narrow.pth", width=512)
    probe, _ = learned()
    margins = replace(probe, classifier=replace(probe.classifier, probabilistic=False))
    save_probe(Path("runs/two/probes/a"), margins)
    save_probe(Path("runs/two/probes/b"), probe)
    Path("runs/none/probes").mkdir(parents=True)
    Path("half.json").write_text("{}")
    Path("empty").mkdir()
    one_line(type_(f"probekit predict {arguments}"), *words)
    assert not Path("stowaway").exists()


# Saved probes


def test_the_only_probe_of_a_run_scores_images_as_its_features_are_scored(type_, faces):
    probe = train(Manifest.read("faces"), Path("cache"), "srm", classes=("real", "lama", "ldm"))
    save_probe(Path("runs/trained/probes/all"), probe)
    answer = type_("probekit predict faces/lama faces/real/03.png --probe runs/trained --top 2 --json")
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert (said["probe"]["format"], said["probe"]["task"], said["probe"]["probe"]) == (
        "probekit",
        "attribution",
        "logistic",
    )
    assert (said["threshold"], said["score_threshold"]) == (0.5, 0.0)
    names = ["path", "score", "probability", "label", "llr", "predicted", "top1", "p_top1", "top2", "p_top2"]
    assert [list(row) for row in said["predictions"]] == [names] * 13
    judged = json.loads(type_("probekit predict --probe runs/trained/probes/all.json --json").out)
    scores = {row["path"]: row["score"] for row in judged["predictions"]}
    assert [row["score"] for row in said["predictions"]] == pytest.approx(
        [scores[row["path"].removeprefix("faces/")] for row in said["predictions"]], abs=1e-6
    )
    assert any("learned from this manifest" in note for note in judged["notes"])
    table = type_("probekit predict faces/lama --probe runs/trained/probes/all.safetensors")
    assert all(word in table.out for word in ("verdict", "probability", "predicted", "top2", "p_top2", "llr"))
    assert "12 images scored" in table.err


def test_a_probe_without_probabilities_shows_verdicts_and_one_note(type_, faces):
    probe = train(Manifest.read("faces"), Path("cache"), "srm")
    margins = replace(probe, classifier=replace(probe.classifier, probabilistic=False))
    save_probe(Path("svm"), margins)
    table = type_("probekit predict faces/real --probe svm.json")
    assert table.code == 0, table.err
    assert "verdict" in table.out
    assert "probability" not in table.out
    assert table.err.count("no probabilities") == 1
    said = json.loads(type_("probekit predict faces/real --probe svm.json --json").out)
    assert {row["probability"] for row in said["predictions"]} == {None}


def test_file_names_cannot_steer_the_terminal(type_, without_clip, pictures):
    Image.new("RGB", (230, 230)).save(pictures / "\x1b[31m[bold].png")
    answer = type_("probekit predict photos --probe fc_weights.pth")
    assert answer.code == 0, answer.err
    assert "\x1b[31m" not in answer.out
    assert "[bold].png" in answer.out
