"""`probekit retrieve`: options become a question, the question becomes answers.

flags.py      the options
asked.py      what they ask
answering.py  who answers: this process, or the workers of a cluster
further.py    projections, generators left out in turn, shots
shown.py      what is printed
pictures.py   what is drawn
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from probekit_cli import engines, options, questions, sweeps
from probekit_cli.memory import Limit, Memory, of_retrieval
from probekit_cli.retrieve import flags
from probekit_cli.where import Where, selector

if TYPE_CHECKING:
    from probekit_cli.retrieve.answering import Answered
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
    memory: Memory = None,
    sheets: flags.Sheets = None,
    engine: engines.Engine = "local",
    address: engines.Address = None,
    workers_per_node: engines.WorkersPerNode = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Find each query's nearest registered images: who made it, or nobody that is registered?

    With --folds, or where the manifest has too few groups for a split, each image is searched among all other groups.

    Example: probekit retrieve --model srm --unknown shiftmap

    Example: probekit retrieve --model srm --manifest demo --engine ray --address local

    Example: probekit retrieve --model srm --manifest demo --index ivf --memory 8GiB
    """
    from probekit_cli.retrieve import answering
    from probekit_cli.retrieve.asked import Asked

    cluster = engines.cluster_settings(engine, address, workers_per_node)
    if cluster:
        engines.refuse_on_cluster({"--query-manifest": query_manifest})
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
    limit = Limit.of(memory, of_retrieval, sharing=workers_per_node or 1)
    with (
        questions.session("retrieve", asked.identity(settings), where) as session,
        sweeps.opened(session, cluster, "cpu") as sweep,
    ):
        drawn = session.count <= flags.FEW_ANSWERS if sheets is None else sheets
        found = (
            answering.on_cluster(session, asked, settings, limit, sweep)
            if sweep
            else answering.here(session, asked, settings, limit)
        )
        for answered in found:
            _keep(session, asked, answered, drawn=bool(sheets) if answered.streamed else drawn)
    session.finish(as_json)


def _keep(session: questions.Session, asked: "Asked", answered: "Answered", *, drawn: bool) -> None:
    """The answer of one reference: recorded, drawn, and printed at the end."""
    from probekit_cli.retrieve import further, pictures, shown

    features, result, compared = answered.features, answered.result, answered.compared
    shown.answer(session, features, result, each=asked.each)
    pictures.draw(session, features, result, compared)
    if drawn:
        pictures.contact_sheet(session, features, result)
    more = further.projected(session, features, compared) if compared else {}
    if answered.each:
        more |= further.each(session, features, answered.each)
    if answered.shots:
        more |= further.shots(session, features, asked.seeds, answered.shots, result.per_class["n_gallery"])
    session.answer({**result.to_json(), **more, "streamed": answered.streamed}, features)
    for name in ("per_class", "queries", "rank_curve"):
        session.table(name, getattr(result, name), features)
    if len(result.scores):
        session.table("open_set_scores", result.scores, features)
