"""Published heads score as their authors' modules do, and refuse whatever is not theirs in one line."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image
from safetensors.torch import save_file

from probekit import heads
from probekit.errors import ProbeError, ProbekitError, WeightsError
from probekit.fingerprint import hash_file, plain
from probekit.heads.rine import ROWS
from probekit.models import ModelCard
from probekit.store import StoreSettings
from probekit.views import HALF, OPENAI_CLIP, View
from tests.heads.published import save_grip, save_rine, save_ufd

SAVERS = {"ufd": save_ufd, "grip": save_grip, "rine": save_rine}


def features_of(head, n=5, seed=0):
    rng = np.random.default_rng(seed)
    return {tap: rng.normal(0.1, 1.0, (n, width)).astype(np.float32) for tap, width in head.widths.items()}


@pytest.fixture(params=sorted(SAVERS))
def head(request, tmp_path):
    SAVERS[request.param](tmp_path / "head.pth")
    return heads.read(tmp_path / "head.pth")


def test_every_registered_format_is_tested():
    assert heads.names() == sorted([*SAVERS, "probekit"])  # which test_saved.py tests


# The numbers


def test_the_published_weights_of_universal_fake_detect_score_as_torch_does(shared_data):
    path = shared_data / "weights" / "universal_fake_detect" / "fc_weights.pth"
    if not path.exists():
        pytest.skip(f"no published weights at {path}")
    head = heads.read(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    assert float(state["weight"].norm()) == pytest.approx(6.2001, abs=5e-5)
    assert float(state["bias"]) == pytest.approx(-0.5167, abs=5e-5)
    layer = torch.nn.Linear(768, 1)
    layer.load_state_dict(state)
    features = features_of(head, n=40)
    with torch.inference_mode():
        expected = layer(torch.from_numpy(features["proj"])).sigmoid()[:, 0].numpy()
    assert (head.name, head.models[0], head.taps, head.view.name) == ("ufd", "clip", ("proj",), "center224")
    assert_allclose(head.probabilities(head.scores(features)), expected, rtol=0, atol=1e-6)
    assert np.ptp(expected) > 0.01, "the features tell nothing"
    zero, along = np.zeros((1, 768)), state["weight"].numpy()
    assert head.scores({"proj": zero}) == pytest.approx(-0.5167, abs=5e-5)
    assert head.scores({"proj": along}) == pytest.approx(6.2001**2 - 0.5167, abs=1e-3)


def test_a_linear_head_scores_as_torch_does(tmp_path):
    layer = save_ufd(tmp_path / "fc.pth")
    head = heads.read(tmp_path / "fc.pth")
    features = features_of(head)
    with torch.inference_mode():
        expected = layer(torch.from_numpy(features["proj"]))[:, 0].numpy()
    assert_allclose(head.scores(features), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("outputs", [1, 2])
def test_grips_head_scores_the_direction_of_the_features_alone(tmp_path, outputs):
    module = save_grip(tmp_path / "weights.pth", outputs)
    head = heads.read(tmp_path / "weights.pth")
    features = features_of(head)
    with torch.inference_mode():
        expected = module(torch.from_numpy(features["cls"])).numpy()
    assert (head.kind, head.condition, head.view.name) == ("llr", "l2", "resize224-crop224")
    assert_allclose(head.scores(features), expected, rtol=0, atol=1e-6)
    assert_allclose(head.scores({"cls": features["cls"] * 7}), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("depth", "dimension"), [(1, 8), (2, 16), (4, 128)])
def test_rines_head_scores_as_the_published_network_does(tmp_path, depth, dimension):
    module = save_rine(tmp_path / "model_4class_trainable.pth", depth, dimension)
    head = heads.read(tmp_path / "model_4class_trainable.pth")
    features = features_of(head, n=7)
    tokens = torch.stack([torch.from_numpy(features[f"ln2@{block}"]) for block in range(24)], dim=1)
    with torch.inference_mode():
        expected = module(tokens)[:, 0].numpy()
    assert_allclose(head.scores(features), expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(expected) > 0.05, "the features tell nothing"


def test_rine_weighs_each_block_by_its_own_alpha(tmp_path):
    save_rine(tmp_path / "rine.pth")
    head = heads.read(tmp_path / "rine.pth")
    features = features_of(head)
    swapped = features | {"ln2@0": features["ln2@1"], "ln2@1": features["ln2@0"]}
    assert not np.allclose(head.scores(features), head.scores(swapped), atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(n=st.integers(0, ROWS + 3), seed=st.integers(0, 9), name=st.sampled_from(sorted(SAVERS)))
def test_a_score_does_not_depend_on_the_rows_beside_it(tmp_path_factory, n, seed, name):
    path = tmp_path_factory.mktemp("head") / "head.pth"
    SAVERS[name](path)
    head = heads.read(path)
    features = features_of(head, n, seed)
    order = np.random.default_rng(seed).permutation(n)
    scores = head.scores(features)
    assert scores.shape == (n,)
    assert scores.dtype == np.float64
    permuted = head.scores({tap: rows[order] for tap, rows in features.items()})
    assert_allclose(permuted, scores[order], rtol=1e-5, atol=1e-6)


def test_the_given_features_stay_as_they_are(head):
    features = features_of(head)
    before = {tap: rows.copy() for tap, rows in features.items()}
    head.scores(features)
    assert all((features[tap] == before[tap]).all() for tap in features)


def test_a_head_says_what_it_is_and_where_it_came_from(head):
    said = head.to_json()
    assert said["sha256"] == hash_file(head.path)
    assert (said["polarity"], said["threshold"]) == ("positive is fake", 0.5)
    assert {"format", "title", "model", "taps", "view", "condition", "kind", "path"} <= said.keys()


def test_safetensors_of_the_same_names_are_read_too(tmp_path):
    layer = save_ufd(tmp_path / "fc.pth")
    save_file(layer.state_dict(), tmp_path / "fc.safetensors")
    a, b = heads.read(tmp_path / "fc.pth"), heads.read(tmp_path / "fc.safetensors")
    assert_allclose(a.scores(features_of(a)), b.scores(features_of(b)), rtol=0, atol=0)


# What does not fit


def test_features_of_another_width_are_refused(head):
    features = features_of(head)
    tap = head.taps[-1]
    with pytest.raises(ProbeError, match=rf"{tap}, {head.widths[tap]} wide.*got \(5, 12\).*probekit extract --model"):
        head.scores(features | {tap: features[tap][:, :12]})


def test_features_of_another_tap_are_refused_with_the_command_that_gives_them(head):
    features = features_of(head)
    features["cls@20"] = features.pop(head.taps[-1])
    with pytest.raises(ProbeError, match=rf"needs tap {head.taps[-1]} of .*cls@20.*--taps {head.taps_option} --view"):
        head.scores(features)


def test_taps_with_different_numbers_of_rows_are_refused(tmp_path):
    save_rine(tmp_path / "rine.pth")
    head = heads.read(tmp_path / "rine.pth")
    features = features_of(head)
    with pytest.raises(ProbeError, match=r"needs 5 rows of ln2@3"):
        head.scores(features | {"ln2@3": features["ln2@3"][:4]})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_by_row(head, value):
    features = features_of(head)
    features[head.taps[0]][3, 7] = value
    with pytest.raises(ProbeError, match=f"row 3 of {head.taps[0]} is not finite"):
        head.scores(features)


def store_of(model, view, **more):
    return StoreSettings(model, "0" * 64, plain(view) | more, view.name, "float32")


def test_stored_features_of_another_model_view_or_tap_are_refused(head):
    taps = {tap: (width,) for tap, width in head.widths.items()}
    model, tap = head.models[0], head.taps[0]
    other = View("squash", crop=224, normalize=OPENAI_CLIP)
    assert head.refusal(store_of(model, head.view), taps) is None
    assert head.refusal(store_of("dinov2", head.view), taps) == f"model dinov2 is not {model}"
    assert head.refusal(store_of(model, other), taps) == f"view squash (224) is not {head.view.name}"
    assert head.refusal(store_of(model, replace(head.view, crop=336)), taps)
    assert head.refusal(store_of(model, replace(head.view, normalize=HALF)), taps)
    assert "jpeg:75" in head.refusal(store_of(model, head.view, perturb="jpeg:75"), taps)
    assert head.refusal(store_of(model, head.view, perturb="", top=None), taps) is None
    others = {t: w for t, w in taps.items() if t != tap}
    assert head.refusal(store_of(model, head.view), others) == f"tap {tap} is missing"
    assert head.refusal(store_of(model, head.view), taps | {tap: (512,)}) == (
        f"tap {tap} is 512 wide, not {taps[tap][0]}"
    )


def test_a_centre_crop_is_the_same_whatever_the_resizing_that_it_does_not_do(tmp_path):
    save_ufd(tmp_path / "fc.pth")
    head = heads.read(tmp_path / "fc.pth")
    of_clip = View("resize", resize=224, crop=224, normalize=OPENAI_CLIP).with_policy("center")
    assert head.refusal(store_of("open_clip:ViT-L-14/openai", of_clip), {"proj": (768,)}) is None


def card(head, **changes):
    given = {"name": head.models[0], "source": "file", "license": "", "view": head.view, "taps": head.widths}
    return ModelCard(**given | {"default_tap": head.taps[0]} | changes)


def test_a_model_that_does_not_fit_is_refused(head):
    tap = head.taps[0]
    head.check_model(card(head))
    head.check_model(card(head, taps=dict.fromkeys(head.taps)))
    head.check_model(card(head, taps={tap: (width,) for tap, width in head.widths.items()}))
    with pytest.raises(ProbeError, match="not dinov2"):
        head.check_model(card(head, name="dinov2"))
    with pytest.raises(ProbeError, match=f"needs tap {tap}, which {head.models[0]} does not have"):
        head.check_model(card(head, taps={"tokens": 3}))
    with pytest.raises(ProbeError, match=r"which has \[512\]"):
        head.check_model(card(head, taps=head.widths | {tap: 512}))
    with pytest.raises(ProbeError, match="normalises pixels otherwise"):
        head.check_model(card(head, view=replace(head.view, normalize=HALF)))


# Files that are no heads


class Stowaway:
    def __reduce__(self):
        return (os.mkdir, ("stowaway",))


def damaged(name):
    """Writes a file of that name; each is wrong in its own way."""
    torch.manual_seed(0)
    match name:
        case "code.pth":
            torch.save({"weight": torch.zeros(1, 768), "bias": Stowaway()}, name)
        case "code.pkl":
            Path(name).write_bytes(pickle.dumps(Stowaway()))
        case "photo.png":
            Image.new("RGB", (8, 8)).save(name)
        case "photo.pth":
            Image.new("RGB", (8, 8)).save("photo.png")
            Path("photo.png").rename(name)
        case "empty.pth":
            Path(name).touch()
        case "folder":
            Path(name).mkdir()
        case "narrow.pth":
            save_ufd(name, width=512)
        case "nan.pth":
            torch.save({"weight": torch.full((1, 768), torch.nan), "bias": torch.zeros(1)}, name)
        case "clip.pth":
            torch.save({f"visual.{number}": torch.zeros(2, 3) for number in range(9)}, name)
        case "list.pth":
            torch.save([torch.zeros(3)], name)
        case "grip3.pth":
            torch.save({"fc.weight": torch.zeros(3, 1024), "fc.bias": torch.zeros(3)}, name)
        case "rine-b.pth":
            save_rine(name, alpha=torch.zeros(1, 12, 16))
        case "rine-whole.pth":
            save_rine(name, **{"clip.visual.proj": torch.zeros(2)})
        case "rine-cut.pth":
            save_rine(name, depth=1, **{"proj1.4.weight": torch.zeros(16, 16)})
        case "rine-scalar.pth":
            save_rine(name, alpha=torch.zeros(()))
        case "text.json":
            Path(name).write_text("{}")


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("code.pth", WeightsError, "nothing else is unpickled"),
        ("code.pkl", WeightsError, "nothing else is unpickled"),
        ("photo.png", ProbeError, "a PNG image, not a probe file.*--probe FILE"),
        ("photo.pth", ProbeError, "a PNG image, not a probe file"),
        ("empty.pth", ProbeError, "empty"),
        ("folder", ProbeError, "a folder, not a probe file"),
        ("nosuch.pth", ProbeError, "there is no such probe file"),
        ("narrow.pth", ProbeError, r"weight is \[1, 512\], expected \[1, 768\]: a head of another model"),
        ("nan.pth", ProbeError, "weight holds a number that is not finite"),
        ("clip.pth", ProbeError, r"visual.0 \[2, 3\].* and 5 more tensors. Known formats: grip: .*rine: .*ufd: "),
        ("list.pth", WeightsError, "holds no named tensors"),
        ("grip3.pth", ProbeError, "fc has 3 outputs, expected 1 or 2"),
        ("rine-b.pth", ProbeError, r"alpha is \[1, 12, 16\]"),
        ("rine-whole.pth", ProbeError, "also holds clip.visual.proj"),
        ("rine-cut.pth", ProbeError, "lacks proj1.4.bias"),
        ("rine-scalar.pth", ProbeError, r"alpha is \[\]"),
        ("text.json", ProbeError, "no saved probe, or half of one: its tensors text.safetensors are missing"),
    ],
)
def test_a_file_that_is_no_head_is_refused_in_one_line(tmp_path, monkeypatch, name, error, said):
    monkeypatch.chdir(tmp_path)
    damaged(name)
    with pytest.raises(error, match=f"^{name}: .*{said}") as refused:
        heads.read(Path(name))
    assert isinstance(refused.value, ProbekitError)
    assert "\n" not in str(refused.value)
    assert not Path("stowaway").exists()
