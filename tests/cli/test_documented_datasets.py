"""Every command of `docs/datasets.md`, run on a small tree of its data set."""

import json

import pytest
from typer.testing import CliRunner

from probekit.layouts import layouts
from probekit_cli.app import app
from tests.cli.documented import documented_commands
from tests.layouts.published import PUBLISHED

COMMANDS = [command for page, command in documented_commands() if page == "datasets.md"]


def layout_of(command: str) -> str:
    return command.partition("--layout ")[2].split()[0]


def test_every_published_data_set_has_a_command():
    assert {layout_of(command) for command in COMMANDS} == set(PUBLISHED) <= set(layouts.names())


@pytest.mark.parametrize("command", COMMANDS, ids=layout_of)
def test_the_documented_command_imports_its_data_set(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / layout_of(command)
    root.mkdir()
    PUBLISHED[layout_of(command)](root)
    monkeypatch.setenv("HOME", str(tmp_path))  # not every shell expands --reals ff=~/…
    arguments = command.replace(" ~", f" {tmp_path}").split()[1:]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["samples"] > 0
    assert sum(row["found"] for row in told["expected"]) == told["samples"]
    assert not any("--reals" in note or "does not exist" in note for note in told["notes"])
    assert "path,label,generator" in (tmp_path / told["manifest"]).read_text()
