"""Help: quick because it loads nothing heavy, and with an example for every command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from probekit_cli.app import app

HEAVY = ("torch", "numpy", "pandas", "matplotlib", "sklearn", "scipy", "faiss", "zarr", "pyarrow", "PIL", "jinja2")
ROOT = Path(__file__).parents[2]


def commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    children = getattr(command, "commands", {})
    return [(path, command), *(found for name, child in children.items() for found in commands(child, (*path, name)))]


ALL = commands(typer.main.get_command(app))


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_help_loads_nothing_heavy(path):
    code = (
        "import sys, json; sys.argv[0] = 'probekit'\n"
        "from probekit_cli.app import app\n"
        "try: app()\n"
        "except SystemExit as end: print(json.dumps([end.code, sorted(sys.modules)]))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")])}
    command = [sys.executable, "-c", code, *path, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    exit_code, modules = json.loads(done.stdout.splitlines()[-1])
    assert exit_code == 0
    assert [module for module in HEAVY if module in modules] == []
    assert "Usage: probekit" in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


@pytest.mark.parametrize(
    ("path", "command"), [(path, command) for path, command in ALL if not hasattr(command, "commands")], ids=str
)
def test_every_command_shows_an_example_that_calls_it(path, command):
    examples = re.findall(r"^\s*Example: (probekit .*)$", command.help or "", re.MULTILINE)
    words = " ".join(path).replace("tsne", "map")
    assert examples
    assert [example for example in examples if not example.startswith(f"probekit {words}")] == []


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("extract", ["--engine ray", "--shard $SLURM_ARRAY_TASK_ID/16", "once more without --shard"]),
        ("probe", ["--engine ray", "--memory 8GiB", "For this machine alone, without --engine ray"]),
        ("retrieve", ["--engine ray", "--memory 8GiB", "on this machine alone, without --engine ray"]),
    ],
)
def test_help_shows_how_work_that_is_large_is_done(type_, monkeypatch, verb, words):
    monkeypatch.setenv("COLUMNS", "300")
    said = type_(f"probekit {verb} --help").out
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize("width", [50, 60, 79, 80, 120])
def test_no_name_of_an_option_or_a_command_is_cut_in_help(type_, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for path, command in ALL:
        said = type_(" ".join(["probekit", *path, "--help"])).out
        options = [name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("-")]
        verbs = [name for name, one in getattr(command, "commands", {}).items() if not one.hidden]
        for name in (*options, *verbs):
            assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", said), f"{' '.join(path)}: {name}"


def test_the_module_of_each_command_is_thin():
    long = {
        path.name: lines for path in (ROOT / "cli").rglob("*.py") if (lines := len(path.read_text().splitlines())) > 220
    }
    assert long == {}
