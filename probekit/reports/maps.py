"""Interactive maps: points on a canvas, with thumbnails, class switches and search, in one file."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from probekit.errors import RunError
from probekit.figures import OUTCOME_COLOURS, classes_of, is_scale
from probekit.maps.sampling import stratified
from probekit.reports.template import render

ON_PAGE = OUTCOME_COLOURS | {"not tested": "rgb(138 143 152 / .35)"}
"""A solid pale grey recedes on white alone, a faint one on dark pages, too."""
REQUIRED = {"path", "generator", "x", "y"}
NO_COLOURING = {"path", "x", "y", "label", "model", "tap", "placed"}
MOST_CLASSES = 60
"""A column with more texts than this is not offered as a colouring; where it is asked for, the rarest become one."""
MOST_POINTS = 50_000
"""Of more points a page holds a seeded sample, every generator in proportion, and says so."""


def map_page(
    points: pd.DataFrame,
    title: str,
    thumbnails: Sequence[bytes | None] | None = None,
    caption: str = "",
    *,
    colour: str = "generator",
    seed: int = 0,
) -> str:
    """One HTML page that opens from disk: zoom, pan, class switches, search, thumbnails on hover.

    Args:
        points: path, generator, x, y; split and other columns of few values or of numbers become colourings, and
            where there is a column `placed`, the others are background.
        title: the page's heading.
        thumbnails: a small JPEG per point, or None where there is none.
        caption: how far the map can be trusted, under the title.
        colour: the column it is coloured by at first.
        seed: of the sample, where there are more than `MOST_POINTS`.

    Raises:
        RunError: a column is missing, or a point has no place.
    """
    data = map_data(points, thumbnails, colour=colour, seed=seed)
    return render("map.html", scripts=("theme.js", "map.js"), title=title, caption=caption, data=data)


def map_data(
    points: pd.DataFrame,
    thumbnails: Sequence[bytes | None] | None = None,
    *,
    colour: str = "generator",
    seed: int = 0,
) -> dict[str, Any]:
    """What the canvas needs: places to five digits, paths, and for each colouring its classes or its values.

    Raises:
        RunError: a column is missing, or a point has no place.
        ValueError: there are not as many thumbnails as points.
    """
    _require_places(points)
    if thumbnails is not None and len(thumbnails) != len(points):
        raise ValueError(f"{len(thumbnails)} thumbnails for {len(points)} points")
    total = len(points)
    kept = stratified(points["generator"].to_numpy(dtype=object), MOST_POINTS, seed)
    if "placed" in points:  # the background comes first
        kept = kept[np.argsort(points["placed"].to_numpy(dtype=bool)[kept], kind="stable")]
    points, thumbnails = points.iloc[kept], [thumbnails[row] for row in kept] if thumbnails else None
    paths = [str(path) for path in points["path"]]
    start = _shared_folder(paths)
    return {
        "x": _digits(points["x"], 5),
        "y": _digits(points["y"], 5),
        "prefix": start,
        "paths": [path[len(start) :] for path in paths],
        "colourings": [_colouring(name, points[name]) for name in _colourings(points, colour)],
        "thumbnails": [b64encode(jpeg).decode() if jpeg else None for jpeg in thumbnails] if thumbnails else [],
        "total": total,
        "muted": int((~points["placed"].astype(bool)).sum()) if "placed" in points else 0,
    }


def _require_places(points: pd.DataFrame) -> None:
    if missing := sorted(REQUIRED.difference(points.columns)):
        raise RunError(f"the table of map points has no column {', '.join(missing)}: run map again.")
    places = points[["x", "y"]].to_numpy(dtype=float)
    if not np.isfinite(places).all():
        row = int(np.flatnonzero(~np.isfinite(places).all(axis=1))[0])
        raise RunError(f"point {row} ({points['path'].iloc[row]}) has no place on the map: run map again.")


def _shared_folder(paths: Sequence[str]) -> str:
    """The folder that all paths start with, and its slash: said once, it makes the page smaller."""
    first, last = min(paths, default=""), max(paths, default="")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: first.rfind("/", 0, same) + 1]


def _colourings(points: pd.DataFrame, colour: str) -> list[str]:
    """The chosen column, the generators, and the others that say something in colour."""
    others = [
        name
        for name in points.columns
        if name not in NO_COLOURING and (1 < points[name].nunique() <= MOST_CLASSES or is_scale(points[name]))
    ]
    return list(dict.fromkeys([colour, "generator", *others]))


def _colouring(name: str, column: pd.Series) -> dict[str, Any]:
    """The values of a scale; or classes, sorted, real images first, and the class number of every point."""
    if is_scale(column):
        return {"name": name, "values": _digits(column, 4)}
    values = classes_of(column)
    found, codes, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    order = sorted(range(len(found)), key=lambda number: (found[number] != "real", found[number]))
    rest: set[int] = set()
    if len(found) > MOST_CLASSES:
        rest = set(np.argsort(-counts, kind="stable")[MOST_CLASSES - 1 :].tolist())
        order = [number for number in order if number not in rest]
    place = np.full(len(found), len(order))
    place[order] = np.arange(len(order))
    classes = [str(found[number]) for number in order] + [f"{len(rest)} other classes"] * bool(rest)
    colours = {each: ON_PAGE[each] for each in classes} if set(classes) <= ON_PAGE.keys() else {}
    return {"name": name, "classes": classes, "codes": place[codes].tolist(), "rest": bool(rest), "colours": colours}


def _digits(column: pd.Series, n: int) -> list[float | None]:
    """The numbers to so many significant digits; None for what is none."""
    values = column.to_numpy(dtype=float)
    return [float(f"{value:.{n}g}") if np.isfinite(value) else None for value in values]
