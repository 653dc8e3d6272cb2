"""The commands that README, docs and help texts show."""

import re
from pathlib import Path

import click
import typer

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "cache" / "README.md", ROOT / "manifests" / "README.md")


def documented_commands() -> list[tuple[str, str]]:
    """(page or help text, command) of every line that begins with `probekit` in a shell block, and of every example."""
    found = []
    for page in (*PAGES, *sorted((ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                command = line.strip().removeprefix("$ ").split("  #")[0].strip()
                if command.startswith("probekit ") and "COMMAND" not in command:
                    found.append((page.name, command))
    return found + examples_in_help()


def examples_in_help() -> list[tuple[str, str]]:
    """The examples of every command."""
    from probekit_cli.app import app

    def walk(command: click.Command) -> list[tuple[str, str]]:
        children = getattr(command, "commands", {}).values()
        lines = re.findall(r"^\s*Example: (probekit .*)$", command.help or "", re.MULTILINE)
        return [(f"{command.name} --help", line) for line in lines] + [
            found for child in children for found in walk(child)
        ]

    return walk(typer.main.get_command(app))
