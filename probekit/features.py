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
from probekit.registry import unknown_name
from probekit.samples import Samples, known_keys
from probekit.store import ABSENT, DONE, FAILED, Store, find_stores


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
    def name(self) -> str:
        """Model and tap of each part, whether or not the reference spelled them: `npr#blocks+srm#blocks`."""
        return "+".join(f"{source.model}#{source.tap}" for source in self.sources)

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


class Join:
    """The rows of a manifest and the stores of a cache, matched by identity; both are looked at once."""

    def __init__(self, manifest: Manifest, cache: Path) -> None:
        samples = Samples.of_rows(manifest)
        found = known_keys(samples, KeyIndex.open(cache))
        self.manifest = manifest
        self.cache = cache
        self.stores, self.damaged = find_stores(cache)
        self._keys = found.keys
        self._crops = np.zeros(len(samples), np.int16)
        self._paths = samples.paths
        self._known = found.known | (found.remembered & ~found.readable)  # the features outlive their files
        self._unreadable = ~found.readable & ~found.remembered

    def load(self, reference: str, selector: Selector | None = None, *, allow_missing: bool = False) -> FeatureSet:
        """The features that a reference such as `clip#cls@20` or `npr+srm` names.

        Args:
            reference: `MODEL[#TAP]`, several joined by `+`.
            selector: which stores, where several fit.
            allow_missing: go on without samples that were never extracted; they stand in `excluded`.

        Raises:
            UsageError: no store has such features, or several do.
            MissingFeaturesError: samples were never extracted.
            StoreCorruptError: stored bytes are damaged.
        """
        table = self.manifest.table
        parts = [self._resolve(part, selector or Selector()) for part in reference.split("+")]
        reasons: dict[int, str] = {}
        for store, tap in parts:
            absent = np.flatnonzero(self._status(store, tap) == ABSENT)
            if len(absent) and not allow_missing:
                raise MissingFeaturesError(self._missing(store, tap, absent))
            reasons = self._reasons(store, tap) | reasons
        kept = np.setdiff1d(np.arange(len(table)), list(reasons))
        if not len(kept):
            raise MissingFeaturesError(
                f"{self.manifest.name}: no sample has features of {reference} (first: {reasons[0]})."
            )
        excluded = table.iloc[sorted(reasons)][["path", "generator"]].reset_index(drop=True)
        return FeatureSet(
            reference=reference,
            sources=tuple(_source(store, tap) for store, tap in parts),
            samples=table.iloc[kept].reset_index(drop=True),
            blocks=tuple(store.read(self._keys[kept], self._crops[kept], tap) for store, tap in parts),
            excluded=excluded.assign(reason=[reasons[row] for row in sorted(reasons)]),
        )

    def covering(self, selector: Selector | None = None, *, allow_missing: bool = False) -> list[tuple[str, Selector]]:
        """Reference and selector of each store that has every sample, done or failed, in its default tap.

        With `allow_missing` a store counts that has any of them.

        Raises:
            MissingFeaturesError: no store has them all; the message is of the one that comes nearest.
            UsageError: no store has any.
        """
        found, lacking = [], []
        for store in self.stores:
            tap = str(store.facts["default_tap"])
            if not (selector or Selector()).admits(store) or tap not in store.taps:
                continue
            absent = np.flatnonzero(self._status(store, tap) == ABSENT)
            if len(absent) == 0 or (allow_missing and len(absent) < len(self._keys)):
                found.append((f"{store.settings.model}#{tap}", Selector(store=store.settings.address)))
            elif len(absent) < len(self._keys):
                lacking.append((len(absent), self._missing(store, tap, absent)))
        if not found and lacking:
            raise MissingFeaturesError(min(lacking)[1])
        if not found:
            raise UsageError(
                f"{self.cache} has no features of {self.manifest.name} yet: run `probekit extract --model MODEL "
                f"--manifest {self.manifest.name}` first."
            )
        return found

    def _status(self, store: Store, tap: str) -> Int[np.ndarray, " n"]:
        """ABSENT, DONE or FAILED for every row; a file that cannot be read counts as failed."""
        found = store.look_up(self._keys, self._crops, [tap])[:, 0]
        return np.where(self._known, found, np.where(self._unreadable, FAILED, ABSENT)).astype(np.int64)

    def _reasons(self, store: Store, tap: str) -> dict[int, str]:
        """Row → why it has no features of this tap."""
        status = self._status(store, tap)
        failures = store.reasons() if (status == FAILED).any() else {}
        reasons = {}
        for row in np.flatnonzero(status != DONE).tolist():
            if status[row] == ABSENT:
                reasons[row] = f"never extracted with {store.settings.model}#{tap}"
            elif self._unreadable[row]:
                reasons[row] = _why_unreadable(self._paths[row])
            else:
                reasons[row] = failures.get(self._keys[row].tobytes(), "cannot be read")
        return reasons

    def _resolve(self, part: str, selector: Selector) -> tuple[Store, str]:
        """The one store and tap that a part of a reference names."""
        model, _, tap = part.partition("#")
        of_model = [store for store in self.stores if store.settings.model == model]
        if not self.stores:
            raise UsageError(f"{self.cache} has no features yet: run `probekit extract --model {model}` first.")
        if not of_model:
            raise unknown_name(f"model in {self.cache}", model, {store.settings.model for store in self.stores})
        admitted = [store for store in of_model if selector.admits(store)]
        if not admitted:
            names = "; ".join(store.path.name for store in of_model)
            raise UsageError(f"no store of {model} fits --view, --precision and --store: there are {names}.")
        wanted = [(store, tap or str(store.facts["default_tap"])) for store in admitted]
        fitting = [(store, tap) for store, tap in wanted if tap in store.taps]
        if len(fitting) > 1:
            names = "; ".join(store.path.name for store, _ in fitting)
            raise UsageError(f"several stores have {part}: {names}. Choose one with --view, --precision or --store.")
        if fitting:
            return fitting[0]
        taps = {name for store in admitted for name in store.taps}
        if not taps:
            raise UsageError(f"{admitted[0].path.name} has no rows yet: run `probekit extract --model {model}` again.")
        raise unknown_name(f"tap of {model} in {self.cache}", wanted[0][1], taps)

    def _missing(self, store: Store, tap: str, absent: Int[np.ndarray, " m"]) -> str:
        manifest, model = self.manifest, store.settings.model
        return (
            f"{len(absent)} of {len(manifest.table)} samples of {manifest.name} have no features of {model}#{tap} "
            f"(first: {manifest.table['path'].iloc[int(absent[0])]}). Run: probekit extract --model {model} "
            f"--manifest {manifest.name}, or go on without them: --allow-missing"
        )


def load_features(
    manifest: Manifest, reference: str, *, cache: Path, selector: Selector | None = None, allow_missing: bool = False
) -> FeatureSet:
    """The features that a reference names, for the manifest's samples; `Join.load` for several references."""
    return Join(manifest, cache).load(reference, selector, allow_missing=allow_missing)


def _why_unreadable(path: str) -> str:
    try:
        images.read_bytes(Path(path))
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return "could not be read"


def _source(store: Store, tap: str) -> Source:
    settings = store.settings
    return Source(settings.model, tap, settings.view_name, settings.precision, settings.address, store.path.name)
