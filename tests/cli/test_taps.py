"""Taps from the command line: of every block, of one model of several, of many tokens."""

import json

import pytest
import torch
import transformers

from probekit.models import hf
from probekit.store import list_stores
from tests.cli.test_commands import one_line

TINY = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 32, "patch_size": 8}


@pytest.fixture
def vit(faces, tmp_path):
    """A model of three blocks, named by its folder, and pictures to run it on."""
    torch.manual_seed(0)
    with hf.quiet():
        transformers.ViTModel(transformers.ViTConfig(num_hidden_layers=3, **TINY)).save_pretrained(tmp_path / "vit")
    return "hf:vit"


def test_every_block_is_extracted_at_once_and_asked_by_the_same_request(type_, vit):
    answer = type_(f"probekit extract --model {vit},srm --taps {vit}#cls@all,{vit}#patches@1 --json")
    assert answer.code == 0, answer.err
    taps = {model["model"]: model["taps"] for model in json.loads(answer.out)["models"]}
    assert taps == {vit: ["cls@0", "cls@1", "cls@2", "patches@1"], "srm": ["blocks"]}
    assert f"{vit}: patches@1 take 1 KiB an image, 36 KiB in all;" in answer.err
    for request, asked in {"all": 3, "cls@1-2": 2}.items():
        answer = type_(f"probekit retrieve --model {vit} --taps {request} --bootstrap 0 --json")
        assert answer.code == 0, answer.err
        assert [run["tap"] for run in json.loads(answer.out)["runs"]] == ["cls@0", "cls@1", "cls@2"][-asked:]
    answer = type_(f"probekit retrieve --model {vit}#cls@0-1,srm --bootstrap 0 --json")
    assert [run["tap"] for run in json.loads(answer.out)["runs"]] == ["cls@0", "cls@1", "blocks"]
    one_line(type_(f"probekit retrieve --model {vit} --taps mean@all"), "has no tap 'mean@all'", "cls@0-2, patches@1")
    one_line(type_(f"probekit probe --model {vit} --taps patches@1"), "16 vectors an image", f"{vit}#mean@1", "extract")
    assert type_("probekit cache verify").code == 0


def test_a_request_for_nothing_is_one_line(type_, vit):
    for options, words in {
        "--model srm --taps cls@all": ("srm has no tap 'cls@all'", "It has blocks", "MODEL#TAP"),
        "--model srm,npr --taps spm#blocks": ("unknown model of --taps 'spm'", "Did you mean 'srm'"),
        "--model hf:vit --taps cls@0-3": ("has no tap 'cls@3'", "cls@0-2, mean@0-2, ln2@0-2, patches@0-2"),
        "--model hf:vit --taps registers": ("has no tap 'registers'",),
        "--model hf:vit --taps cls@2-0": ("cls@0-2",),
    }.items():
        one_line(type_(f"probekit extract {options}"), *words)


def test_token_taps_that_do_not_fit_on_the_disk_are_refused_before_the_start(type_, vit, monkeypatch, tmp_path):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Disk", (), {"free": 100}))
    answer = type_(f"probekit extract --model {vit} --taps patches@all")
    one_line(
        answer, "cache: the features still need 108 KiB (3 KiB an image)", "100 bytes are free", "--taps", "--cache"
    )
    assert [store.settings.model for store in list_stores(tmp_path / "cache")] == ["srm"]
    assert type_("probekit extract --model srm").code == 0  # finished already: needs no room
