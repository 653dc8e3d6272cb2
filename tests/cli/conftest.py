"""The command line, called in this process as a person would type it."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from probekit_cli.app import main
from tests.extract.conftest import write_image


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def type_(monkeypatch, capfd, tmp_path) -> Callable[[str], Answer]:
    """Types a command in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("PROBEKIT_MANIFEST", "PROBEKIT_CACHE", "PROBEKIT_RUNS"):
        monkeypatch.delenv(name, raising=False)

    def type_command(command: str) -> Answer:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return type_command


@pytest.fixture
def faces(type_, tmp_path) -> Path:
    """Twelve groups of a real picture and two fakes, imported as `faces` and extracted with srm."""
    for kind, shift in (("real", 0), ("lama", 100), ("ldm", 200)):
        for number in range(12):
            write_image(tmp_path / "faces" / kind / f"{number:02d}.png", number + shift, size=(48, 48))
    assert type_("probekit manifest import faces --name faces").code == 0
    assert type_("probekit extract --model srm").code == 0
    return tmp_path / "faces"
