"""`probekit map` (alias `tsne`)."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output, questions

if TYPE_CHECKING:
    import pandas as pd

THUMBNAILS = 3000  # more would make the page too heavy to open
THUMBNAIL_SIDE = 96


def map_(
    perplexity: Annotated[float | None, typer.Option(help="Of t-SNE. Default: by the number of samples.")] = None,
    condition: options.Condition = "zscore",
    model: options.Model = None,
    taps: options.Taps = None,
    manifest: options.Manifest = None,
    view: options.View = None,
    precision: options.Precision = None,
    store: options.Store = None,
    allow_missing: options.AllowMissing = False,
    seed: options.Seed = 0,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Draw a t-SNE map coloured by generator, with its quality printed on it: a picture and an interactive page.

    Example: probekit map --model srm
    """
    from probekit import figures, reports
    from probekit.maps import MapSettings, embed_map

    settings = MapSettings(condition=condition, perplexity=perplexity, seed=seed)
    with questions.session(
        "map",
        settings,
        manifest=manifest,
        model=model,
        taps=taps,
        view=view,
        precision=precision,
        store=store,
        allow_missing=allow_missing,
        cache=cache,
        runs=runs,
    ) as session:
        for features in session.feature_sets():
            with output.progress(f"mapping {features.reference}") as show:
                result = embed_map(features, settings, show)
            session.answer(result.to_json(), features)
            session.table("map", result.points, features)
            points, classes = result.points[["x", "y"]].to_numpy(), result.points["generator"].to_numpy()
            title = f"t-SNE · {features.reference}"
            picture = figures.scatter_map(points, classes, title=title, caption=result.caption)
            session.figure("map", picture, f"{title}: {result.caption}", features)
            page = reports.map_page(result.points, title, _thumbnails(result.points, session.manifest.root))
            session.run.figure(f"map-{features.reference}", page.encode(), result.caption, extension="html")
            if not as_json:
                output.remark(f"{title}: {result.caption}")
    questions.finish(session, as_json)


def _thumbnails(points: "pd.DataFrame", root: Path) -> list[bytes | None]:
    """Small JPEGs of the first samples; None for the rest and for files that are gone."""
    from PIL import Image

    found: list[bytes | None] = []
    for path in points["path"]:
        picture = None
        if len(found) < THUMBNAILS and (root / path).is_file():
            with Image.open(root / path) as image:
                small = image.convert("RGB")
                small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
                buffer = io.BytesIO()
                small.save(buffer, "JPEG", quality=80)
                picture = buffer.getvalue()
        found.append(picture)
    return found
