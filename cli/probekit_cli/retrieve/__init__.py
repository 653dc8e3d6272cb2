"""`probekit retrieve`: options become a question, the question becomes answers.

flags.py     the options
asked.py     what they ask
further.py   projections, generators left out in turn, shots
shown.py     what is printed
pictures.py  what is drawn
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from probekit_cli import options, output, questions
from probekit_cli.retrieve import flags
from probekit_cli.where import Where, selector

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.retrieval import RetrievalSettings
    from probekit_cli.retrieve.asked import Asked


def retrieve(
    gallery: flags.Gallery = None,
    query: flags.Query = None,
    gallery_generators: flags.GalleryGenerators = "",
    query_generators: flags.QueryGenerators = "",
    gallery_domain: flags.GalleryDomain = None,
    query_domain: flags.QueryDomain = None,
    unknown: flags.Unknown = None,
    k: flags.Neighbours = 10,
    vote: flags.Vote = "soft",
    class_rank: flags.ClassRank = "max",
    condition: flags.Condition = "l2",
    index: flags.Index = "auto",
    project: flags.Project = None,
    dimension: flags.Dimension = None,
    shots: flags.Shots = None,
    seeds: flags.Seeds = 5,
    model: options.Model = None,
    taps: options.Taps = None,
    manifest: options.Manifest = None,
    query_manifest: flags.QueryManifest = None,
    folds: options.Folds = None,
    view: options.View = None,
    precision: options.Precision = None,
    store: options.Store = None,
    perturb: options.Perturb = None,
    crops: options.Crops = "mean",
    allow_missing: options.AllowMissing = False,
    seed: options.Seed = 0,
    bootstrap: options.Bootstrap = 1000,
    sheets: flags.Sheets = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Find each query's nearest registered images: who made it, or nobody that is registered?

    With --folds, or where the manifest has too few groups for a split, each image is searched among all other groups.

    Example: probekit retrieve --model srm --unknown shiftmap
    """
    from probekit_cli.retrieve.asked import Asked

    where = Where(manifest, model, taps, selector(view, precision, store, perturb, crops), allow_missing, cache, runs)
    asked = Asked(
        where=where,
        gallery=gallery,
        query=query,
        pools={"gallery_generators": gallery_generators, "query_generators": query_generators},
        domains={"gallery_domains": gallery_domain, "query_domains": query_domain},
        query_where=replace(where, manifest_name=query_manifest) if query_manifest else None,
        unknown=unknown,
        folds=folds,
        common={
            "k": k,
            "vote": vote,
            "class_rank": class_rank,
            "condition": condition,
            "index": index,
            "bootstrap": bootstrap,
            "seed": seed,
        },
        project=project,
        dimension=dimension,
        shots=shots,
        seeds=seeds,
    )
    settings = asked.settings()
    asked.projection(seed)  # a name that does not exist is said before features are read
    with questions.session("retrieve", asked.identity(settings), where) as session:
        drawn = session.count <= flags.FEW_ANSWERS if sheets is None else sheets
        for features in session.feature_sets():
            _answer(session, asked, asked.beside(features), settings, drawn)
    session.finish(as_json)


def _answer(
    session: questions.Session, asked: "Asked", features: "FeatureSet", settings: "RetrievalSettings", sheets: bool
) -> None:
    """One kind of features: the answer as they are, and whatever else is asked of them."""
    from probekit.retrieval import compare
    from probekit.retrieval import retrieve as search
    from probekit_cli.retrieve import further, pictures, shown

    projection = asked.projection(settings.seed)
    compared = compare(features, settings, projection) if projection else None
    result = compared.raw if compared else search(features, settings)
    shown.answer(session, features, result, each=asked.each)
    pictures.draw(session, features, result, compared)
    if sheets:
        pictures.contact_sheet(session, features, result)
    more = further.projected(session, features, compared) if compared else {}
    with output.progress(f"searching {features.name}") as progress:
        if asked.each:
            more |= further.each(session, features, settings, projection, progress)
        if asked.shots:
            more |= further.shots(session, features, settings, asked, result.per_class["n_gallery"], progress)
    session.answer({**result.to_json(), **more}, features)
    for name in ("per_class", "queries", "rank_curve"):
        session.table(name, getattr(result, name), features)
    if len(result.scores):
        session.table("open_set_scores", result.scores, features)
