"""Which rows are registered, which are searched, and which a projection may learn from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit.arrays import Int, Mask
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.manifest import REAL, linked_groups
from probekit.protocols import IDENTITY, group_folds, members, parse_pools
from probekit.registry import unknown_name
from probekit.retrieval.settings import RetrievalSettings, Rows

SEARCHED = "searched"
"""Column: whether a row is of the manifest of queries, where that is another one than the gallery's."""

RowNumbers = Int[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Turn:
    """One gallery and the queries that are searched in it, as row numbers of all samples."""

    gallery: RowNumbers
    """In the order of what tells samples apart, so that ties never depend on the order of the manifest."""
    queries: RowNumbers
    learned: RowNumbers
    """What a projection learns from: registered training rows without the groups of queries and validation rows."""

    def without(self, generator: str, samples: pd.DataFrame) -> "Turn":
        """The same before this generator was registered."""
        other = (samples["generator"] != generator).to_numpy()
        return replace(self, gallery=self.gallery[other[self.gallery]], learned=self.learned[other[self.learned]])


def turns(samples: pd.DataFrame, settings: RetrievalSettings, *, learns: bool) -> list[Turn]:
    """One turn; out of fold and with a projection that learns, one a fold.

    Raises:
        UsageError: no gallery row or no query is left.
        UnknownNameError: an unknown generator, pool or domain that does not occur.
    """
    check_unknown(samples, settings.unknown)
    gallery = _chosen(samples, "gallery", settings) & ~samples["generator"].isin(settings.unknown).to_numpy()
    queries = _chosen(samples, "query", settings)
    _require_rows(samples, "gallery", settings.gallery, gallery)
    _require_rows(samples, "query", settings.query, queries)
    if settings.folds and learns:
        fold = group_folds(samples, settings.folds, settings.seed)
        every = [(gallery & (fold != number), queries & (fold == number)) for number in np.unique(fold)]
        parts = [(rows, asked, rows) for rows, asked in every if rows.any() and asked.any()]
    else:
        taught = gallery if settings.folds else gallery & (samples["split"] == "train").to_numpy()
        parts = [(gallery, queries, taught)]
    order, validation = _by_identity(samples), validation_rows(samples, settings)
    group = samples["group"]
    return [
        Turn(
            order[rows[order]],
            np.flatnonzero(asked),
            np.flatnonzero(taught & ~group.isin({*group[asked], *group.iloc[validation]}).to_numpy()),
        )
        for rows, asked, taught in parts
    ]


def validation_rows(samples: pd.DataFrame, settings: RetrievalSettings) -> RowNumbers:
    """Rows that may set thresholds: of the val split, chosen as the gallery is, without the groups of the queries.

    None where the split is gallery or queries itself.
    """
    used = {settings.gallery} if SEARCHED in samples else {settings.gallery, settings.query}
    if settings.folds or used & {"val", "all"}:
        return np.empty(0, dtype=np.int64)
    searched = samples.loc[_chosen(samples, "query", settings), "group"].unique()
    rows = _chosen(samples, "gallery", replace(settings, gallery="val"))
    return np.flatnonzero(rows & ~samples["group"].isin(searched).to_numpy())


def beside(gallery: FeatureSet, queries: FeatureSet) -> FeatureSet:
    """The samples of two manifests as one set: the first are registered, the second searched.

    Groups of one name count as one group. So do the groups of one image that is in both, which must not find itself.

    Raises:
        UsageError: the features are not of the same stores.
    """
    if gallery.sources != queries.sources:
        raise UsageError(
            f"{gallery.name}: the features of the queries are of another store than those of the gallery. "
            "Extract both with one model, view and precision, or name the store with --store."
        )
    both = [one.samples.assign(**{SEARCHED: searched}) for one, searched in ((gallery, False), (queries, True))]
    samples = pd.concat(both, ignore_index=True)
    if "member" in samples:  # one of the two may know no archives
        samples["member"] = samples["member"].fillna("")
    excluded = pd.concat([gallery.excluded, queries.excluded], ignore_index=True)
    blocks = tuple(np.concatenate(pair) for pair in zip(gallery.blocks, queries.blocks, strict=True))
    return replace(gallery, samples=samples.assign(group=_joined_groups(samples)), blocks=blocks, excluded=excluded)


def check_unknown(samples: pd.DataFrame, unknown: Sequence[str]) -> None:
    """Nothing, when all of these are generators of the samples.

    Raises:
        UsageError: `real` is among them.
        UnknownNameError: one does not occur.
    """
    known = set(samples["generator"])
    for name in unknown:
        if name == REAL:
            raise UsageError("--unknown real: real images are a pool of their own; name generators only.")
        if name not in known:
            raise unknown_name("generator", name, known - {REAL})


def _chosen(samples: pd.DataFrame, side: str, settings: RetrievalSettings) -> Mask:
    """Rows of one side: of its manifest, split, domains and generators."""
    split, domains, pools = (
        (settings.gallery, settings.gallery_domains, settings.gallery_generators)
        if side == "gallery"
        else (settings.query, settings.query_domains, settings.query_generators)
    )
    rows = np.ones(len(samples), dtype=bool)
    if SEARCHED in samples:
        rows &= samples[SEARCHED].to_numpy() == (side == "query")
    own = samples.loc[rows]
    for domain in domains:
        if domain not in set(own["domain"]):
            raise unknown_name(f"--{side}-domain", domain, set(own["domain"]))
    if domains:
        rows &= samples["domain"].isin(domains).to_numpy()
    if split != "all" and not settings.folds:
        rows &= (samples["split"] == split).to_numpy()
    if pools:
        wanted = parse_pools(pools, own)
        rows = np.logical_or.reduce([members(samples, pool, rows) for pool in wanted])
    return rows


def _require_rows(samples: pd.DataFrame, side: str, split: Rows, rows: Mask) -> None:
    if not rows.any():
        counts = ", ".join(f"{n} {name}" for name, n in samples["split"].value_counts().items())
        raise UsageError(
            f"--{side} {split} leaves no row with features (rows by split: {counts or 'none at all'}): "
            "choose another split, or extract the missing samples."
        )


def _by_identity(samples: pd.DataFrame) -> RowNumbers:
    """Row numbers in the order of path, member, frame and box."""
    columns = [name for name in IDENTITY if name in samples]
    order: RowNumbers = samples[columns].reset_index(drop=True).sort_values(columns, kind="stable").index.to_numpy()
    return order


def _joined_groups(samples: pd.DataFrame) -> "pd.Series[str]":
    """A name for each set of groups that one image is in; a group that shares none keeps its own."""
    identity = [name for name in IDENTITY if name in samples]
    image = samples.groupby(identity, dropna=False, sort=False).ngroup()
    return linked_groups(samples["group"], image)
