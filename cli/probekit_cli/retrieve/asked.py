"""What the options of `probekit retrieve` ask."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from probekit_cli import options
from probekit_cli.where import Where

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.manifest import Manifest
    from probekit.projections import Projection
    from probekit.retrieval import RetrievalSettings
    from probekit.retrieval.settings import Rows

ROWS: "tuple[Rows, ...]" = ("train", "val", "test", "all")
EACH = "each"


@dataclass(frozen=True)
class Asked:
    """The question as it was typed."""

    where: Where
    gallery: str | None
    query: str | None
    pools: Mapping[str, Any]
    """`gallery_generators` and `query_generators`."""
    domains: Mapping[str, str | None]
    """`gallery_domains` and `query_domains`."""
    query_where: Where | None
    unknown: str | None
    folds: int | None
    common: Mapping[str, Any]
    """Other settings, by their names."""
    project: str | None
    dimension: int | None
    shots: str | None
    seeds: int

    def __post_init__(self) -> None:
        from probekit.errors import UsageError

        if (self.gallery or self.query) and self.folds:
            raise UsageError("--folds searches every image among all other groups: leave --gallery and --query out.")
        if self.query_where and self.folds:
            raise UsageError("--folds searches a manifest in itself: leave it or --query-manifest out.")
        if self.shots and (self.project or self.each):
            other = "--project" if self.project else "--unknown each"
            raise UsageError(f"--shots and {other} are two questions: ask them one after the other.")
        if self.dimension and not self.project:
            raise UsageError("--dimension is that of a projection: name one with --project.")

    def require_streamable(self, why: str) -> None:
        """Nothing, if this is asked of one manifest and gallery, which can be read in blocks.

        Raises:
            UsageError: it is not; `why` says why it would have to be.
        """
        from probekit.errors import UsageError

        given = {"--query-manifest": self.query_where, "--shots": self.shots, "--unknown each": self.each}
        for flag in (flag for flag, value in given.items() if value):
            raise UsageError(f"{flag} is not answered over blocks, and {why}: give more --memory.")

    @property
    def shot_numbers(self) -> "list[int | None]":
        """Registered examples of each generator, None for all of them; none where it is not asked."""
        from probekit.protocols import parse_shots

        return list(parse_shots(self.shots, of="examples")) if self.shots else []

    @property
    def each(self) -> bool:
        """Whether every generator is left out in turn."""
        return self.unknown == EACH

    def settings(self) -> "RetrievalSettings":
        """What is searched for what."""
        from probekit.registry import one_of
        from probekit.retrieval import RetrievalSettings

        named = self.gallery or self.query or self.query_where
        own_folds = self.where.manifest.folds if self.folds is None else 0
        return RetrievalSettings(
            gallery=one_of("--gallery", self.gallery or ("all" if self.query_where and own_folds else "train"), ROWS),
            query=one_of("--query", self.query or ("all" if self.query_where else "test"), ROWS),
            folds=0 if named else self.where.folds(self.folds),
            unknown=() if self.each or not self.unknown else options.names("--unknown", self.unknown),
            **self.pools,
            **self._domains(),
            **self.common,
        )

    def _domains(self) -> dict[str, Any]:
        return {name: options.names(_flag(name), text) if text else () for name, text in self.domains.items()}

    def identity(self, settings: "RetrievalSettings") -> dict[str, Any]:
        """All that the answers depend on, for the record."""
        from probekit.fingerprint import plain

        more: dict[str, Any] = {
            "unknown_each": self.each,
            "projection": self.projection(settings.seed),
            "shots": self.shots,
        }
        more |= {"seeds": self.seeds} if self.shots else {}
        more |= {"query_manifest": self.query_where.manifest.sha256} if self.query_where else {}
        return {"settings": plain(settings), **{name: plain(value) for name, value in more.items() if value}}

    def projection(self, seed: int) -> "Projection | None":
        """The projection that is asked for."""
        from probekit import projections

        return projections.parse(self.project, dimension=self.dimension, seed=seed) if self.project else None

    def beside(self, features: "FeatureSet") -> "FeatureSet":
        """The features with those of the other manifest's images beside them, if there is one."""
        from probekit.features import Join, Selector
        from probekit.retrieval import beside

        if self.query_where is None:
            return features
        single = len(features.sources) == 1
        selector = Selector(store=features.sources[0].address) if single else self.query_where.selector
        selector = replace(selector, crops=self.query_where.selector.crops)
        join = Join(self.query_where.manifest, self.query_where.cache)
        queries = join.load(features.reference, selector, allow_missing=self.query_where.allow_missing)
        return beside(
            _with_whole_paths(features, self.where.manifest), _with_whole_paths(queries, self.query_where.manifest)
        )


def _flag(name: str) -> str:
    return "--" + name.removesuffix("s").replace("_", "-")


def _with_whole_paths(features: "FeatureSet", manifest: "Manifest") -> "FeatureSet":
    """The same with absolute paths: those of two manifests start at two places."""
    from probekit.samples import Samples

    paths = Samples.of_rows(replace(manifest, table=features.samples)).cells("path", slice(None))
    return replace(features, samples=features.samples.assign(path=paths))
