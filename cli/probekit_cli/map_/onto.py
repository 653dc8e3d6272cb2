"""The map of an earlier run, to place samples on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit.paths import AnyPath

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from probekit.features import FeatureSet
    from probekit.manifest import Manifest
    from probekit.maps import MapSettings


@dataclass(frozen=True)
class EarlierMap:
    """A run of `probekit map`, with the manifest it was made of."""

    path: Path
    record: Mapping[str, Any]
    manifest: "Manifest"
    cache: AnyPath

    @classmethod
    def read(cls, path: Path, cache: AnyPath) -> "EarlierMap":
        """The map in this run folder.

        Raises:
            RunError: it is no finished run of `probekit map`.
            UsageError: its samples were placed on a third map, or its manifest has changed.
        """
        from probekit import records
        from probekit.errors import RunError, UsageError
        from probekit.manifest import Manifest

        record = records.read(path)
        if record["verb"] != "map" or record["status"] != "done":
            raise RunError(f"--onto {path}: that is no finished run of probekit map: name its folder in runs/.")
        if any("n_placed" in answer for answer in record["result"]["runs"]):
            raise UsageError(f"--onto {path}: its samples were placed themselves: name the run that made their map.")
        manifest = Manifest.read(record["manifest"]["path"])
        if manifest.sha256 != record["manifest"]["sha256"]:
            raise UsageError(f"--onto {path}: {manifest.path} has changed since: map it again, then place.")
        return cls(path, record, manifest, cache)

    @property
    def references(self) -> list[str]:
        """The features that were mapped."""
        return list(dict.fromkeys(answer["reference"] for answer in self.record["result"]["runs"]))

    def under(self, features: "FeatureSet") -> "tuple[FeatureSet, np.ndarray, MapSettings]":
        """The samples of the map made of such features, their places, and its settings.

        Raises:
            UsageError: there is no such map in the run, or its samples are no longer in the store.
        """
        from probekit.errors import UsageError
        from probekit.features import Join, Selector
        from probekit.protocols import describe

        source = describe(features.sources)
        answers = self.record["result"]["runs"]
        answer = next((one for one in answers if {name: one[name] for name in source} == source), None)
        if answer is None:
            known = ", ".join(f"{one['features']} · {one['view']} in {one['precision']}" for one in answers)
            raise UsageError(
                f"--onto {self.path}: it has no map of {features.title} in {source['precision']} but of {known}: "
                "choose the same with --model, --view and --precision."
            )
        address = features.sources[0].address if len(features.sources) == 1 else None
        selector = Selector(store=address, crops="all" if "crop" in features.samples else "mean")
        join = Join(self.manifest, self.cache)
        old = join.load(answer["reference"], selector, allow_missing=True)
        points = self._points(source)
        return _at(old, points, self.path), points[["x", "y"]].to_numpy(), _settings(answer["settings"], self.path)

    def _points(self, source: Mapping[str, str]) -> "pd.DataFrame":
        import pandas as pd

        from probekit.errors import RunError

        file = self.path / "tables" / "map.parquet"
        try:
            table = pd.read_parquet(file)
        except (OSError, ValueError) as error:
            raise RunError(f"{file} cannot be read: map again, then place.") from error
        own = (table[list(source)] == pd.Series(source)).all(axis=1)
        return table[own].reset_index(drop=True)


def with_whole_paths(features: "FeatureSet", manifest: "Manifest") -> "FeatureSet":
    """The same with absolute paths: those of two manifests start at two places."""
    from probekit.samples import Samples

    paths = Samples.of_rows(replace(manifest, table=features.samples)).cells("path", slice(None))
    return replace(features, samples=features.samples.assign(path=paths))


def _at(old: "FeatureSet", points: "pd.DataFrame", path: Path) -> "FeatureSet":
    """The features of the mapped samples, in the order of the map."""
    import pandas as pd

    from probekit.errors import UsageError
    from probekit.manifest.columns import IDENTITY
    from probekit.maps.embedding import rows_of

    keys = [name for name in (*IDENTITY, "crop") if name in old.samples]
    rows = pd.MultiIndex.from_frame(old.samples[keys]).get_indexer(pd.MultiIndex.from_frame(points[keys]))
    if (rows < 0).any():
        lost = points["path"].iloc[int((rows < 0).argmax())]
        raise UsageError(f"--onto {path}: {lost} has no features any more: extract it again, or map again.")
    return rows_of(old, rows)


def _settings(found: Mapping[str, Any], path: Path) -> "MapSettings":
    from probekit.errors import RunError
    from probekit.maps import MapSettings

    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    try:
        return MapSettings(**given)
    except TypeError as error:
        raise RunError(f"--onto {path}: its settings are of another probekit: map again, then place.") from error
