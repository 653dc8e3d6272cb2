"""`probekit finetune` as it is typed: networks become models, their heads probes, their answers a matrix."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probekit_cli.finetune import flags
from tests.training.material import write_tree

NETWORK = "--model test_resnet --scratch --size 32 --batch-size 4 --epochs 6 --patience 6 --lr 3e-3 --bootstrap 50"

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pictures(type_, tmp_path):
    """Twelve groups of a real picture and two fakes, as manifest `tiny`."""
    table = write_tree(tmp_path / "pictures")
    table["path"] = [str(tmp_path / "pictures" / path) for path in table["path"]]
    (tmp_path / "manifests").mkdir()
    table.to_csv(tmp_path / "manifests" / "tiny.csv", index=False)
    return tmp_path


def answer_of(type_, options, code=0):
    found = type_(f"probekit finetune {NETWORK} --json {options}")
    assert found.code == code, found.err
    return json.loads(found.out)


def test_a_network_a_generator_gives_a_matrix_and_probes_that_predict_takes(type_, pictures):
    found = answer_of(type_, "--train all --threshold val-eer")
    (run,) = found["runs"]
    assert (run["task"], run["probe"], run["model"]) == ("binary", "finetuned", "tuned:test_resnet-scratch-l*")
    assert run["tap"] == "pool"
    assert run["evaluation"] == "train → test split"
    assert [(pair["train"], pair["test"]) for pair in run["pairs"]] == [
        ("lama", "lama"), ("lama", "ldm"), ("ldm", "lama"), ("ldm", "ldm")
    ]  # fmt: skip
    assert all(pair["auc"] == 1 for pair in run["pairs"] if pair["train"] == pair["test"])
    assert run["selection"]["networks"] == {
        "lama": "tuned:test_resnet-scratch-lama", "ldm": "tuned:test_resnet-scratch-ldm"
    }  # fmt: skip
    assert {row["learned"]: row["images_by_class"] for row in found["networks"]} == {
        "lama": {"real": 6, "fake": 6}, "ldm": {"real": 6, "fake": 6}
    }  # fmt: skip

    folder = pictures / found["run"]
    scores = pd.read_parquet(folder / "tables" / "scores.parquet")
    assert {"networks", "training_steps", "training_epochs", "pairs", "scores"} <= {
        path.stem for path in (folder / "tables").glob("*.parquet")
    }
    assert {"training.png", "auc-"} <= {path.name[:4] if path.name.startswith("auc-") else path.name
                                        for path in (folder / "figures").iterdir()}  # fmt: skip
    (probe,) = (folder / "probes").glob("lama-*.safetensors")
    tested = scores[(scores["train"] == "lama") & (scores["generator"] == "lama")]
    said = type_(f"probekit predict {tested['path'].iloc[0]} --probe {probe} --json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["predictions"][0]["score"] == pytest.approx(tested["score"].iloc[0], rel=1e-2, abs=1e-2)


@pytest.mark.slow
def test_a_network_is_a_model_of_every_other_command(type_, pictures):
    answer_of(type_, "--train lama+ldm --name both")
    assert type_("probekit extract --model tuned:both --taps all --precision float32").code == 0
    for command in (
        "probe --model tuned:both --train lama --json",
        "probe --model tuned:both#mean --train lama --folds 0 --json",
        "retrieve --model tuned:both --bootstrap 0",
        "map --model tuned:both",
        "compare --model tuned:both --bootstrap 20",
        "saliency --model tuned:both#pool --train lama --limit 2",
        "report",
    ):
        found = type_(f"probekit {command}")
        assert found.code == 0, f"{command}\n{found.err}"
    assert type_("probekit blacklist create known --model tuned:both").code == 0


def test_out_of_fold_probes_of_a_network_say_that_it_has_seen_the_train_split(type_, pictures):
    answer_of(type_, "--train lama --name one")
    asked = "probekit probe --model tuned:one --train lama --json"
    for folds, warned in ((3, True), (0, False)):
        notes = json.loads(type_(f"{asked} --folds {folds}").out)["runs"][0]["notes"]
        assert any("learned from the train split" in note for note in notes) == warned


def test_attribution_is_one_network_whose_classes_are_the_generators(type_, pictures):
    found = answer_of(type_, "--task attribution")
    (run,) = found["runs"]
    assert (run["task"], run["probe"], run["model"]) == (
        "attribution", "finetuned", "tuned:test_resnet-scratch-attribution"
    )  # fmt: skip
    assert run["classes"] == ["real", "lama", "ldm"]
    assert run["balanced_acc"] > 0.6
    confusion = np.array(run["confusion"])
    assert confusion.sum() == 9
    (probe,) = (pictures / found["run"] / "probes").glob("*.safetensors")
    said = json.loads(type_(f"probekit predict pictures/ldm --probe {probe} --json").out)
    assert {image["predicted"] for image in said["predictions"]} <= {"real", "lama", "ldm"}


def test_without_cross_entropy_a_logistic_probe_of_the_features_answers(type_, pictures):
    (run,) = answer_of(type_, "--train lama --loss supcon --epochs 2")["runs"]
    assert (run["probe"], run["selection"]["parameter"]) == ("logistic", "C")
    assert run["evaluation"] == "train → test split"


def test_the_same_command_takes_the_network_that_is_there_and_another_is_refused(type_, pictures):
    assert not answer_of(type_, "--train lama")["networks"][0]["reused"]
    assert answer_of(type_, "--train lama")["networks"][0]["reused"]
    other = type_(f"probekit finetune {NETWORK} --train lama --seed 1")
    assert other.code == 2
    assert other.err.count("\n") == 1
    assert "choose another --name, or --force" in other.err
    forced = answer_of(type_, "--train lama --seed 1 --force")
    assert not forced["networks"][0]["reused"]  # and its features are told from those of the network before it
    assert len(forced["runs"]) == 1


@pytest.mark.parametrize(
    ("names", "train", "told"),
    [
        (("sd 1.5", "sd-1.5"), "all", "sd 1.5 and sd-1.5 would both be network test_resnet-scratch-sd-1.5"),
        (("ldm", "lama-ldm"), "lama-ldm,lama+ldm", "lama-ldm and lama+ldm would both be network"),
    ],
)
def test_two_training_sets_that_would_be_one_network_are_refused(names, train, told, type_, pictures):
    file = pictures / "manifests" / "tiny.csv"
    table = pd.read_csv(file)
    ours = np.flatnonzero(table["generator"] == "ldm")
    table.loc[ours[::2], "generator"], table.loc[ours[1::2], "generator"] = names
    table.to_csv(file, index=False)
    found = type_(f"probekit finetune {NETWORK} --train {train}")
    assert found.code == 2
    assert found.err.count("\n") == 1
    assert told in found.err
    assert "--name" in found.err
    assert not (pictures / "cache" / "networks").exists()


def test_an_image_that_cannot_be_read_is_listed_and_the_exit_code_is_1(type_, pictures):
    broken = pictures / "pictures" / "lama" / "02.png"
    broken.write_bytes(broken.read_bytes()[:100])
    found = type_(f"probekit finetune {NETWORK} --train lama")
    assert found.code == 1, found.err
    assert "02.png" in found.err
    assert "1 image of its training could not be read" in found.err
    failed = pd.read_csv(next((pictures / "runs").glob("*finetune*")) / "tables" / "failed.csv")
    assert failed["path"].tolist() == [str(broken)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model xception4 --scratch", "Did you mean 'xception41'"),
        ("--model test_vit --scratch --size 33", "cannot be built for images of 33 × 33"),
        ("--model test_resnet --scratch --train lma", "unknown generator 'lma'. Did you mean 'lama'"),
        ("--model test_resnet --scratch --task which", "unknown --task 'which'"),
        ("--model test_resnet --scratch --augment flop", "unknown augmentation 'flop'"),
        ("--model test_resnet --scratch --name a+b", "a network's name has none of"),
        ("--model test_resnet --weights no.safetensors", "no.safetensors: no such file"),
        ("--model test_resnet --scratch --task attribution --threshold val-eer", "is for --task binary"),
        ("--model test_resnet --scratch --train lama,lama+ldm --task attribution", "is part of two classes"),
        ("--model tuned:nothing --scratch", "only networks of timm are trained"),
        ("--model test_resnet --scratch --weights pictures", "--weights pictures from these: leave one of the two out"),
    ],
)
def test_bad_input_ends_in_one_line(options, message, type_, pictures):
    found = type_(f"probekit finetune {options}")
    assert found.code == 2, found.err
    assert message in found.err
    assert "Traceback" not in found.err


def test_what_can_be_refused_without_pytorch_is_refused_before_it_is_imported(pictures):
    """PyTorch takes seconds to import; a new process, for this one has it."""
    refused = (
        "--device gpu", "--device cuda:x", "--device cpu --loss triple", "--device cpu --train lma --scratch",
        "--device cpu --weights none.pt", "--device cpu --weights pictures --scratch", "--task attribution --curves",
    )  # fmt: skip
    code = (
        "import sys\n"
        "from probekit_cli.app import main\n"
        "for options in sys.argv[1:]:\n"
        "    sys.argv[1:] = ['finetune', '--model', 'test_resnet', *options.split()]\n"
        "    try: main()\n"
        "    except SystemExit as end: print(end.code)\n"
        "print('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")])}
    done = subprocess.run(
        [sys.executable, "-c", code, *refused],
        cwd=pictures,
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert done.stdout.split() == ["2"] * len(refused) + ["False"], done.stderr
    assert len(done.stderr.splitlines()) == len(refused)


@pytest.mark.parametrize("given", ["{file}", "test_resnet={file}", "timm:test_resnet={file}"])
def test_the_file_to_start_from_is_named_as_help_and_messages_spell_it(given, tmp_path):
    file = tmp_path / "w.pt"
    file.touch()
    assert flags.weights_file(given.format(file=file), "test_resnet") == file


def test_the_report_tells_how_the_networks_were_trained(type_, pictures):
    answer_of(type_, "--train all")
    assert type_("probekit report").code == 0
    assert type_("probekit report --tables printed").code == 0
    page = (pictures / "runs" / "report.html").read_text(encoding="utf-8")
    assert "test_resnet, from scratch: train/test matrices" in page
    assert "2 networks of test_resnet; loss ce, adam, learning rate 0.003" in page
    assert "The loss of every step" in page
