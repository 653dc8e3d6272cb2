"""Files and folders that lie on a disk: a URL is refused before anything is computed, and no folder `s3:` is made."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import pytest
import typer

from probekit.errors import UsageError
from probekit_cli.app import app


def functions(group: typer.Typer) -> Iterator[Callable[..., None]]:
    """What its commands call."""
    yield from (command.callback for command in group.registered_commands if command.callback)
    for inner in group.registered_groups:
        yield from functions(inner.typer_instance)


def mentions_path(annotation: object) -> bool:
    """Whether it is a Path, or a list of them, or none."""
    return annotation is Path or any(map(mentions_path, get_args(annotation)))


def paths() -> Iterator[object]:
    """Options and arguments that are paths, with the names of their commands and their own."""
    for function in dict.fromkeys(functions(app)):
        for name, annotation in get_type_hints(function, include_extras=True).items():
            if mentions_path(annotation):
                yield pytest.param(annotation.__metadata__[0], id=f"{function.__module__}.{function.__name__} {name}")


def test_commands_have_options_that_are_paths():
    assert len(list(paths())) > 20


@pytest.mark.parametrize("option", list(paths()))
def test_no_path_of_a_command_may_be_a_url(option):
    with pytest.raises(UsageError, match=r"^s3://lab/x: [\w ]+ lie on a disk: "):
        option.callback(SimpleNamespace(opts=["--to"]), Path("s3://lab/x"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("report --out s3://lab/r.html", "s3://lab/r.html: reports lie on a disk: name a file with --out."),
        ("report --tables gs://lab/t", "gs://lab/t: tables lie on a disk: name a folder with --tables."),
        ("blacklist create watch --model srm --blacklists s3://lab/bl", "s3://lab/bl: blacklists lie on a disk: name"),
        ("cache export srm --to s3://lab/srm.parquet", "exported features lie on a disk: name a file with --to."),
        ("cache import s3://lab/a.npy --model imported:a", "s3://lab/a.npy: files to import lie on a disk: copy it"),
        ("map --export s3://lab/points.parquet", "exported points lie on a disk: name a file with --export."),
        ("saliency --model srm --maps s3://lab/maps", "maps lie on a disk: name a folder with --maps."),
        ("extract --model srm --weights srm=s3://me:word@lab/w.pth", "s3://lab/w.pth: checkpoints lie on a disk: name"),
    ],
)
def test_a_url_that_should_be_a_path_is_one_line_and_makes_no_folder(type_, tmp_path, command, said):
    done = type_(f"probekit {command}")
    assert done.code == 2, done.out
    (line,) = done.err.splitlines()
    assert said in line
    assert "word" not in line
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_a_colon_or_an_equals_sign_is_taken(type_, tmp_path):
    done = type_("probekit report a=b:c --out d:e=f.html")
    assert "disk" not in done.err
