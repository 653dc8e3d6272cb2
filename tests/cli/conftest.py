"""The command line, called in this process as a person would type it."""

import contextlib
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import transformers

from probekit.models import hf
from probekit_cli import pace
from probekit_cli.app import main
from tests.cli.clips import write_clips
from tests.extract.conftest import write_image

NEVER = 1e6  # seconds


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
    monkeypatch.setattr(pace, "EVERY", NEVER)  # how far it is depends on how busy this machine is
    monkeypatch.setattr(pace, "QUICK", NEVER)

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


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> Path:
    """Working folder with the extracted clips: npr and srm, npr of JPEGs, and a transformer of seven blocks."""
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder)
    torch.manual_seed(0)
    tiny = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32, "patch_size": 8}
    with hf.quiet(), contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        transformers.ViTModel(transformers.ViTConfig(num_hidden_layers=7, **tiny)).save_pretrained(folder / "vit")
        for options in ("npr,srm", "npr --perturb jpeg:50,blur:sigma=1", "hf:vit --taps cls@all"):
            patch.setattr(sys, "argv", shlex.split(f"probekit extract --model {options}"))
            with pytest.raises(SystemExit) as end:
                main()
            assert not end.value.code
    return folder


@pytest.fixture
def ask(type_, clips) -> Callable[[str], Answer]:
    """Asks `probekit probe` of the clips; the run is kept in the working folder of the test."""

    def ask_probe(options: str) -> Answer:
        return type_(f"probekit probe --manifest {clips}/manifests/clips.csv --cache {clips}/cache {options}")

    return ask_probe
