"""Options that several commands share, each with one name, one help text and one environment variable."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from probekit.paths import AnyPath, path_of, require_no_url

Given = TypeVar("Given")

FEATURES, EVALUATION, FILES = "Which features", "How numbers are made", "Files"
"""Panels of the help pages."""

Manifest = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        "-m",
        envvar="PROBEKIT_MANIFEST",
        metavar="NAME|FILE|URL",
        help="Manifest; the only one in manifests/.",
        rich_help_panel=FEATURES,
    ),
]


Cache = Annotated[
    AnyPath,
    typer.Option(
        "--cache",
        envvar="PROBEKIT_CACHE",
        metavar="DIR|URL",
        help="Folder of the feature stores.",
        rich_help_panel=FILES,
        parser=lambda text: path_of(str(text)),
    ),
]


def on_a_disk(what: str, instead: str = "name a file") -> Callable[[typer.CallbackParam, Given], Given]:
    """The callback of an option or argument that names what cannot lie in a bucket: a URL is refused.

    As every Path has one, no folder `s3:` is ever made. `MODEL=FILE` names a file, too.

    Args:
        what: is named, in the plural.
        instead: is to be done.
    """

    def check(parameter: typer.CallbackParam, given: Given) -> Given:
        option = "".join(f" with {name}" for name in parameter.opts if name.startswith("--"))
        every = given if isinstance(given, list | tuple) else () if given is None else (given,)
        for one in map(str, every):
            for text in (one, one.rpartition("=")[2]):
                require_no_url(Path(text), f"{what} lie on a disk: {instead}{option}.")
        return given

    return check


Runs = Annotated[
    Path,
    typer.Option(
        "--runs",
        envvar="PROBEKIT_RUNS",
        metavar="DIR",
        help="Folder of the run records.",
        rich_help_panel=FILES,
        callback=on_a_disk("run records", "name a folder"),
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.", rich_help_panel=FILES)
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL[#TAP][+…][,…]",
        help="Features to ask; a+b puts two side by side. Default: all that cover the manifest.",
        rich_help_panel=FEATURES,
    ),
]
Taps = Annotated[
    str | None,
    typer.Option(
        "--taps",
        metavar="TAP[,TAP]",
        help="Taps to ask of each model: cls@23, cls@all, mean@0-11, all that there are.",
        rich_help_panel=FEATURES,
    ),
]
View = Annotated[
    str | None,
    typer.Option("--view", help="Which view, where several were extracted.", rich_help_panel=FEATURES),
]
Precision = Annotated[
    str | None,
    typer.Option("--precision", help="Which precision, where several were extracted.", rich_help_panel=FEATURES),
]
Perturb = Annotated[
    str | None,
    typer.Option(
        "--perturb",
        metavar="CHAIN",
        help="Which perturbation. Default: unperturbed images.",
        rich_help_panel=FEATURES,
    ),
]
Crops = Annotated[
    str,
    typer.Option(
        "--crops",
        help="Views of several crops an image: their mean, or all as samples of their own.",
        rich_help_panel=FEATURES,
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="HASH",
        help="Which store: the beginning of its name or address.",
        rich_help_panel=FEATURES,
    ),
]
AllowMissing = Annotated[
    bool,
    typer.Option("--allow-missing", help="Go on without samples that were never extracted.", rich_help_panel=FEATURES),
]
Condition = Annotated[
    str, typer.Option("--condition", help="How features are conditioned: raw, l2, zscore, layernorm or whiten.")
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        metavar="K",
        min=0,
        help="Evaluate out of fold by group; 0 uses the split. Default: the manifest's choice.",
        rich_help_panel=EVALUATION,
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, help="Seed of everything that is drawn at random.", rich_help_panel=EVALUATION),
]
Bootstrap = Annotated[
    int,
    typer.Option("--bootstrap", min=0, help="Resamples of the groups for intervals.", rich_help_panel=EVALUATION),
]

DEFAULT_CACHE = Path("cache")
DEFAULT_RUNS = Path("runs")


def names(flag: str, text: str) -> tuple[str, ...]:
    """`a,b` as names, each once.

    Raises:
        UsageError: there is no name, or one is missing.
    """
    from probekit.errors import UsageError

    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(found):
        raise UsageError(f"{flag} {text!r}: a name is missing; write one, or several as a,b.")
    return found
