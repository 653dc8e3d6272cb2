"""What `probekit map` draws: the picture for papers and the page."""

from dataclasses import replace
from typing import TYPE_CHECKING

from probekit_cli import thumbnails
from probekit_cli.map_.asked import ATTRIBUTION, OUTCOME, Asked

if TYPE_CHECKING:
    import pandas as pd

    from probekit.features import FeatureSet
    from probekit.figures import Extension
    from probekit_cli.questions import Session

THUMBNAILS = 3000  # images; more would make the page too heavy to open
THUMBNAIL_SIDE = 96


def draw(
    session: "Session", asked: Asked, features: "FeatureSet", points: "pd.DataFrame", title: str, caption: str
) -> None:
    """The picture in every format, and the page."""
    from probekit import reports
    from probekit.samples import Samples, full_names

    plain = asked.colour == "generator"
    name, heading = ("map", title) if plain else (f"map-by-{asked.colour}", f"{title} · by {asked.colour}")
    words = f"{heading}: {' · '.join(caption.splitlines())}"
    for extension in asked.extensions:
        session.figure(name, _picture(asked, points, heading, caption, extension), words, features, extension)
    samples = Samples.of_rows(replace(session.where.manifest, table=points))
    named = points.assign(path=full_names(points))
    small = [thumbnails.jpeg(sample, THUMBNAIL_SIDE) for sample in samples] if len(points) <= THUMBNAILS else None
    page = reports.map_page(named, title, small, caption, colour=asked.column, seed=asked.settings.seed)
    session.figure("map", page.encode(), words, features, extension="html")


def _picture(asked: Asked, points: "pd.DataFrame", title: str, caption: str, extension: "Extension") -> bytes:
    from probekit import figures

    places, column = points[["x", "y"]].to_numpy(), points[asked.column]
    muted = ~points["placed"].to_numpy(dtype=bool) if "placed" in points else None
    if figures.is_scale(column):
        return figures.scatter_values(
            places,
            column.to_numpy(dtype=float),
            name=asked.colour,
            title=title,
            caption=caption,
            muted=muted,
            seed=asked.settings.seed,
            extension=extension,
        )
    return figures.scatter_map(
        places,
        figures.classes_of(column),
        title=title,
        caption=caption,
        colours=figures.OUTCOME_COLOURS if asked.colour in (OUTCOME, ATTRIBUTION) else None,
        muted=muted,
        seed=asked.settings.seed,
        extension=extension,
    )
