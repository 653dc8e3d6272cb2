"""What the options of `probekit map` ask."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from probekit_cli import options
from probekit_cli.where import Where

if TYPE_CHECKING:
    from probekit.figures import Extension
    from probekit.maps import MapSettings

OUTCOME, ATTRIBUTION = "outcome", "attribution"
"""Colourings that probes are trained for."""


@dataclass(frozen=True)
class Asked:
    """The question as it was typed."""

    where: Where
    settings: "MapSettings"
    colour: str
    accuracy: bool
    folds: int | None
    extensions: "tuple[Extension, ...]"
    onto: Path | None
    export: Path | None

    def __post_init__(self) -> None:
        from probekit.errors import UsageError
        from probekit.registry import unknown_name

        if self.onto is not None and (self.attributes or self.colour == OUTCOME):
            flag = "--accuracy" if self.accuracy else f"--colour {self.colour}"
            raise UsageError(f"{flag} is about the samples of a map, --onto about new ones: leave one of the two out.")
        layout = {"method": "tsne", "condition": "zscore", "perplexity": None, "size": None}
        given = [name for name, usual in layout.items() if getattr(self.settings, name) != usual]
        if self.onto is not None and given:
            raise UsageError(
                f"--{given[0]} is of a new map, --onto places on one that has its own: leave one of the two out."
            )
        if self.folds is not None and not self.attributes and self.colour != OUTCOME:
            raise UsageError("--folds is for probes: give --accuracy, --colour outcome or --colour attribution, too.")
        if self.export is not None and self.export.suffix != ".parquet":
            raise UsageError(f"--export {self.export}: the table is Parquet, so name it FILE.parquet.")
        if self.export is not None and not self.export.absolute().parent.is_dir():
            raise UsageError(f"--export {self.export}: there is no such folder: make it first.")
        known = {*self.where.manifest.table.columns, OUTCOME, ATTRIBUTION}
        if self.colour not in known:
            raise unknown_name("--colour", self.colour, known)

    @property
    def column(self) -> str:
        """The column of the map's points that is meant: a manifest's `x` stands there under another name."""
        from probekit.maps.result import OWN

        return f"manifest_{self.colour}" if self.colour in OWN else self.colour

    @property
    def attributes(self) -> bool:
        """Whether the attribution probe is asked for."""
        return self.accuracy or self.colour == ATTRIBUTION

    def identity(self) -> dict[str, Any]:
        """All that the answers depend on, for the record."""
        from probekit.fingerprint import plain, plain_object

        more: dict[str, Any] = {"outcome": self.colour == OUTCOME, "attribution": self.attributes}
        more |= {"folds": self.folds, "onto": self.onto.name if self.onto else None}
        return plain_object(self.settings) | {name: plain(value) for name, value in more.items() if value}


def parse_perplexity(text: str | None) -> float | tuple[float, ...] | str | None:
    """`30` as a number, `10,50` as several, `multiscale` as it is.

    Raises:
        UsageError: it is none of these.
    """
    import math

    from probekit.errors import UsageError
    from probekit.maps.settings import MULTISCALE

    if text is None or text.strip() == MULTISCALE:
        return MULTISCALE if text else None
    try:
        values = tuple(float(part) for part in options.names("--perplexity", text))
    except ValueError:
        values = (math.nan,)
    if not all(math.isfinite(value) for value in values):
        raise UsageError(f"--perplexity {text}: give a finite number, several as 30,100, or {MULTISCALE}.")
    return values[0] if len(values) == 1 else values


def parse_formats(text: str) -> "tuple[Extension, ...]":
    """`png,svg` as file formats.

    Raises:
        UnknownNameError: there is another.
    """
    from probekit.figures import Extension
    from probekit.registry import one_of

    known: "tuple[Extension, ...]" = get_args(Extension)
    return tuple(one_of("--format", name, known) for name in options.names("--format", text))
