"""The studies of the field, from the import of a data set laid out as its authors do to the report."""

import json
import re
from pathlib import Path

import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file

from probekit.models import hf
from tests.studies import trees

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

VIT = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 64, "patch_size": 16}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return trees.pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def checkpoints(tmp_path):
    """A CLIP tower, a DINOv2 and a ResNet in their libraries' own formats, with random weights."""
    torch.manual_seed(0)
    with hf.quiet():
        tower = transformers.CLIPVisionConfig(num_hidden_layers=2, projection_dim=8, **VIT)
        transformers.CLIPVisionModelWithProjection(tower).save_pretrained(tmp_path / "clip")
        transformers.Dinov2Model(transformers.Dinov2Config(num_hidden_layers=2, **VIT)).save_pretrained(
            tmp_path / "dino"
        )
    network = timm.create_model("test_resnet", num_classes=1000)
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, tmp_path / "resnet.safetensors"
    )
    return tmp_path


def test_the_study_of_four_inpainters_on_a_tree_of_dolos(type_, pictures, checkpoints, tmp_path):
    trees.dolos(pictures, tmp_path / "dolos")
    assert type_("probekit manifest import dolos --layout dolos --name celebahq --only domain=celebahq").code == 0
    options = (
        "--set clip=hf:clip --set sam=srm --set backbone=test_resnet --weights timm:test_resnet=resnet.safetensors"
    )
    done = type_(f"probekit study run celebahq-local {options} --bootstrap 200 --json")
    found = json.loads(done.out)
    assert {step["name"]: step["reasons"] for step in found["steps"] if step["state"] != "done"} == {}
    assert done.code == 0
    assert len(found["steps"]) == 17
    assert [one["reason"] for one in found["published"]] == [""] * 8
    for one in found["published"]:
        assert all(value is not None for row in one["ours"] for value in row), one["title"]
    assert {one["answer"] for one in found["questions"]} <= {"yes", "no", "undecided"}
    page = Path(found["report"]).read_text()
    assert len(re.findall(r"Trained on", page)) >= 4
    assert "--method grad-cam" in page
    checked = json.loads(type_("probekit study check celebahq-local --json").out)["studies"]["celebahq-local"]
    assert [one["mean_difference"] for one in checked] == [one["mean_difference"] for one in found["published"]]


def test_the_protocols_of_deepfake_genome_on_its_lists(type_, pictures, checkpoints, tmp_path):
    trees.deepfake_genome(pictures, tmp_path / "dfg")
    assert type_("probekit manifest import dfg --layout deepfakebench --name dfg").code == 0
    both = "--set models=hf:clip,hf:dino --bootstrap 200 --json"
    for name, options in (
        ("dfg-p1", ""),
        ("dfg-p2", "--set best=hf:dino --set others=hf:clip"),
        ("dfg-p3", ""),
        ("dfg-p4", "--set best=hf:clip --set others=hf:dino"),
    ):
        done = type_(f"probekit study run {name} {both} {options}")
        assert done.out, done.err
        found = json.loads(done.out)
        assert {step["name"]: step["reasons"] for step in found["steps"] if step["run"] is None} == {}, name
        for question in found["questions"]:
            assert question["answer"] in ("yes", "no", "undecided"), (name, question)
            assert all(claim["difference_ci"] is not None for claim in question["claims"]), (name, question)
    p4 = json.loads(type_("probekit study ls --json").out)
    assert "no number here can be compared" in next(one["source"] for one in p4["studies"] if one["name"] == "dfg-p4")


def test_the_findings_of_deepfake_genome_are_answered_or_say_why_not(type_, pictures, checkpoints, tmp_path):
    trees.deepfake_genome(pictures, tmp_path / "dfg")
    assert type_("probekit manifest import dfg --layout deepfakebench --name dfg").code == 0
    backbones = "--set clip=hf:clip --set dino=hf:dino --set backbone=test_resnet"
    weights = "--weights timm:test_resnet=resnet.safetensors"
    done = type_(f"probekit study run dfg-findings {backbones} {weights} --bootstrap 200 --json")
    assert done.out, done.err
    found = json.loads(done.out)
    assert {step["name"]: step["reasons"] for step in found["steps"] if step["run"] is None}.keys() == {
        "untrained-features",
        "untrained-matrix",
    }
    answers = {question["name"]: question["answer"] for question in found["questions"]}
    assert len(answers) == 10
    assert [name for name, answer in answers.items() if answer == "not testable here"] == ["9"]


def test_the_demo_is_a_study_that_makes_its_own_data(type_):
    done = type_("probekit study run demo --json")
    assert done.code == 0, done.err
    answers = {(one["name"], one["of"]): one["answer"] for one in json.loads(done.out)["questions"]}
    assert answers["found", "srm"] == answers["carries-over", "srm"] == answers["pasted", "srm"] == "yes"
