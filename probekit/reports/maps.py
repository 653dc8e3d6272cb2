"""Interactive maps: points on a canvas, with thumbnails, class switches and search, in one file."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from probekit.errors import RunError
from probekit.reports.template import render

REQUIRED = {"path", "generator", "x", "y"}
MOST_CLASSES = 40
"""A column with more values than this is not offered as a colouring."""


def map_page(
    points: pd.DataFrame, title: str, thumbnails: Sequence[bytes | None] | None = None, caption: str = ""
) -> str:
    """One HTML page that opens from disk: zoom, pan, class switches, search, thumbnails on hover.

    Args:
        points: path, generator, x, y; label, split and other columns of few values become colourings.
        title: the page's heading.
        thumbnails: a small JPEG per point, or None where there is none.
        caption: how far the map can be trusted, under the title.

    Raises:
        RunError: a column is missing, or a point has no place.
    """
    data = map_data(points, thumbnails)
    return render("map.html", scripts=("theme.js", "map.js"), title=title, caption=caption, data=data)


def map_data(points: pd.DataFrame, thumbnails: Sequence[bytes | None] | None = None) -> dict[str, Any]:
    """What the canvas needs: places to five digits, paths, and for each colouring its class names and codes.

    Raises:
        RunError: a column is missing, or a point has no place.
        ValueError: there are not as many thumbnails as points.
    """
    if missing := sorted(REQUIRED.difference(points.columns)):
        raise RunError(f"the table of map points has no column {', '.join(missing)}: run map again.")
    places = points[["x", "y"]].to_numpy(dtype=float)
    if not np.isfinite(places).all():
        row = int(np.flatnonzero(~np.isfinite(places).all(axis=1))[0])
        raise RunError(f"point {row} ({points['path'].iloc[row]}) has no place on the map: run map again.")
    if thumbnails is not None and len(thumbnails) != len(points):
        raise ValueError(f"{len(thumbnails)} thumbnails for {len(points)} points")
    paths = [str(path) for path in points["path"]]
    start = _shared_folder(paths)
    return {
        "x": [float(f"{value:.5g}") for value in places[:, 0]],
        "y": [float(f"{value:.5g}") for value in places[:, 1]],
        "prefix": start,
        "paths": [path[len(start) :] for path in paths],
        "colourings": [_colouring(name, points[name]) for name in _colourings(points)],
        "thumbnails": [b64encode(jpeg).decode() if jpeg else None for jpeg in thumbnails] if thumbnails else [],
    }


def _shared_folder(paths: Sequence[str]) -> str:
    """The folder that all paths start with, and its slash: said once, it makes the page smaller."""
    first, last = min(paths, default=""), max(paths, default="")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: first.rfind("/", 0, same) + 1]


def _colourings(points: pd.DataFrame) -> list[str]:
    others = [
        name
        for name in points.columns
        if name not in {"path", "x", "y", "generator", "label", "model", "tap"}
        and 1 < points[name].nunique() <= MOST_CLASSES
    ]
    return ["generator", *others]


def _colouring(name: str, column: pd.Series) -> dict[str, Any]:
    """Classes sorted by name, real images first, and the class number of every point."""
    values = column.astype(object).where(column.notna(), "–").astype(str)
    classes = sorted(values.unique(), key=lambda value: (value != "real", value))
    code = {value: i for i, value in enumerate(classes)}
    return {"name": name, "classes": classes, "codes": [code[value] for value in values]}
