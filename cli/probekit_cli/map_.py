"""`probekit map` (alias `tsne`)."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output, questions
from probekit_cli.where import Where, finite, selector

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.maps import MapSettings
    from probekit.samples import Samples

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
    perturb: options.Perturb = None,
    crops: options.Crops = "mean",
    allow_missing: options.AllowMissing = False,
    seed: options.Seed = 0,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Draw a t-SNE map coloured by generator, with its quality printed on it: a picture and an interactive page.

    Example: probekit map --model srm
    """
    from probekit.maps import MapSettings

    where = Where(manifest, model, taps, selector(view, precision, store, perturb, crops), allow_missing, cache, runs)
    settings = MapSettings(condition=condition, perplexity=finite("--perplexity", perplexity), seed=seed)
    with questions.session("map", settings, where) as session:
        for features in session.feature_sets():
            _map(session, features, settings)
    session.finish(as_json)


def _map(session: questions.Session, features: "FeatureSet", settings: "MapSettings") -> None:
    from probekit import figures, reports
    from probekit.maps import embed_map
    from probekit.samples import Samples

    with output.progress(f"mapping {features.name}") as show:
        result = embed_map(features, settings, show)
    session.answer(result.to_json(), features)
    session.table("map", result.points, features)
    places, classes = result.points[["x", "y"]].to_numpy(), result.points["generator"].to_numpy()
    title = f"t-SNE · {features.title}"
    picture = figures.scatter_map(places, classes, title=title, caption=result.caption)
    session.figure("map", picture, f"{title}: {result.caption}", features)
    samples = Samples.of_rows(replace(session.where.manifest, table=features.samples))
    paths = zip(samples, features.samples["path"], strict=True)
    points = result.points.assign(path=[sample._replace(path=path).name for sample, path in paths])
    page = reports.map_page(points, title, _thumbnails(samples), result.caption)
    session.figure("map", page.encode(), f"{title}: {result.caption}", features, extension="html")
    session.show(lambda: output.stdout().print(f"{title}: {result.caption}", markup=False, soft_wrap=True))


def _thumbnails(samples: "Samples") -> list[bytes | None]:
    """Small JPEGs of the first samples; None for the rest and for files that are gone."""
    from probekit import sources
    from probekit.errors import ImageError

    found: list[bytes | None] = []
    for sample in samples:
        try:
            found.append(sources.thumbnail(sample, THUMBNAIL_SIDE) if len(found) < THUMBNAILS else None)
        except ImageError:  # gone since its features were extracted: the map does without its picture
            found.append(None)
    return found
