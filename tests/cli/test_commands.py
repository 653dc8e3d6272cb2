"""The commands do what they say, and bad input ends in one clear line with the right exit code."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from probekit.extract import work

ROOT = Path(__file__).parents[2]


def one_line(answer, *words):
    """The command ended with exit code 2 and one line that holds these words."""
    lines = [line for line in answer.err.splitlines() if line.startswith("probekit: ")]
    assert (answer.code, len(lines)) == (2, 1), (answer.code, answer.err)
    assert "Traceback" not in answer.err
    for word in words:
        assert word in lines[0], (word, lines[0])


def test_probe_prints_the_json_of_the_contract(type_, faces):
    answer = type_("probekit probe --train lama --test all --json --bootstrap 20")
    assert answer.code == 0, answer.err
    (run,) = json.loads(answer.out)["runs"]
    assert (run["task"], run["probe"], run["model"], run["tap"]) == ("binary", "logistic", "srm", "blocks")
    assert run["selection"]["C"]
    assert [pair["test"] for pair in run["pairs"]] == ["lama", "ldm"]
    assert {"train", "n_train", "n_test", "acc", "balanced_acc", "auc", "ap", "eer", "auc_ci"} <= run["pairs"][0].keys()


def test_a_question_leaves_a_record_with_its_tables_and_pictures(type_, faces):
    run = Path(json.loads(type_("probekit probe --json --bootstrap 20").out)["run"])
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["verb"], record["schema"]) == ("done", "probe", 1)
    assert record["command"][:2] == ["probekit", "probe"]
    assert record["stores"][0]["model"] == "srm"
    assert record["manifest"]["n"] == 36
    assert {path.name for path in (run / "tables").iterdir()} >= {"pairs.parquet", "pairs.csv", "scores.parquet"}
    figures = {path.name for path in (run / "figures").iterdir()}
    assert figures == {"auc-srm-blocks.png", "threshold-transfer-srm-blocks.png"}


@pytest.mark.parametrize(
    "command",
    [
        "probekit probe --task attribution --bootstrap 20",
        "probekit probe --train lama --pool --bootstrap 20",
        "probekit probe --train lama+ldm --test lama --folds 3 --bootstrap 0",
        "probekit probe --train all --pool --folds 3 --bootstrap 0",
        "probekit retrieve --unknown ldm --bootstrap 20",
        "probekit retrieve --gallery train --query val --bootstrap 0",
        "probekit map",
        "probekit cache ls",
        "probekit cache info srm",
        "probekit cache verify",
        "probekit manifest check",
        "probekit manifest show",
    ],
)
def test_every_command_works_and_its_json_is_json(type_, faces, command):
    plain = type_(command)
    assert plain.code == 0, plain.err
    assert plain.out or plain.err
    machine = type_(f"{command} --json")
    assert machine.code == 0, machine.err
    json.loads(machine.out)


def test_the_report_gathers_the_runs(type_, faces):
    for command in ("probe --bootstrap 0", "retrieve --bootstrap 0", "map"):
        assert type_(f"probekit {command}").code == 0
    answer = type_("probekit report --out page.html")
    assert answer.code == 0, answer.err
    assert "lama" in Path("page.html").read_text(encoding="utf-8")


def test_queries_of_the_split_are_used_when_they_are_named(type_, faces):
    folds = json.loads(type_("probekit retrieve --folds 3 --json --bootstrap 0").out)["runs"][0]
    named = json.loads(type_("probekit retrieve --query test --json --bootstrap 0").out)["runs"][0]
    assert folds["closed_set"]["n_queries"] == 36
    assert named["closed_set"]["n_queries"] < 36


def test_failed_images_are_listed_and_the_exit_code_is_1(type_, faces):
    (faces / "lama" / "99.png").write_text("no image")
    Image.new("1", (30000, 30000)).save(faces / "lama" / "bomb.png")
    shutil.copy(faces / "real" / "00.png", faces / "real" / "a.b.PNG")
    shutil.copy(faces / "real" / "01.png", faces / "real" / "größe 1 [bold]:smile:.png")
    assert type_("probekit manifest import faces --name more --force").code == 0
    check = type_("probekit manifest check more")
    assert check.code == 1
    assert "99.png" in check.out + check.err
    for command in ("extract --model srm", "probe --bootstrap 0"):
        answer = type_(f"probekit {command} --manifest more")
        assert answer.code == 1, answer.err
        assert "99.png" in answer.err
        assert "bomb.png" in answer.err
        assert "2 samples" in answer.err
    result = json.loads(type_("probekit extract --model srm --manifest more --json").out)
    assert (result["models"][0]["done"], result["models"][0]["failed"]) == (38, 2)


def test_a_refused_command_leaves_no_run_behind(type_, faces):
    before = sorted(Path("runs").rglob("*"))
    for command in (
        "extract --model nosuch",
        "extract --model srm --taps cls",
        "extract --model srm --weights none.pt",
        "probe --train lma",
        "probe --model npr",
        "retrieve --unknown lma",
        "map --method nosuch",
        "compare --measure nosuch",
        "finetune --model test_resnett --scratch",
        "predict faces/real --probe none.safetensors",
        "blacklist match nosuch faces/real",
    ):
        assert type_(f"probekit {command}").code == 2, command
        assert sorted(Path("runs").rglob("*")) == before, command


def test_a_shard_without_samples_says_so_in_one_line(type_, faces):
    answer = type_("probekit extract --model srm --shard 1/5000")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "shard 1 of 5000: none of the 36 samples, so there is nothing to do\n"


def test_two_stores_of_one_model_are_told_apart(type_, faces):
    assert type_("probekit extract --model srm --view center").code == 0
    answer = type_("probekit probe --train lama --json --bootstrap 0")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert sorted(run["view"] for run in found["runs"]) == ["center512", "native512"]
    pictures = sorted(path.name for path in (Path(found["run"]) / "figures").glob("auc-*"))
    assert pictures == ["auc-srm-blocks-native512.png", "auc-srm-blocks.png"]
    one_line(type_("probekit probe --model srm"), "several stores have srm", "--view")
    assert type_("probekit probe --model srm --view center --bootstrap 0").code == 0


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("probe --train lma", ["unknown generator 'lma'", "Did you mean 'lama'"]),
        ("probe --test real", ["real"]),
        ("probe --model smr", ["'smr'", "Did you mean 'srm'"]),
        ("probe --model srm#block", ["'block'", "Did you mean 'blocks'"]),
        ("probe --taps blocks", ["--taps"]),
        ("probe --task attributon", ["Did you mean 'attribution'"]),
        ("probe --probe logistics", ["Did you mean 'logistic'"]),
        ("probe --condition zscor", ["Did you mean 'zscore'"]),
        ("probe --C 0", ["C"]),
        ("probe --C nan", ["--C nan"]),
        ("probe --folds 1", ["--folds 1"]),
        ("probe --manifest nosuch", ["nosuch"]),
        ("retrieve --unknown nosuch", ["nosuch"]),
        ("retrieve --query tset", ["Did you mean 'test'"]),
        ("map --perplexity nan", ["--perplexity"]),
        ("extract --model srmm", ["Did you mean 'srm'"]),
        ("extract --model srm --taps cls", ["blocks"]),
        ("extract --model srm --view squish", ["squash"]),
        ("extract --model srm --precision float8", ["--precision"]),
        ("extract --model srm --device banana", ["--device banana"]),
        ("extract --model timm:vit_tiny_patch16_224 --weights gone.safetensors", ["gone.safetensors"]),
        ("extract --model ,", ["names nothing"]),
        ("manifest import nowhere --name x", ["nowhere"]),
        ("manifest import faces --name x --layout folder", ["layout"]),
        ("manifest import faces --name x --label lama=real", ["0 (real) or 1 (fake)"]),
        ("manifest import faces --name x --label nosuch=1", ["nosuch"]),
        ("manifest show nosuch", ["nosuch"]),
        ("cache info nosuch", ["no store fits"]),
        ("cache rm nosuch --yes", ["no store fits"]),
        ("report nowhere", ["nowhere"]),
    ],
)
def test_bad_input_is_one_clear_line(type_, faces, command, words):
    one_line(type_(f"probekit {command}"), *words)


def write_manifest(rows: str) -> None:
    Path("manifests").mkdir(exist_ok=True)
    Path("manifests/m.csv").write_text("path,label,generator\n" + rows)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("", ["m.csv", "row"]),
        ("a.png,fake,lama\n", ["m.csv row 2", "label", "'fake'", "--label"]),
        ("a.png,2,lama\n", ["m.csv row 2", "label", "'2'"]),
        ("a.png,1,real\n", ["m.csv row 2", "real"]),
        ("a.png,0,real\na.png,0,real\n", ["m.csv row 3", "a.png"]),
    ],
)
def test_a_broken_manifest_names_file_row_and_remedy(type_, rows, words):
    write_manifest(rows)
    one_line(type_("probekit manifest show"), *words)


def test_a_class_with_one_sample_is_said_not_guessed(type_, tmp_path):
    rows = ["r0.png,0,real", "r1.png,0,real", "r2.png,0,real", "f.png,1,lama"]
    for number, row in enumerate(rows):
        write = tmp_path / "manifests" / row.split(",")[0]
        write.parent.mkdir(exist_ok=True)
        Image.effect_noise((48, 48), 40 + number).convert("RGB").save(write)
    write_manifest("\n".join(rows) + "\n")
    assert type_("probekit extract --model srm").code == 0
    one_line(type_("probekit probe --folds 0"), "C cannot be selected", "a class is missing")


def test_without_a_manifest_the_next_step_is_named(type_):
    one_line(type_("probekit manifest show"), "probekit manifest import")


def test_before_any_extraction_the_next_step_is_named(type_, tmp_path):
    write_manifest("a.png,0,real\nb.png,1,lama\n")
    one_line(type_("probekit probe"), "probekit extract")
    one_line(type_("probekit report"), "no finished run")


def test_a_cache_that_is_a_file_is_one_line(type_, faces):
    Path("other").write_text("")
    one_line(type_("probekit extract --model srm --cache other"), "cannot be written", "--cache")
    one_line(type_("probekit probe --runs other/runs"), "cannot be written", "--runs")


def test_a_full_disk_is_one_line_and_what_was_done_is_kept(type_, faces):
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from probekit_cli.app import main\n"
        "sys.argv = ['probekit', *sys.argv[1:]]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop()), -1)); main()"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    for command, limit in (("extract --model npr --unit-size 4", 3000), ("probe --model srm --bootstrap 0", 3000)):
        words = [sys.executable, "-c", script, *command.split(), str(limit)]
        done = subprocess.run(
            words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, check=False
        )
        said = [line for line in done.stderr.splitlines() if line.startswith("probekit: ")]
        assert (done.returncode, len(said)) == (2, 1), done.stderr
        assert "File too large" in said[0]
    assert type_("probekit probe --model srm --bootstrap 0").code == 0
    assert type_("probekit extract --model npr").code == 0


def test_what_a_scheduler_ends_keeps_what_it_has_done(type_, faces, monkeypatch):
    looks = itertools.count(1)
    with monkeypatch.context() as patch:
        patch.setattr(work.Work, "_show_life", lambda _: next(looks) == 7 and os.kill(os.getpid(), signal.SIGTERM))
        answer = type_("probekit extract --model npr --unit-size 4 --batch-size 2")
    assert (answer.code, "\nprobekit: stopped: " in answer.err) == (130, True), answer.err
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    (found,) = json.loads(type_("probekit extract --model npr --json").out)["models"]
    assert (found["done"], 0 < found["computed"] < 36) == (36, True)


def test_a_closed_pipe_costs_nothing_but_the_output(type_, faces):
    script = "import sys; sys.argv[0] = 'probekit'; from probekit_cli.app import main; main()"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    process = subprocess.Popen(
        [sys.executable, "-c", script, "probe", "--bootstrap", "0", "--runs", "piped"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": paths},
    )
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 0, said
    (record,) = Path("piped").glob("*/run.json")
    assert json.loads(record.read_text())["status"] == "done"


def test_a_damaged_store_is_named_and_can_be_removed_while_others_answer(type_, faces):
    assert type_("probekit extract --model npr").code == 0
    (broken,) = Path("cache").glob("npr-*")
    (broken / "zarr.json").write_text("{")
    answer = type_("probekit probe --train lama --json --bootstrap 0")
    assert answer.code == 0
    assert broken.name in answer.err
    assert [run["model"] for run in json.loads(answer.out)["runs"]] == ["srm"]
    assert broken.name in type_("probekit cache ls").err
    assert type_("probekit cache verify").code == 2
    assert type_(f"probekit cache rm {broken.name} --yes").code == 0
    assert type_("probekit cache verify").code == 0


def test_the_demo_removes_only_its_own_records(tmp_path):
    from probekit_cli.demo import _forget_runs

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text("{}")
    _forget_runs(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_control_characters_in_names_are_shown_not_obeyed(capfd):
    from probekit_cli.output import remark

    remark("\x1b[31mred\n.png [bold]:smile:")
    assert capfd.readouterr().err == "\\x1b[31mred\\n.png [bold]:smile:\n"


def test_the_version_is_printed(type_):
    import probekit

    assert type_("probekit --version").out.strip() == f"probekit {probekit.__version__}"
