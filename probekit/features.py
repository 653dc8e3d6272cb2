"""Features for a question: the rows of a manifest joined, by identity, with the rows of a store."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from probekit import images
from probekit.arrays import Float, Int
from probekit.errors import ImageError, MissingFeaturesError, UsageError
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.samples import Samples, known_keys
from probekit.store import ABSENT, DONE, FAILED, Store, list_stores


@dataclass(frozen=True)
class Source:
    """Where one block of features came from."""

    model: str
    tap: str
    view: str
    precision: str
    address: str
    """Fingerprint of the store."""
    name: str = ""
    """Name of the store's folder."""


@dataclass(frozen=True)
class FeatureSet:
    """Samples and their raw features, row by row; several blocks when the reference names several parts."""

    reference: str
    """As typed: `clip#cls@20` or `npr+srm`."""
    sources: tuple[Source, ...]
    samples: pd.DataFrame
    """Manifest rows in manifest order, index 0…n-1: path, label, generator, domain, split, group, …"""
    blocks: tuple[Float[np.ndarray, "n _"], ...]
    """float32, one array per part of the reference; conditions are fitted to each part on its own."""
    excluded: pd.DataFrame
    """Samples without features: path, generator, reason."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of columns of each block."""
        return tuple(block.shape[1] for block in self.blocks)

    @property
    def matrix(self) -> Float[np.ndarray, "n d"]:
        """All blocks side by side."""
        return self.blocks[0] if len(self.blocks) == 1 else np.concatenate(self.blocks, axis=1)


@dataclass(frozen=True)
class Selector:
    """Which stores are meant where several hold features of one model."""

    view: str | None = None
    """Policy (`center`) or full name (`center224`) of the view."""
    precision: str | None = None
    store: str | None = None
    """The beginning of a store's address or folder name."""

    def admits(self, store: Store) -> bool:
        """Whether the store is one of those meant."""
        settings = store.settings
        return (
            (self.view is None or self.view in (settings.view_name, settings.view.get("policy")))
            and (self.precision is None or self.precision == settings.precision)
            and (
                self.store is None or settings.address.startswith(self.store) or store.path.name.startswith(self.store)
            )
        )


def load_features(
    manifest: Manifest, reference: str, *, cache: Path, selector: Selector | None = None, allow_missing: bool = False
) -> FeatureSet:
    """The features that a reference such as `clip#cls@20` or `npr+srm` names, for the manifest's samples.

    Args:
        manifest: the samples.
        reference: `MODEL[#TAP]`, several joined by `+`.
        cache: folder of the stores.
        selector: which stores, where several fit.
        allow_missing: go on without samples that were never extracted; they stand in `excluded`.

    Raises:
        UsageError: no store has such features, or several do.
        MissingFeaturesError: samples were never extracted.
        StoreCorruptError: stored bytes are damaged.
    """
    rows = _Keyed(manifest, cache)
    parts = [_resolve(part, cache, selector or Selector()) for part in reference.split("+")]
    reasons: dict[int, str] = {}
    for store, tap in parts:
        absent = np.flatnonzero(rows.status(store, tap) == ABSENT)
        if len(absent) and not allow_missing:
            raise MissingFeaturesError(_missing(manifest, store, tap, absent))
        reasons = rows.reasons(store, tap) | reasons
    kept = np.setdiff1d(np.arange(len(manifest.table)), list(reasons))
    if not len(kept):
        raise MissingFeaturesError(f"{manifest.name}: no sample has features of {reference} (first: {reasons[0]}).")
    excluded = manifest.table.iloc[sorted(reasons)][["path", "generator"]].reset_index(drop=True)
    crops = np.zeros(len(kept), np.int16)
    return FeatureSet(
        reference=reference,
        sources=tuple(_source(store, tap) for store, tap in parts),
        samples=manifest.table.iloc[kept].reset_index(drop=True),
        blocks=tuple(store.read(rows.keys[kept], crops, tap) for store, tap in parts),
        excluded=excluded.assign(reason=[reasons[row] for row in sorted(reasons)]),
    )


def covering_stores(manifest: Manifest, *, cache: Path, selector: Selector | None = None) -> list[tuple[str, Selector]]:
    """Reference and selector of each store that has every sample of the manifest, done or failed, in its default tap.

    Raises:
        UsageError: there is none.
    """
    rows = _Keyed(manifest, cache)
    found = []
    for store in list_stores(cache):
        tap = str(store.facts["default_tap"])
        if (selector or Selector()).admits(store) and tap in store.taps and (rows.status(store, tap) != ABSENT).all():
            found.append((f"{store.settings.model}#{tap}", Selector(store=store.settings.address)))
    if not found:
        raise UsageError(
            f"{cache} has no features for every sample of {manifest.name}: "
            "run `probekit extract --model MODEL` first, or name a model with --model."
        )
    return found


class _Keyed:
    """The manifest's rows with what is known of their keys."""

    def __init__(self, manifest: Manifest, cache: Path) -> None:
        samples = Samples.of_rows(manifest)
        found = known_keys(samples, KeyIndex.open(cache))
        self.keys = found.keys
        self._paths = samples.paths
        self._known = found.known | (found.remembered & ~found.readable)  # the features outlive their files
        self._unreadable = ~found.readable & ~found.remembered

    def status(self, store: Store, tap: str) -> Int[np.ndarray, " n"]:
        """ABSENT, DONE or FAILED for every row of the manifest; a file that cannot be read counts as failed."""
        found = store.look_up(self.keys, np.zeros(len(self.keys), np.int16), [tap])[:, 0]
        return np.where(self._known, found, np.where(self._unreadable, FAILED, ABSENT)).astype(np.int64)

    def reasons(self, store: Store, tap: str) -> dict[int, str]:
        """Row → why it has no features of this tap."""
        status = self.status(store, tap)
        failures = store.reasons() if (status == FAILED).any() else {}
        reasons = {}
        for row in np.flatnonzero(status != DONE):
            if status[row] == ABSENT:
                reasons[int(row)] = f"never extracted with {store.settings.model}#{tap}"
            elif self._unreadable[row]:
                reasons[int(row)] = _why_unreadable(self._paths[int(row)])
            else:
                reasons[int(row)] = failures.get(self.keys[row].tobytes(), "cannot be read")
        return reasons


def _resolve(part: str, cache: Path, selector: Selector) -> tuple[Store, str]:
    """The one store and tap that a part of a reference names."""
    model, _, tap = part.partition("#")
    stores = list_stores(cache)
    if model not in {store.settings.model for store in stores}:
        have = ", ".join(sorted({store.settings.model for store in stores})) or "none yet"
        raise UsageError(
            f"{cache} has no features of {model!r} (it has: {have}). Run: probekit extract --model {model}"
        )
    candidates = [
        (store, tap or str(store.facts["default_tap"]))
        for store in stores
        if store.settings.model == model and selector.admits(store)
    ]
    fitting = [(store, wanted) for store, wanted in candidates if wanted in store.taps]
    if not fitting:
        have = ", ".join(sorted({name for store, _ in candidates for name in store.taps})) or "no store that fits"
        raise UsageError(f"{model} has no tap {tap!r} in {cache} (it has: {have}). Extract it with --taps {tap}.")
    if len(fitting) > 1:
        names = "; ".join(store.path.name for store, _ in fitting)
        raise UsageError(f"several stores have {part}: {names}. Choose one with --view, --precision or --store.")
    return fitting[0]


def _missing(manifest: Manifest, store: Store, tap: str, absent: Int[np.ndarray, " m"]) -> str:
    first = manifest.table["path"].iloc[int(absent[0])]
    return (
        f"{len(absent)} of {len(manifest.table)} samples of {manifest.name} have no features of "
        f"{store.settings.model}#{tap} (first: {first}). Run: probekit extract --model {store.settings.model} "
        "--manifest " + manifest.name + ", or go on without them: --allow-missing"
    )


def _why_unreadable(path: str) -> str:
    try:
        images.read_bytes(Path(path))
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return "could not be read"


def _source(store: Store, tap: str) -> Source:
    settings = store.settings
    return Source(settings.model, tap, settings.view_name, settings.precision, settings.address, store.path.name)
