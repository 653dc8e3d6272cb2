"""What the documentation shows is what the program understands; `test_documented_road.py` also runs it."""

import shlex

import click
import pytest
import typer

from probekit_cli.app import app
from tests.cli.documented import documented_commands


@pytest.mark.parametrize(("where", "command"), documented_commands(), ids=lambda value: str(value)[:60])
def test_every_command_in_the_documentation_parses(where, command):
    current: click.Command = typer.main.get_command(app)
    arguments = shlex.split(command)[1:]
    context = click.Context(current, info_name="probekit")
    while isinstance(current, click.Group):
        current = current.commands[arguments.pop(0)]
    context = click.Context(current, parent=context)
    if "--help" not in arguments:
        current.parse_args(context, arguments)
