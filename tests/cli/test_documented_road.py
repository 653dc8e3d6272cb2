"""The demo and, after it, every documented command, run as a newcomer would: in an empty folder, offline."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.cli.documented import documented_commands
from tests.cli.forked import Done, Prompt
from tests.heads.published import save_ufd

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.xdist_group("road"),  # one demo for all of them
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process for every command"),
]

ROOT = Path(__file__).parents[2]
NEEDS_A_HUB = ("clip", "dinov2", "sam", "hf:", "open_clip:")
JOB = {"SLURM_ARRAY_TASK_ID": "3"}  # what a job array sets
A_RUN = "runs/2026-03-01T12-00-00-probe-1a2b3c4d"  # in the documents: the run of the next command
A_MAP = "runs/2026-03-01T12-00-00-map-5e6f7a8b"  # likewise
MAKES_A_MAP = "probekit map --model srm --manifest demo"
KEEPS_ITS_PROBE = "probekit probe --train telea --folds 0 --model srm --manifest demo"
TYPED_ELSEWHERE = ("probekit demo", "probekit study run demo")  # by the newcomer; by test_field_studies.py
HOW_FAR = re.compile(r"[^:]+: (\d+ of \d+, )?(\S+/s|\d+ (s|min|h) so far)")
DIFFUSING = ("telea", "navier-stokes", "biharmonic")


class Newcomer:
    """A working folder with nothing in it, and the command as a person types it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        paths = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
        fixed = {"PYTHONPATH": paths, "HOME": str(home), "HF_HUB_OFFLINE": "1"}
        # beside other tests, two threads wait for each other: ten times the processors' time
        self.prompt = Prompt(home, {"OMP_NUM_THREADS": "1"} | os.environ | fixed)

    def last_run_of(self, command: str) -> str:
        """The folder of the newest run of this command."""
        typed = [
            record.parent
            for record in self.home.glob("runs/*/run.json")
            if json.loads(record.read_text(encoding="utf-8"))["command"] == shlex.split(command)
        ]
        return str(max(typed).relative_to(self.home))

    def words(self, command: str) -> list[str]:
        """What a shell makes of the command, less its first word."""
        arguments = [word.replace("~", str(self.home)) for word in shlex.split(command)[1:]]
        for name, value in JOB.items():
            arguments = [word.replace(f"${name}", value) for word in arguments]
        return arguments

    def type(self, command: str) -> Done:
        done = self.prompt.type(self.words(command))
        print(f"{done.seconds:6.1f} s  {command}", flush=True)
        return done


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    person = Newcomer(tmp_path_factory.mktemp("newcomer"))
    with person.prompt:
        yield settled(person)


def settled(person):
    """The newcomer after the demo, with pictures and checkpoints of their own."""
    done = person.type("probekit demo")
    assert done.returncode == 0, done.stderr[-3000:]
    for generator, folder in (("real", "real"), ("telea", "telea"), ("biharmonic", "edited")):
        shutil.copytree(person.home / "cache" / "demo-images" / generator, person.home / "faces" / folder)
    shutil.make_archive(str(person.home / "faces"), "zip", person.home / "faces")
    import timm
    from safetensors.torch import save_file

    network = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    save_file(network.state_dict(), person.home / "vit_tiny.safetensors")
    save_ufd(person.home / "fc_weights.pth")
    return person


def test_the_demo_prints_each_command_and_leaves_a_page(newcomer):
    again = newcomer.type("probekit extract --model srm --manifest demo --json")
    assert json.loads(again.stdout)["models"][0]["computed"] == 0
    assert (newcomer.home / "manifests" / "demo.csv").exists()
    page = (newcomer.home / "runs" / "demo" / "report.html").read_text(encoding="utf-8")
    assert "navier-stokes" in page
    assert len(page.encode()) < 5e6


def test_a_probe_trained_on_telea_finds_the_diffusing_inpainters_on_unseen_photographs(newcomer):
    done = newcomer.type("probekit probe --train telea --test all --json")
    assert done.returncode == 0, done.stderr
    for run in json.loads(done.stdout)["runs"]:
        auc = {pair["test"]: pair["auc"] for pair in run["pairs"]}
        assert "out of fold by group" in run["evaluation"]
        assert min(auc[name] for name in DIFFUSING) >= 0.85, auc
        assert auc["shiftmap"] < 0.7, "ShiftMap copies real texture: these features should not find it"
        assert run["selection"]["converged"]
        assert all(pair["auc_ci"][0] < pair["auc"] < pair["auc_ci"][1] for pair in run["pairs"])


def test_plain_zarr_reads_what_the_demo_extracted(newcomer):
    (path,) = (newcomer.home / "cache").glob("srm-*")
    store = zarr.open_group(path, mode="r")
    features, keys, status = store["blocks"][:], store["key"][:], store["status"][:]
    assert len(features) == len(keys) == len(status)
    assert np.isfinite(features).all()
    assert (status == 1).all()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("probekit extract --help", 0),
        ("probekit extract --model srm --manifest nowhere", 2),
        ("probekit manifest check --manifest demo", 0),
        ("probekit probe --train telea --folds 0 --model srm --manifest demo", 0),
        ("probekit retrieve --model srm --unknown shiftmap --manifest demo", 0),
    ],
)
def test_a_forked_command_says_what_a_new_process_says(newcomer, command, code):
    forked, new = newcomer.type(command), newcomer.prompt.type_in_a_new_process(newcomer.words(command))
    assert forked.returncode == code
    assert outcome(forked) == outcome(new)


def outcome(done: Done | subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    """Exit code and output, less what the clock decides: the time in the name of a run, how far it was when."""
    said = "".join(line for line in done.stderr.splitlines(keepends=True) if not HOW_FAR.match(line))
    return done.returncode, *(re.sub(r"runs/\S{19}-", "", text) for text in (done.stdout, said))


def test_every_documented_command_runs(newcomer):
    shown = [(page, command) for page, command in documented_commands() if page != "datasets.md"]  # has its own test
    commands = [command for _, command in shown]
    saved = [command for command in commands if A_RUN in command]
    placed = [command for command in commands if A_MAP in command]
    last = [*placed, *saved, *(command for command in commands if command.startswith("probekit cache rm"))]
    with_one_manifest = [(page, command) for page, command in shown if "faces" not in command and command not in last]
    with_two = [command for command in commands if "faces" in command and command not in last]
    reports = [command for command in commands if command.startswith("probekit report --")]  # of all runs before them
    of_the_readme = [command for page, command in with_one_manifest if page == "README.md" and command not in reports]
    of_the_rest = [command for _, command in with_one_manifest]
    failures = []
    for command in dict.fromkeys([*of_the_readme, *reports, *of_the_rest, *with_two, *last]):
        if command in TYPED_ELSEWHERE:
            continue
        if command.startswith("probekit manifest import"):  # several pages begin with it
            name = command.partition("--name ")[2].split()[0]
            for file in (newcomer.home / "manifests").glob(f"{name}.*"):
                file.unlink()
        run = newcomer.last_run_of(KEEPS_ITS_PROBE) if command in saved else A_RUN
        map_run = newcomer.last_run_of(MAKES_A_MAP) if command in placed else A_MAP
        done = newcomer.type(command.replace(A_RUN, run).replace(A_MAP, map_run))
        hub = any(f"--model {name}" in command for name in NEEDS_A_HUB)
        features = "--probe fc_weights.pth" in command and "Run: probekit extract --model clip" in done.stderr
        hub = hub or "--probe fc_weights.pth" in command
        said = "--weights" in done.stderr or features
        if hub and not (done.returncode == 2 and said and "Traceback" not in done.stderr):
            failures.append((command, done.returncode, done.stderr[-500:]))
        if not hub and done.returncode != 0:
            failures.append((command, done.returncode, done.stderr[-500:]))
    assert failures == []
