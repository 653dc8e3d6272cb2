"""`probekit map` (alias `tsne`): options become a question, the question becomes a picture and a page.

flags.py      the options
asked.py      what they ask
outcomes.py   what probes make of unseen samples, to colour by
onto.py       the map of an earlier run, to place samples on
pictures.py   what is drawn
"""

from typing import TYPE_CHECKING

from probekit_cli import options, output, questions
from probekit_cli.map_ import flags
from probekit_cli.where import Where, selector

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from probekit.features import FeatureSet
    from probekit.maps import MapResult, PlacedMap
    from probekit_cli.map_.asked import Asked
    from probekit_cli.map_.onto import EarlierMap


def map_(
    method: flags.Method = "tsne",
    perplexity: flags.Perplexity = None,
    size: flags.Size = None,
    onto: flags.Onto = None,
    condition: options.Condition = "zscore",
    colour: flags.Colour = "generator",
    accuracy: flags.Accuracy = False,
    format_: flags.Format = "png",
    model: options.Model = None,
    taps: options.Taps = None,
    manifest: options.Manifest = None,
    folds: options.Folds = None,
    view: options.View = None,
    precision: options.Precision = None,
    store: options.Store = None,
    perturb: options.Perturb = None,
    crops: options.Crops = "mean",
    allow_missing: options.AllowMissing = False,
    seed: options.Seed = 0,
    export: flags.Export = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Draw a map of the features with its quality printed on it: a picture and an interactive page.

    Example: probekit map --model srm
    """
    from probekit.maps import MapSettings, methods
    from probekit_cli.map_.asked import Asked, parse_formats, parse_perplexity
    from probekit_cli.map_.onto import EarlierMap

    earlier = EarlierMap.read(onto, cache) if onto else None
    if earlier and model is None:
        model = ",".join(earlier.references)
    where = Where(manifest, model, taps, selector(view, precision, store, perturb, crops), allow_missing, cache, runs)
    settings = MapSettings(
        method=method, condition=condition, perplexity=parse_perplexity(perplexity), size=size, seed=seed
    )
    methods.create(settings)  # a name that does not exist is said before features are read
    asked = Asked(where, settings, colour, accuracy, folds, parse_formats(format_), onto, export)
    with questions.session("map", asked.identity(), where) as session:
        for features in session.feature_sets():
            if earlier:
                _place(session, asked, earlier, features)
            else:
                _map(session, asked, features)
    session.finish(as_json)


def _map(session: questions.Session, asked: "Asked", features: "FeatureSet") -> None:
    """A new map of one kind of features."""
    from probekit.maps import embed_map, methods
    from probekit_cli.map_ import outcomes

    judged = outcomes.judge(session, asked, features)
    told = methods.get(asked.settings.method).tells_progress
    with output.progress(f"mapping {features.name}", told=told) as show:
        result = embed_map(judged.features, asked.settings, show)
    title = f"{result.method} · {features.title}"
    caption = "\n".join((result.caption, *judged.captions))
    _record(session, asked, features, result, title, caption, judged.json)


def _place(session: questions.Session, asked: "Asked", earlier: "EarlierMap", features: "FeatureSet") -> None:
    """The samples on the map that the earlier run made of such features."""
    from probekit.maps import methods, place
    from probekit_cli.map_.onto import with_whole_paths

    old, coordinates, settings = earlier.under(features)
    both = with_whole_paths(old, earlier.manifest), with_whole_paths(features, session.where.manifest)
    told = methods.get(settings.method).tells_progress
    with output.progress(f"placing {features.name}", told=told) as show:
        result = place(both[0], coordinates, both[1], settings, show)
    title = f"{result.method} · {features.title} · placed on {earlier.path.name}"
    _record(session, asked, features, result, title, result.caption, {"onto": str(earlier.path)})


def _record(
    session: questions.Session,
    asked: "Asked",
    features: "FeatureSet",
    result: "MapResult | PlacedMap",
    title: str,
    caption: str,
    more: dict[str, object],
) -> None:
    """One map: its figures, its points, its pictures, and what is printed."""
    from probekit_cli.map_ import pictures

    session.answer({**result.to_json(), **more}, features)
    session.table("map", result.points, features)
    pictures.draw(session, asked, features, result.points, title, caption)
    if asked.export:
        _export(session, asked.export, result)
    words = f"{title}: {caption}"
    session.show(lambda: output.stdout().print(words, markup=False, soft_wrap=True))


def _export(session: questions.Session, to: "Path", result: "MapResult | PlacedMap") -> None:
    """The points for Embedding Atlas, one file a map."""
    import pyarrow.parquet as pq

    from probekit.files import whole
    from probekit.maps import atlas_table

    if session.count > 1:
        to = to.with_stem(f"{to.stem}-{len(session.answers)}")
    table = atlas_table(_with_files(session, result.points), result.components, result.settings.neighbours)
    with whole(to) as draft:
        pq.write_table(table, draft)
    session.remark(f"{to}: embedding-atlas {to} --x x --y y --neighbors neighbors")


def _with_files(session: questions.Session, points: "pd.DataFrame") -> "pd.DataFrame":
    """The points with absolute paths: another program knows no root."""
    from dataclasses import replace

    from probekit.samples import Samples

    samples = Samples.of_rows(replace(session.where.manifest, table=points))
    return points.assign(path=samples.cells("path", slice(None)))
