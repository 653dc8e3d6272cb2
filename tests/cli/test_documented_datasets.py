"""Every command of `docs/datasets.md`, run on a small tree of its data set."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from probekit.layouts import layouts
from probekit_cli.app import app
from tests.cli.documented import documented_commands
from tests.layouts.published import PUBLISHED

SHOWN = [command for page, command in documented_commands() if page == "datasets.md"]
COMMANDS = [command for command in SHOWN if "--layout" in command]


def layout_of(command: str) -> str:
    return command.partition("--layout ")[2].split()[0]


def test_every_published_data_set_has_a_command():
    assert {layout_of(command) for command in COMMANDS} == set(PUBLISHED) <= set(layouts.names())


def imported(command, home, monkeypatch):
    """What the command says of the data set, of which there is a small tree."""
    monkeypatch.chdir(home)
    root = home / layout_of(command)
    root.mkdir()
    PUBLISHED[layout_of(command)](root)
    monkeypatch.setenv("HOME", str(home))  # not every shell expands --reals ff=~/…
    return typed(command.replace(" ~", f" {home}"))


def typed(command):
    done = CliRunner().invoke(app, [*command.split()[1:], "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS, ids=layout_of)
def test_the_documented_command_imports_its_data_set(command, tmp_path, monkeypatch):
    told = imported(command, tmp_path, monkeypatch)
    assert told["samples"] > 0
    assert sum(row["found"] for row in told["expected"]) == told["samples"]
    assert not any("--reals" in note or "does not exist" in note for note in told["notes"])
    assert "path,label,generator" in (tmp_path / told["manifest"]).read_text()


def test_the_documented_join_links_the_videos_of_both_data_sets(tmp_path, monkeypatch):
    (joining,) = [command for command in SHOWN if "--layout" not in command]
    for name in ("ffpp", "df40"):
        imported(next(command for command in COMMANDS if layout_of(command) == name), tmp_path, monkeypatch)
    told = typed(f"{joining} --no-bytes")  # the small trees show few pictures under many names
    table = pd.read_csv(tmp_path / told["manifest"], dtype=str, keep_default_na=False)
    assert told["samples"] == len(table) == sum(row["images"] for row in told["rows"])
    assert {(row["domain"], row["generator"]) for row in told["rows"]} >= {("ff", "FaceSwap"), ("ff", "SimSwap")}
    assert (table.groupby("group")["split"].nunique() == 1).all()
    of_ffpp = table["path"].str.startswith("ffpp/")
    assert set(table.loc[of_ffpp, "group"]) & set(table.loc[~of_ffpp, "group"])
    assert any("domain 'ff' is in ffpp, df40" in note for note in told["notes"])
