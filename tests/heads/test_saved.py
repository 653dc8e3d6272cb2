"""Saved probes come back as they were, score as they did, and say in one line what is wrong with a file."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import load_file, save_file

from probekit import heads, probes
from probekit.arrays import Float
from probekit.errors import ProbeError, ProbekitError, StoreError
from probekit.features import Source
from probekit.fingerprint import hash_file, plain
from probekit.heads.saved import Block, Calibration, blocks_of, save_probe
from probekit.probes import saving
from probekit.probes.classifier import Classifier
from probekit.probes.conditions import Condition, fit_condition
from probekit.projections import Fitted
from probekit.store import Store, StoreSettings
from probekit.views import View
from tests.heads.learned import NATIVE, NPR, learned

FOUR = ("real", "lama", "ldm", "sd")
DOCS = Path(__file__).parents[2] / "docs" / "heads.md"


# There and back


@pytest.mark.parametrize("condition", ["raw", "l2", "layernorm", "zscore"])
@pytest.mark.parametrize("classes", [FOUR[:2], FOUR])
def test_a_probe_comes_back_bit_for_bit(tmp_path, classes, condition):
    probe, features = learned(classes)
    probe = replace(probe, condition=fit_condition(condition, features, probe.condition.widths))
    path = save_probe(tmp_path / "probes" / "lama", probe)
    assert path == tmp_path / "probes" / "lama.safetensors"
    for file in (path, path.with_suffix(".json")):
        back = heads.read(file).probe
        assert_array_equal(back.decisions(features), probe.decisions(features))
        assert_array_equal(back.classifier.weights, probe.classifier.weights)
        assert (back.classifier.converged, back.classifier.gradient, back.classifier.iterations) == (True, 1e-7, 12)
        ignored = {"condition", "classifier"}
        assert {k: v for k, v in vars(back).items() if k not in ignored} == {
            k: v for k, v in vars(probe).items() if k not in ignored
        }


@pytest.mark.parametrize("unit", [False, True])
def test_a_probe_on_projected_features_comes_back_with_its_projection(tmp_path, unit):
    probe, features = learned()
    rng = np.random.default_rng(1)
    fitted = Fitted(rng.normal(size=63), rng.normal(size=(63, 3)), {"kind": "lda", "classes": ["a", "b"], "loss": None})
    condition = replace(probe.condition, projection=fitted, unit=unit)
    probe = replace(probe, condition=condition, classifier=replace(probe.classifier, weights=rng.normal(size=(3, 1))))
    back = heads.read(save_probe(tmp_path / "probe", probe)).probe
    assert_array_equal(back.decisions(features), probe.decisions(features))
    assert back.condition.projection.record["kind"] == "lda"
    rows = (condition.apply(features[:5]) ** 2).sum(axis=1)
    assert np.allclose(rows, 1.0) == unit


def test_a_condition_saved_before_there_were_projections_has_none():
    probe, _ = learned()
    arrays, fields = saving.pack(probe.condition, "condition")
    del fields["projection"], fields["unit"]
    back = saving.unpack(Condition, fields, arrays, {"projection": Fitted})
    assert (back.projection, back.unit) == (None, False)


@dataclass(frozen=True, eq=False)
class Bank(Classifier):
    """Of a plug-in: a neighbour's vote, with arrays in a tuple and several kinds of numbers."""

    rows: tuple[Float[np.ndarray, "n d"], ...]
    k: int
    metric: str
    weighted: bool = False
    centre: Float[np.ndarray, " d"] | None = None

    def decision_function(self, features):
        near = [np.sort(np.linalg.norm(features[:, None] - bank, axis=2), axis=1)[:, : self.k] for bank in self.rows]
        return near[0].mean(axis=1) - near[1].mean(axis=1)


@pytest.fixture
def neighbours(monkeypatch):
    """A probe of a plug-in, registered as `neighbours`."""

    class Neighbours(probes.Probe):
        def fit(self, features, labels, *, device="cpu"):
            raise NotImplementedError

    Neighbours.__module__ = __name__
    monkeypatch.setitem(probes._probes._parts, "neighbours", Neighbours)
    probe, features = learned(widths=(5, 4), settings=(NPR, NPR), taps=("a", "b"))
    banks = (features[:9, ::-1].astype(np.float32), features[9:12].astype(np.float16))
    kind = Bank(np.arange(2), probabilistic=False, converged=True, rows=banks, k=np.int64(3), metric="cosine")
    return replace(probe, probe="neighbours", classifier=kind, parameter="k", value=3.0), features


def test_the_classifier_of_a_plug_in_is_saved_by_its_fields(tmp_path, neighbours):
    probe, features = neighbours
    back = heads.read(save_probe(tmp_path / "bank", probe))
    assert type(back.probe.classifier) is Bank
    assert [bank.dtype for bank in back.probe.classifier.rows] == [np.float32, np.float16]
    assert (back.probe.classifier.k, back.probe.classifier.metric, back.probe.classifier.centre) == (3, "cosine", None)
    assert_array_equal(back.probe.decisions(features), probe.decisions(features))
    assert back.scores({"a": features[:, :5], "b": features[:, 5:]}) == pytest.approx(probe.decisions(features))


def test_a_field_that_a_class_got_later_takes_its_default(tmp_path, neighbours):
    arrays, fields = saving.pack(neighbours[0].classifier, "classifier")
    del fields["weighted"]
    assert saving.unpack(Bank, fields, arrays).weighted is False
    with pytest.raises(ProbeError, match="lacks the field 'k'"):
        saving.unpack(Bank, {name: value for name, value in fields.items() if name != "k"}, arrays)
    with pytest.raises(ProbeError, match=r"a field 'later' that is not known here: update probekit"):
        saving.unpack(Bank, fields | {"later": 1}, arrays)


def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path, neighbours):
    probe, _ = learned()
    bad = {
        "weights holds a number that is not finite": replace(probe.classifier, weights=np.full((63, 1), np.nan)),
        "only arrays, numbers, strings": replace(probe.classifier, gradient={1.0}),
        "only numbers can be saved": replace(probe.classifier, bias=np.array(["x"])),
        "gradient is inf": replace(probe.classifier, gradient=np.inf),
        "arrays have wrong shapes for 63 features": replace(probe.classifier, weights=np.ones((62, 1))),
    }
    for said, classifier in bad.items():
        with pytest.raises(ProbeError, match=said):
            save_probe(tmp_path / "bad", replace(probe, classifier=classifier))
    with pytest.raises(ProbeError, match="not finite"):
        save_probe(tmp_path / "bad", replace(probe, threshold=np.nan))
    with pytest.raises(ProbeError, match="not finite"):
        save_probe(tmp_path / "bad", replace(probe, selection={"loss": np.nan}))
    assert not list(tmp_path.glob("bad.json"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "ranking"}, "task 'ranking'"),
        ({"class_names": ("real", "lama", "ldm")}, "2 classes with the names"),
        ({"class_names": ("lama", "real")}, "the first class of a binary probe is real, not lama"),
        ({"prior": (0, 3)}, "prior"),
        ({"crops": "some"}, "crops 'some'"),
        ({"blocks": (Block("blocks", 62, NPR),)}, "for widths"),
    ],
)
def test_a_probe_that_contradicts_itself_is_refused(changes, said):
    with pytest.raises(ProbeError, match=said):
        learned(**changes)


def test_blocks_are_described_by_the_stores_they_came_from(tmp_path):
    store = Store.create(tmp_path, NPR, {"default_tap": "blocks", "batch_size": 1})
    source = Source("npr", "blocks", NPR.view_name, "float32", store.settings.address)
    assert blocks_of([source], [63], tmp_path) == (Block("blocks", 63, NPR),)
    with pytest.raises(StoreError, match=r"store abcdef.* is gone"):
        blocks_of([replace(source, address="abcdef" * 9)], [63], tmp_path)


# What a score means


def test_a_score_is_the_calibrated_log_odds(tmp_path):
    probe, features = learned(calibration=Calibration("platt", 0.5, -2.0), threshold=0.25, threshold_by="val-eer")
    head = heads.read(save_probe(tmp_path / "lama", probe))
    scores = head.scores({"blocks": features})
    assert_allclose(scores, 0.5 * probe.decisions(features) - 2.0, rtol=1e-12)
    assert_allclose(head.probabilities(scores), 1 / (1 + np.exp(-scores)), rtol=1e-12)
    assert_allclose(head.more_columns(head.outputs({"blocks": features}), 3)["llr"], scores - np.log(10 / 30))
    assert head.cut == 0.25
    assert head.threshold == pytest.approx(1 / (1 + np.exp(-0.25)))


def test_attribution_gives_log_odds_of_fake_and_the_likeliest_generators(tmp_path):
    probe, features = learned(FOUR, calibration=Calibration("temperature", 1 / 1.7, 0.0))
    head = heads.read(save_probe(tmp_path / "four", probe))
    outputs = head.outputs({"blocks": features})
    shares = np.exp(probe.decisions(features) / 1.7)
    shares /= shares.sum(axis=1, keepdims=True)
    assert_allclose(head.collapse(outputs), np.log(1 - shares[:, 0]) - np.log(shares[:, 0]), rtol=1e-9, atol=1e-9)
    columns = head.more_columns(outputs, 2)
    assert list(columns) == ["llr", "predicted", "top1", "p_top1", "top2", "p_top2"]
    ordered = np.sort(shares[:, 1:], axis=1)
    assert_allclose(columns["p_top1"], ordered[:, -1], rtol=1e-9)
    assert_allclose(columns["p_top2"], ordered[:, -2], rtol=1e-9)
    assert list(columns["top1"]) == [FOUR[1 + best] for best in shares[:, 1:].argmax(axis=1)]
    assert list(columns["predicted"]) == [FOUR[best] for best in shares.argmax(axis=1)]
    assert len(set(columns["predicted"])) > 2, "the features tell nothing"
    assert "top3" in head.more_columns(outputs, 9)
    assert "top4" not in head.more_columns(outputs, 9)


def test_margins_of_many_classes_are_compared_and_not_added_up(tmp_path):
    probe, features = learned(FOUR)
    margins = replace(probe.classifier, probabilistic=False)
    head = heads.read(save_probe(tmp_path / "four", replace(probe, classifier=margins)))
    decisions = probe.decisions(features)
    outputs = head.outputs({"blocks": features})
    assert_allclose(head.collapse(outputs), decisions[:, 1:].max(axis=1) - decisions[:, 0], rtol=1e-12)
    columns = head.more_columns(outputs, 1)
    assert list(columns) == ["predicted", "top1", "p_top1"]
    assert np.isnan(columns["p_top1"]).all()
    fake = head.collapse(outputs) > 0
    assert ((columns["predicted"] != "real") == fake).all()
    assert 0 < fake.sum() < len(fake)


def test_a_calibration_of_none_makes_no_probabilities(tmp_path, neighbours):
    probe = replace(neighbours[0], calibration=Calibration("none", 1.0, 0.0))
    back = heads.read(save_probe(tmp_path / "bank", probe)).probe
    assert (probe.probabilistic, back.probabilistic, back.calibration) == (False, False, None)


def test_logits_far_apart_do_not_overflow(tmp_path):
    probe, _ = learned(FOUR)
    head = heads.read(save_probe(tmp_path / "four", probe))
    assert head.collapse(np.array([[2000.0, 0, 0, 0], [-2000.0, 0, 0, 0]])) == pytest.approx(
        [np.log(3) - 2000, np.log(3) + 2000]
    )


def test_attribution_of_a_single_generator_names_it_too(tmp_path):
    probe, features = learned(task="attribution")
    head = heads.read(save_probe(tmp_path / "one", probe))
    columns = head.more_columns(head.outputs({"blocks": features}), 3)
    assert set(columns["top1"]) == {"lama"}
    assert_allclose(columns["p_top1"], head.probabilities(head.scores({"blocks": features})), rtol=1e-9)


def test_a_probe_without_probabilities_says_so(tmp_path, neighbours):
    probe, features = neighbours
    head = heads.read(save_probe(tmp_path / "bank", probe))
    scores = head.scores({"a": features[:, :5], "b": features[:, 5:]})
    assert np.isnan(head.probabilities(scores)).all()
    assert head.more_columns(scores, 3) == {}
    assert (head.threshold, head.kind) == (None, None)
    assert "no log-odds" in head.notes[0]
    given = replace(probe, calibration=Calibration("platt", 1.5, 0.1))
    assert heads.read(save_probe(tmp_path / "given", given)).notes == ()


def test_one_vs_rest_calls_images_by_the_names_of_its_classes(tmp_path):
    probe, _ = learned(("rest", "lama"), task="one-vs-rest")
    head = heads.read(save_probe(tmp_path / "rest", probe))
    assert head.verdicts == ("rest", "lama")
    assert head.to_json()["polarity"] == "positive is lama"


def test_features_are_rounded_as_the_store_rounds_them_and_averaged_as_a_join_does(tmp_path):
    probe, features = learned()
    head = heads.read(save_probe(tmp_path / "mean", probe))
    stored = features.astype(np.float16).astype(np.float32)
    assert_array_equal(head.as_stored({"blocks": features[:1]})["blocks"], stored[:1])
    mean = stored[:7].astype(np.float64).mean(axis=0).astype(np.float32)
    assert_array_equal(head.as_stored({"blocks": features[:7]})["blocks"], mean[None])
    every = heads.read(save_probe(tmp_path / "all", replace(probe, crops="all")))
    assert_array_equal(every.as_stored({"blocks": features[:7]})["blocks"], stored[:7])


# What does not fit


def test_each_thing_that_makes_other_features_is_refused_with_both_sides(tmp_path):
    clip = StoreSettings("clip", "ab" * 32, plain(NATIVE), NATIVE.name, "bfloat16", "float16", {"quick_gelu": True})
    probe, _ = learned(settings=(clip,), taps=("cls@3",))
    head = heads.read(save_probe(tmp_path / "clip", probe))
    taps = {"cls@3": (63,)}
    squash = replace(clip, view=plain(View("squash", crop=512)), view_name="squash512")
    assert head.refusal(clip, taps) is None
    assert head.refusal(replace(clip, model="dinov2"), taps) == "model dinov2 is not clip"
    assert head.refusal(squash, taps) == "view squash (512) is not native512"
    assert head.refusal(clip, {"cls": (63,)}) == "tap cls@3 is missing"
    assert head.refusal(clip, {"cls@3": (64,)}) == "tap cls@3 is 64 wide, not 63"
    assert head.refusal(replace(clip, precision="float32"), taps) == "precision float32 is not bfloat16"
    assert head.refusal(replace(clip, weights_sha256="cd" * 32), taps) == f"weights {'cd' * 6} is not {'ab' * 6}"
    assert head.refusal(replace(clip, dtype="float32"), taps) == "number format float32 is not float16"
    assert "quick_gelu" in head.refusal(replace(clip, model_settings={}), taps)
    perturbed = replace(clip, view=clip.view | {"perturb": "jpeg:75"})
    assert head.refusal(perturbed, taps) == "view native (512, jpeg:75) is not native512"
    assert head.extract_command("faces") == (
        "probekit extract --model clip --taps cls@3 --view native --precision bfloat16 --manifest faces"
    )


def test_features_side_by_side_of_two_models_are_refused_plainly(tmp_path):
    srm = replace(NPR, model="srm")
    probe, _ = learned(widths=(5, 4), settings=(NPR, srm), taps=("blocks", "blocks"))
    path = save_probe(tmp_path / "both", probe)
    with pytest.raises(ProbeError, match=r"npr#blocks\+srm#blocks side by side.*predict runs one model in one view"):
        heads.read(path)


def damaged(tmp_path, how):
    """A saved probe with one thing wrong."""
    path = save_probe(tmp_path / "lama", learned()[0])
    description = path.with_suffix(".json")
    record = json.loads(description.read_text())
    arrays = load_file(path)
    match how:
        case "no json":
            description.unlink()
        case "no tensors":
            path.unlink()
            return description
        case "flipped":
            content = bytearray(path.read_bytes())
            content[-3] ^= 1
            path.write_bytes(content)
        case "swapped":
            save_probe(tmp_path / "other", learned(seed=1)[0])
            (tmp_path / "other.safetensors").replace(path)
        case "newer":
            description.write_text(json.dumps({"kind": record["kind"], "format": 2, "probekit": "9.9"}))
        case "text":
            description.write_text("{")
        case "nan":
            description.write_text(description.read_text().replace("0.01", "NaN", 1))
        case "other json":
            description.write_text("{}")
        case "lacks":
            del record["threshold"]
        case "probe":
            record["probe"]["name"] = "forest"
        case "class":
            record["classifier"]["class"] = "Forest"
        case "store":
            record["features"][0]["precision"] = "bfloat16"
        case "names":
            record["classes"] = ["real"]
        case "shape":
            save_file(arrays | {"classifier.weights": arrays["classifier.weights"][:60]}, path)
        case "fit":
            save_file(arrays | {"classifier.weights": arrays["classifier.weights"][:60]}, path)
            record["classifier"]["fields"]["weights"]["shape"] = [60, 1]
        case "gone":
            del arrays["condition.scale"]
            save_file(arrays, path)
        case "infinite":
            save_file(arrays | {"classifier.bias": np.array([np.inf])}, path)
    if how in ("lacks", "probe", "class", "store", "names", "shape", "fit", "gone", "infinite"):
        description.write_text(json.dumps(record | {"sha256": hash_file(path)}))
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no json", r"lama.json: missing; a saved probe is two files"),
        ("no tensors", r"lama.json: .*tensors lama.safetensors are missing"),
        ("flipped", r"SHA-256 differs.*damaged or was swapped"),
        ("swapped", r"SHA-256 differs.*damaged or was swapped"),
        ("newer", r"of format 2, saved by probekit 9.9.*update probekit"),
        ("text", r"lama.json: damaged, not JSON"),
        ("nan", r"lama.json: damaged, not JSON \(NaN is not a finite number\)"),
        ("other json", r"not the description of a saved probe"),
        ("lacks", r"lama.json: damaged \(KeyError: 'threshold'\)"),
        ("probe", r"unknown probe 'forest'.*plug-in"),
        ("class", r"no class named 'Forest'"),
        ("store", r"does not give the address of its store"),
        ("names", r"2 classes with the names real"),
        ("shape", r"classifier.weights is \[60, 1\], expected \[63, 1\]"),
        ("fit", r"wrong shapes for 63 features"),
        ("gone", r"holds no tensor condition.scale"),
        ("infinite", r"classifier.bias holds a number that is not finite"),
    ],
)
def test_a_file_that_is_no_saved_probe_is_refused_in_one_line(tmp_path, how, said):
    with pytest.raises(ProbeError, match=said) as refused:
        heads.read(damaged(tmp_path, how))
    assert isinstance(refused.value, ProbekitError)
    assert "\n" not in str(refused.value)
    assert str(tmp_path / "lama") in str(refused.value)


def test_the_folder_of_a_run_stands_for_its_only_probe(tmp_path):
    run = tmp_path / "run"
    save_probe(run / "probes" / "binary" / "lama", learned()[0])
    assert heads.read(run).probe.train == "lama"
    save_probe(run / "probes" / "ldm", learned(("real", "ldm"))[0])
    with pytest.raises(ProbeError, match=r"holds 2 saved probes: give one of .*lama.json, .*ldm.json"):
        heads.read(run)
    (tmp_path / "empty" / "probes").mkdir(parents=True)
    with pytest.raises(ProbeError, match="its folder probes holds no saved probe"):
        heads.read(tmp_path / "empty")


def test_an_older_file_survives_a_save_that_fails(tmp_path, monkeypatch):
    path = save_probe(tmp_path / "lama", learned()[0])
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(ProbeError, match=r"cannot be written \(No space left on device\)"):
        save_probe(path, learned(seed=1)[0])
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lama.json", "lama.safetensors"]


def test_every_field_of_a_condition_is_kept():
    arrays, fields = saving.pack(fit_condition("zscore", np.eye(3), [3]), "condition")
    assert fields.keys() == Condition.__dataclass_fields__.keys()
    assert set(arrays) >= {"condition.shift", "condition.scale"}


def test_the_documented_example_recomputes_a_score_without_probekit(tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert "probekit" not in example
    probe, features = learned(calibration=Calibration("platt", 0.5, -2.0), threshold=0.25)
    head = heads.read(save_probe(tmp_path / "lama", probe))
    np.save(tmp_path / "features.npy", features)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(example, names)
    assert_allclose(names["scores"], head.scores({"blocks": features}), rtol=1e-12)
    assert_array_equal(names["fake"], head.scores({"blocks": features}) > 0.25)
