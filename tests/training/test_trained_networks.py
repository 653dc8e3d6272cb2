"""Trained networks: their heads are their logits, they resume to the same bits, and nothing is mistaken for another."""

import itertools
import json
import os

import numpy as np
import pytest
import timm
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import load_file, save_file
from torchvision.transforms.v2.functional import normalize

from probekit import images, models
from probekit.errors import ModelError, ProbeError, UnknownNameError, UsageError, WeightsError
from probekit.extract import ExtractSettings, extract
from probekit.features import load_features
from probekit.models import tuned
from probekit.training import TrainSettings, check_name, head_of, loop
from probekit.training.data import Crop, batches, minibatches
from tests.training.conftest import lesson_of


def logits_of(network, manifest, arch, **options):
    """timm's own logits of every image of the manifest, from the file of tensors alone."""
    library = timm.create_model(arch, num_classes=len(network.classes), **options).eval()
    library.load_state_dict(load_file(network.tensors))
    view = network.view
    crops = [view.crops(images.load(manifest.root / path))[0] for path in manifest.table["path"]]
    mean, std = list(view.normalize.mean), list(view.normalize.std)
    with torch.inference_mode():
        return library(normalize(torch.stack(crops).float() / 255, mean, std)).double().numpy()


def features_of(network, manifest, cache):
    settings = ExtractSettings((network.model,), precision="float32")
    extract(manifest, settings, cache=cache, weights={network.model: network.folder}, device="cpu")
    return load_features(manifest, f"{network.model}#pool", cache=cache)


@pytest.mark.parametrize(
    ("arch", "options"),
    [("test_resnet", {}), ("test_vit", {"img_size": 32}), ("test_convnext", {}), ("test_efficientnet", {})],
)
def test_the_heads_scores_are_the_networks_logits(arch, options, learn, manifest, tmp_path):
    network = learn(arch=arch).network
    logits = logits_of(network, manifest, arch, **options)
    found = head_of(network).decision_function(features_of(network, manifest, tmp_path / "cache").matrix)
    assert_allclose(found, logits[:, 1] - logits[:, 0], rtol=1e-2, atol=2e-3)  # features are kept in float16


def test_an_attribution_head_has_a_column_for_each_class_in_their_order(learn, manifest, tmp_path):
    network = learn("all", "attribution", epochs=6, patience=6, lr=3e-3).network
    assert network.classes == ("real", "lama", "ldm")
    features = features_of(network, manifest, tmp_path / "cache")
    found = head_of(network).decision_function(features.matrix)
    assert_allclose(found, logits_of(network, manifest, "test_resnet"), rtol=1e-2, atol=2e-3)
    called = np.array(network.classes)[found.argmax(1)]
    assert np.mean(called == features.samples["generator"].to_numpy()) > 0.8


def test_a_network_learns_what_is_there_to_learn(learn):
    trained = learn(epochs=8, lr=3e-3, patience=8)
    assert trained.epochs["val_accuracy"].iloc[trained.network.training["epoch_kept"] - 1] == 1
    assert trained.curve["loss"].iloc[-1] < 0.5 * trained.curve["loss"].iloc[0]


def test_only_train_rows_are_learned_from_and_val_is_of_other_groups(manifest):
    lesson = lesson_of(manifest, "lama")
    table = manifest.table
    assert set(table["split"].iloc[lesson.train]) == {"train"}
    assert set(table["split"].iloc[lesson.val]) == {"val"}
    assert set(table["generator"].iloc[lesson.train]) == {"real", "lama"}
    assert lesson.counts(lesson.train) == {"real": 6, "fake": 6}


def test_a_training_that_was_interrupted_ends_with_the_same_bits(learn, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    options = {"epochs": 3, "augment": ("flip", "crop", "jpeg", "blur"), "mix": "repmix", "loss": "ce+supcon"}
    whole = learn(name="whole", **options).network

    for stop in (2, 4, 8):  # in the first epoch, in the second, in the third

        def interrupt(progress, stop=stop):
            if progress.done >= stop * 4:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            learn(name="resumed", on_progress=interrupt, **options)
    seen = []
    resumed = learn(name="resumed", on_progress=lambda progress: seen.append(progress.done), **options).network
    assert seen[0] == 8 * 4 - 4  # it goes on from the step before the one that was interrupted
    assert resumed.sha256 == whole.sha256
    assert resumed.training["losses"] == whole.training["losses"]
    assert not list(resumed.folder.parent.glob(".*"))  # no checkpoint and no draft is left


def test_threads_that_load_change_no_weight(learn):
    options = {"augment": ("flip", "crop", "jpeg", "blur")}
    one, five = (learn(name=f"by{n}", workers=n, **options).network for n in (1, 5))
    assert one.sha256 == five.sha256


def test_another_seed_gives_other_weights(learn):
    assert learn(name="a", seed=0).network.sha256 != learn(name="b", seed=1).network.sha256


def test_a_network_of_the_same_name_and_settings_is_taken_as_it_is(learn):
    first, again = learn(), learn()
    assert (first.reused, again.reused) == (False, True)
    assert first.network.sha256 == again.network.sha256


def test_a_network_of_the_same_name_and_other_settings_is_refused_unless_forced(learn):
    first = learn()
    with pytest.raises(
        UsageError,
        match=r"one was trained with other settings, another manifest or .*test_resnet scratch, lama of tiny.*--f",
    ):
        learn(lr=1e-3)
    with pytest.raises(UsageError, match="other settings"):
        learn("ldm")
    forced = learn(lr=1e-3, force=True)
    assert not forced.reused
    assert forced.network.sha256 != first.network.sha256


def test_an_unfinished_training_of_other_settings_is_not_gone_on_with(learn, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    def interrupt(progress):
        if progress.done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(on_progress=interrupt)
    with pytest.raises(UsageError, match="unfinished training with other settings"):
        learn(seed=5)
    assert learn(seed=5, force=True).network.settings["seed"] == 5


def interrupted_at(images):
    def interrupt(progress):
        if progress.done >= images:
            raise KeyboardInterrupt

    return interrupt


@pytest.mark.parametrize("before", [{}, {"seed": 5}, None])
def test_a_forced_training_that_was_interrupted_goes_on(before, learn, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    if before is not None:
        learn(**before)  # a network of the same settings, of others, or none
    with pytest.raises(KeyboardInterrupt):
        learn(force=True, on_progress=interrupted_at(8))
    seen = []
    trained = learn(force=True, on_progress=lambda progress: seen.append(progress.done))
    assert seen[0] == 4
    assert not trained.reused
    assert trained.network.sha256 == learn(name="whole").network.sha256


@pytest.mark.parametrize("remains", ["older than the network", "of other settings", "damaged"])
def test_a_forced_training_does_not_go_on_from_what_is_not_its_own(remains, learn, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    network = learn(seed=1).network
    with pytest.raises(KeyboardInterrupt):
        learn(seed=2 if "other" in remains else 1, force=True, on_progress=interrupted_at(8))
    (checkpoint,) = network.folder.parent.glob(".one.checkpoint*")
    if remains == "damaged":
        checkpoint.write_bytes(b"no tensors")
    elif "older" in remains:
        os.utime(checkpoint, ns=(0, 0))
    seen = []
    learn(seed=1, force=True, on_progress=lambda progress: seen.append(progress.done))
    assert seen[0] == 0
    assert not checkpoint.exists()


def test_merged_low_rank_updates_give_what_they_gave_beside_the_weights(learn, manifest, tmp_path, monkeypatch):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "start.safetensors")
    from probekit.training import Trainee

    finished, before = Trainee.finished, {}

    def looked_at(trainee):
        pixels = torch.randint(0, 256, (3, 3, 160, 160), dtype=torch.uint8)
        trainee.module.eval()
        with torch.no_grad():
            before["pixels"], before["rows"] = pixels, trainee.embed(pixels)
        return finished(trainee)

    monkeypatch.setattr(Trainee, "finished", looked_at)
    options = {"arch": "test_vit", "scratch": False, "size": None, "weights": tmp_path / "start.safetensors"}
    network = learn(lora=2, lr=0.02, epochs=2, **options).network
    net = models.find(network.model, network.folder).load("cpu", "float32")
    sizes = torch.tensor([[160, 160]] * 3)
    found = net(models.Batch(before["pixels"], sizes), ["pool"])["pool"]
    assert_allclose(found, before["rows"], rtol=1e-4, atol=1e-5)
    changed, start = load_file(network.tensors), load_file(tmp_path / "start.safetensors")
    moved = {name for name in start if name in changed and not torch.equal(start[name], changed[name])}
    assert moved
    assert all(".attn.qkv.weight" in name or ".attn.proj.weight" in name or "head." in name for name in moved)
    assert network.settings["lr"] == 0.02


def test_low_rank_updates_need_an_attention(learn, tmp_path):
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "start.safetensors")
    with pytest.raises(UsageError, match=r"test_resnet has no attention of timm's kind"):
        learn(scratch=False, lora=2, weights=tmp_path / "start.safetensors")
    with pytest.raises(UsageError, match="leave --scratch out"):
        learn(lora=2)


def test_a_network_that_starts_from_a_file_starts_with_its_weights(learn, tmp_path):
    torch.manual_seed(3)
    library = timm.create_model("test_resnet", num_classes=7)
    save_file(library.state_dict(), tmp_path / "start.safetensors")
    network = learn(scratch=False, lr=1e-12, weights=tmp_path / "start.safetensors").network
    found = load_file(network.tensors)
    assert_allclose(found["conv1.0.weight"], library.conv1[0].weight.detach(), atol=1e-9)
    assert found["fc.weight"].shape[0] == 2
    assert network.training["start"]["source"] == "file"


def test_a_vit_of_another_size_is_resampled_on_the_way_in_and_never_again(learn, manifest, tmp_path):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "start.safetensors")
    network = learn(arch="test_vit", scratch=False, weights=tmp_path / "start.safetensors").network
    logits = logits_of(network, manifest, "test_vit", img_size=32)
    found = head_of(network).decision_function(features_of(network, manifest, tmp_path / "cache").matrix)
    assert_allclose(found, logits[:, 1] - logits[:, 0], rtol=1e-2, atol=2e-3)


def test_npr_is_what_pixels_differ_by_from_the_first_of_their_cell(learn, manifest, tmp_path):
    pixels = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    half = torch.nn.functional.interpolate(pixels, scale_factor=0.5, mode="nearest")
    up = torch.nn.functional.interpolate(half, scale_factor=2, mode="nearest")
    assert_allclose(tuned.npr_map(pixels), (pixels - up) * 2 / 3, rtol=1e-6)
    odd = tuned.npr_map(pixels[..., :5, :7])
    assert odd.shape[-2:] == (5, 7)
    assert_array_equal(odd[..., ::2, ::2], 0)


def test_a_network_of_npr_sees_npr_when_its_features_are_extracted(learn, manifest, tmp_path):
    network = learn(input="npr").network
    flat = torch.full((1, 3, 32, 32), 90, dtype=torch.uint8)
    batch = models.Batch(torch.cat([flat, flat + 80]), torch.tensor([[32, 32]] * 2))
    rows = models.find(network.model, network.folder).load("cpu", "float32")(batch, ["pool"])["pool"]
    assert_array_equal(rows[0], rows[1])  # a flat image of any colour leaves nothing
    card = models.find(network.model, network.folder).card
    assert card.settings["input"] == "npr"


@pytest.mark.parametrize("loss", ["supcon", "triplet"])
def test_contrastive_losses_alone_leave_a_network_without_a_head(loss, learn):
    network = learn(loss=loss, epochs=2, batch_size=6).network
    assert network.head is None
    assert not any(name.startswith(("fc.", "projector")) for name in load_file(network.tensors))
    assert network.training["epochs"][0]["val_accuracy"] is None
    with pytest.raises(WeightsError, match="has no classifier"):
        head_of(network)


@pytest.mark.parametrize(
    ("mix", "lesson", "task"), [("repmix", "all", "attribution"), ("latent", "lama+ldm", "binary")]
)
def test_mixing_trains_a_network_that_still_tells_them_apart(mix, lesson, task, learn):
    trained = learn(lesson, task, mix=mix, epochs=8, lr=3e-3, patience=8, batch_size=6)
    assert trained.epochs["val_accuracy"].max() > 0.8


def test_training_ends_when_the_val_loss_has_not_fallen_and_the_best_epoch_is_kept(learn, tmp_path):
    trained = learn(epochs=20, lr=0.05, patience=2, optimizer="sgd")
    training, epochs = trained.network.training, trained.epochs
    assert training["epochs_done"] < 20
    assert training["epoch_kept"] == 1 + int(np.argmin(epochs["val_loss"]))
    assert training["epochs_done"] == training["epoch_kept"] + 2
    assert f"the best by val loss: {training['epoch_kept']}" in training["stopped"]


def test_a_val_loss_that_does_not_fall_ends_the_training_though_it_does_not_rise(learn):
    training = learn(arch="test_vit", epochs=6, lr=1e-30, patience=2).network.training
    assert len({epoch["val_loss"] for epoch in training["epochs"]}) == 1
    assert (training["epoch_kept"], training["epochs_done"]) == (1, 3)


def test_images_that_cannot_be_read_are_named_and_left_out(learn, manifest):
    broken = manifest.root / "lama" / "01.png"
    kept = broken.read_bytes()
    try:
        broken.write_bytes(kept[:200])
        trained = learn()
    finally:
        broken.write_bytes(kept)
    assert list(trained.failed) == ["lama/01.png"]
    assert "truncated or damaged" in trained.failed["lama/01.png"]
    assert learn().failed == trained.failed  # said again when the network is taken as it is


def test_a_training_without_a_readable_image_is_an_error_and_leaves_no_network(learn, manifest, damaged, tmp_path):
    damaged(lesson_of(manifest).train)
    with pytest.raises(ProbeError, match=r"lama: fewer than two of its training images can be read \(.*manifest check"):
        learn(epochs=2)
    assert not (tmp_path / "cache" / "networks" / "one").exists()


def test_one_readable_image_is_not_learned_from_and_no_success(learn, manifest, damaged):
    damaged(lesson_of(manifest).train[1:])
    with pytest.raises(ProbeError, match="fewer than two of its training images"):
        learn()


@pytest.mark.parametrize(
    ("readable", "expected"),
    [
        ([2, 2, 2], [(2, 1), (2, 1), (2, 1)]),
        ([0, 2, 0, 1, 2, 0, 1], [(2, 2), (4, 5)]),  # one alone joins those after it, the last those before
        ([1, 1, 3, 0], [(2, 2), (3, 2)]),
        ([0, 1, 0], []),
        ([], []),
    ],
)
def test_an_image_that_is_alone_in_its_batch_joins_others(readable, expected):
    there, count = torch.zeros(3, 1, 1, dtype=torch.uint8), itertools.count()
    loaded = [[Crop(next(count), there if i < n else None) for i in range(3)] for n in readable]
    found = list(minibatches(loaded))
    assert [(len(one.crops), one.batches) for one in found] == expected
    rows = [crop.row for one in found for crop in one.crops]
    assert rows == [crop.row for batch in loaded for crop in batch if crop.pixels is not None][: len(rows)]
    assert not expected or len(rows) == sum(readable)
    ends = list(itertools.accumulate(one.batches for one in found))
    for number, end in enumerate(ends):  # what is left after any of them is divided as it was
        assert list(minibatches(loaded[end:])) == found[number + 1 :]


def test_batches_without_a_readable_image_are_no_losses_and_an_interruption_goes_on_after_them(
    learn, manifest, damaged, monkeypatch
):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    options = {"epochs": 2, "batch_size": 2}
    settings = TrainSettings("test_resnet", scratch=True, size=32, **options)
    order = batches(lesson_of(manifest).order(settings, 0), 2)
    damaged([*order[0], *order[2], order[3][0]])
    whole = learn(name="whole", **options).network.training
    assert len(whole["failed"]) == 5
    losses = [row["loss"] for row in whole["losses"]]
    first = losses[:3]  # of batches 1, 3 and 4 together, and 5
    assert min(losses) > 0
    assert [epoch["loss"] for epoch in whole["epochs"]] == pytest.approx([np.mean(first), np.mean(losses[3:])])

    for stop in (10, 18):  # in the first epoch, in the second

        def interrupt(progress, stop=stop):
            if progress.done >= stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            learn(name="resumed", on_progress=interrupt, **options)
    seen = []
    resumed = learn(name="resumed", on_progress=lambda progress: seen.append(progress.done), **options).network.training
    assert seen[0] > 12
    assert (resumed["losses"], resumed["epochs"]) == (whole["losses"], whole["epochs"])


def test_a_loss_that_is_no_number_names_the_step_and_the_learning_rate(learn):
    with pytest.raises(
        ProbeError, match=r"the loss is (nan|inf) at step \d+ with learning rate 1e\+30: choose a lower"
    ):
        learn(lr=1e30, epochs=9, patience=9)


def test_a_network_without_a_linear_head_is_refused(learn):
    with pytest.raises(ModelError, match="deit_tiny_distilled_patch16_224: its classifier is more than one linear map"):
        learn(arch="deit_tiny_distilled_patch16_224", size=None)


def test_a_size_that_the_network_cannot_take_is_refused(learn):
    with pytest.raises(UsageError, match="test_vit cannot be built for images of 33 × 33"):
        learn(arch="test_vit", size=33)


def test_an_unknown_network_lists_the_nearest(learn):
    with pytest.raises(UnknownNameError, match=r"timm model 'xception4'\. Did you mean 'xception41'"):
        learn(arch="xception4")


def test_weights_and_random_weights_contradict_each_other(learn, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="leave one of the two out"):
        learn(weights=tmp_path / "a.safetensors")


def test_a_training_set_of_one_class_is_refused(manifest):
    table = manifest.table[(manifest.table["label"] == 0) | (manifest.table["split"] != "train")]
    with pytest.raises(ProbeError, match="lama has no fake samples in the train split"):
        lesson_of(type("Few", (), {"table": table.reset_index(drop=True)}), "lama")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "supcon", "mix": "repmix"}, "mixes what cross-entropy classifies"),
        ({"lr": float("nan")}, "learning rate is a positive number"),
        ({"weight_decay": -1.0}, "it is 0 or more"),
        ({"batch_size": 1}, "at least 2"),
        ({"augment": ("flop",)}, "unknown augmentation 'flop'. Did you mean 'flip'"),
        ({"view": "tile"}, "unknown view"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        TrainSettings("test_resnet", **options)


@pytest.mark.parametrize("name", ["", ".hidden", "a+b", "a/b", "a#b", "a,b", "a=b", "a\nb"])
def test_names_that_would_mean_something_else_are_refused(name):
    with pytest.raises(UsageError, match="a network's name"):
        check_name(name)


def test_swapped_tensors_are_refused(learn):
    one, two = learn(name="one").network, learn(name="two", seed=2).network
    one.tensors.write_bytes(two.tensors.read_bytes())
    with pytest.raises(WeightsError, match=r"not the weights that network\.json was written with"):
        models.find("tuned:one", one.folder)


def test_a_missing_or_damaged_network_is_told(learn):
    network = learn().network
    with pytest.raises(WeightsError, match=r"no trained network in .*onr\. Did you mean 'one'\? There are one\."):
        models.find("tuned:onr", network.folder.with_name("onr"))
    with pytest.raises(WeightsError, match="--weights tuned:one=FOLDER"):
        models.find("tuned:one")
    description = network.folder / "network.json"
    record = json.loads(description.read_text())
    del record["classes"]
    description.write_text(json.dumps(record))
    with pytest.raises(WeightsError, match=r"network\.json: damaged \(KeyError: 'classes'\)"):
        models.find("tuned:one", network.folder)
    description.write_text(json.dumps(record | {"format": 99}))
    with pytest.raises(WeightsError, match="update probekit"):
        models.find("tuned:one", network.folder)


@pytest.mark.parametrize(
    "options",
    [
        {"checkpoint_path": "/tmp/elsewhere.pth"},
        {"pretrained": True},
        {"pretrained_cfg": {"file": "elsewhere.pth"}},
        {"img_size": 32, "pretrained_cfg_overlay": {"url": "https://example.org/weights.pth"}},
        {"img_size": "32"},
        {"img_size": True},
        {"img_size": 0},
    ],
)
def test_a_description_from_elsewhere_gives_timm_no_options_but_our_own(options, learn):
    network = learn(arch="test_vit").network
    description = network.folder / "network.json"
    record = json.loads(description.read_text())
    assert set(record["options"]) == set(tuned.OPTIONS)
    description.write_text(json.dumps(record | {"options": options}))
    with pytest.raises(
        WeightsError, match=rf"network\.json: option '{list(options)[-1]}' is .*none but img_size"
    ) as told:
        models.find("tuned:one", network.folder)
    assert "\n" not in str(told.value)


def test_the_weights_are_part_of_the_address_and_the_taps_are_timms(learn):
    first, second = (learn(name=name, seed=seed).network for name, seed in (("a", 0), ("b", 1)))
    cards = [models.find(network.model, network.folder) for network in (first, second)]
    assert cards[0].weights.sha256 != cards[1].weights.sha256
    assert set(cards[0].card.taps) == {"pool", "mean", "patches"}
    assert set(tuned.locate_all(first.folder.parents[1])) == {"tuned:a", "tuned:b"}
