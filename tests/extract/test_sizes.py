"""What features will take on the disk, told before anything is computed."""

import shutil
from types import SimpleNamespace

import pytest

from probekit import models
from probekit.errors import StoreError, UnknownNameError
from probekit.extract import ExtractSettings, extract
from probekit.extract.sizes import estimate_size
from probekit.files import spell_size
from probekit.models import ModelCard, Weights
from probekit.views import View

CLIP = ModelCard(
    "vit", "none", "MIT", View("native", crop=224), {"cls": (1024,), "patches@20": (256, 1024), "odd": None}, "cls"
)


@pytest.fixture
def vit(monkeypatch):
    """A model as large as CLIP on paper."""
    found = models.find
    model = models.Model(CLIP, Weights(), lambda *_: pytest.fail("nothing is loaded"))
    monkeypatch.setattr(models, "find", lambda name, file=None: model if name == "vit" else found(name, file))


@pytest.fixture
def disk(monkeypatch):
    """Sets the bytes free on every disk."""

    def set_free(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    return set_free


def test_patch_tokens_take_half_a_megabyte_an_image_and_say_so(vit, disk, make_manifest, tmp_path):
    disk(10 << 30)
    size = estimate_size(make_manifest(4), ExtractSettings(("vit",), taps=("patches@20", "cls")), cache=tmp_path)
    assert size.image_bytes == 256 * 1024 * 2 + 1024 * 2
    assert size.needed == 4 * size.image_bytes
    assert size.remarks() == [f"vit: patches@20 take 512 KiB an image, 2 MiB in all; 10 GiB are free at {tmp_path}."]
    size.check()


def test_float32_and_several_crops_multiply_the_size(vit, make_manifest, tmp_path):
    settings = ExtractSettings(("vit",), view="texture:10", taps=("patches@20",), dtype="float32")
    size = estimate_size(make_manifest(2), settings, cache=tmp_path)
    assert size.image_bytes == 10 * 256 * 1024 * 4
    assert size.remarks()[0].startswith("vit: patches@20 take 10 MiB an image, 20 MiB in all;")


def test_one_vector_an_image_is_not_worth_a_remark(vit, make_manifest, tmp_path):
    assert not estimate_size(make_manifest(2), ExtractSettings(("vit", "srm")), cache=tmp_path).remarks()


def test_what_only_the_loaded_model_knows_is_said_to_be_unknown(vit, make_manifest, tmp_path):
    size = estimate_size(make_manifest(2), ExtractSettings(("vit",), taps=("odd",)), cache=tmp_path)
    assert size.remarks() == ["vit: what odd take is known once they are computed."]


@pytest.mark.parametrize("taps", [("patches@20",), ("cls",)])
def test_features_that_do_not_fit_on_the_disk_are_refused_in_one_line(taps, vit, disk, make_manifest, tmp_path):
    disk(1000)
    size = estimate_size(make_manifest(4), ExtractSettings(("vit",), taps=taps), cache=tmp_path / "not" / "there")
    with pytest.raises(
        StoreError, match=r"there: the features still need .* an image\), but 1000 bytes are free there\."
    ):
        size.check()
    assert not (tmp_path / "not").exists()


def test_what_is_there_already_needs_no_room(disk, make_manifest, tmp_path):
    settings, cache = ExtractSettings(("srm",)), tmp_path / "cache"
    extract(make_manifest(3), settings, cache=cache)
    disk(0)
    assert estimate_size(make_manifest(3), settings, cache=cache).needed == 0
    row = 2 * 135
    assert estimate_size(make_manifest(5), settings, cache=cache).needed == 2 * row
    other = ExtractSettings(("srm",), dtype="float32")
    assert estimate_size(make_manifest(3), other, cache=cache).needed == 3 * 2 * row
    center = ExtractSettings(("srm",), view="center")
    assert estimate_size(make_manifest(3), center, cache=cache).needed == 3 * row


def test_a_request_of_a_model_that_does_not_run_is_an_error(make_manifest, tmp_path):
    with pytest.raises(UnknownNameError, match="model of --taps 'clip'"):
        estimate_size(make_manifest(1), ExtractSettings(("srm",), taps=("clip#cls@all",)), cache=tmp_path)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1000, "1000 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (526336, "514 KiB"),
        (3 << 50, "3072 TiB"),
    ],
)
def test_sizes_are_spelled_for_people(size, text):
    assert spell_size(size) == text


def test_crops_and_perturbations_multiply_what_is_needed(make_manifest, tmp_path):
    manifest = make_manifest(3)
    plain = estimate_size(manifest, ExtractSettings(("srm",)), cache=tmp_path)
    many = ExtractSettings(("srm",), view="tencrop", perturb=("none,jpeg:75",))
    assert estimate_size(manifest, many, cache=tmp_path).image_bytes == 20 * plain.image_bytes
    some = ExtractSettings(("srm",), view="texture:3")
    assert estimate_size(manifest, some, cache=tmp_path).image_bytes == 3 * plain.image_bytes
