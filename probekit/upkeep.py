"""Upkeep of a cache: what no manifest refers to any more, and what could not be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from probekit.arrays import Keys
from probekit.errors import StoreError, UsageError
from probekit.identities import Identities, distinct, identify, names_of
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.paths import AnyPath
from probekit.store import Pruned, Store, Surplus


@dataclass(frozen=True)
class StoreSurplus:
    """One store, and what there is too much of in it."""

    store: Store
    surplus: Surplus


class Collection:
    """What may go from a cache because no manifest refers to it; nothing goes before `collect` is called."""

    def __init__(
        self,
        cache: AnyPath,
        stores: Sequence[Store],
        manifests: Sequence[Manifest],
        *,
        allow_missing: bool = False,
        on_file: Callable[[int, int], None] | None = None,
    ) -> None:
        """Find out what the manifests refer to; images whose key is not remembered are read.

        Args:
            cache: folder of the stores.
            stores: those to look at.
            manifests: whatever one of them refers to stays.
            allow_missing: go on although the rows of some samples cannot be told, and would be removed.
            on_file: called with images read and images to read.

        Raises:
            UsageError: there is no manifest, so everything would go.
            StoreError: an image is gone and its key is not remembered, so that its rows cannot be told; or the keys
                that were read cannot be written.
        """
        if not manifests:
            raise UsageError(
                "there is no manifest, so every row would go: name one with --manifest, or use `cache rm`."
            )
        self._index = KeyIndex.open(cache)
        try:
            found = [identify(manifest, self._index, on_file=on_file) for manifest in manifests]
        finally:
            self._index.flush()  # what was read need not be read again, whatever is decided
        for manifest, identities in zip(manifests, found, strict=True):
            unknown = identities.unknown()
            if unknown and not allow_missing:
                raise StoreError(
                    f"{len(unknown)} images of {manifest.name} can be neither read nor remembered (first: "
                    f"{unknown[0]}), so their rows cannot be told: bring them back, or give them up: --allow-missing"
                )
        self.keep: Keys = distinct(found)
        """Keys whose rows stay."""
        self.surplus = [StoreSurplus(store, store.surplus(self.keep)) for store in stores]
        self.forgotten = self._index.gone({name for identities in found for name in identities.samples.entries})
        """Paths of deleted files that the index of keys remembers, and no manifest has."""

    def __bool__(self) -> bool:
        return bool(self.forgotten or any(found.surplus for found in self.surplus))

    def collect(self, on_rows: Callable[[int, int], None] | None = None) -> dict[str, Pruned | str]:
        """Remove what was found and no more; store → what was done, or why that store was left as it was.

        Raises:
            StoreError: the index of keys cannot be written.
        """
        done: dict[str, Pruned | str] = {}
        for found in self.surplus:
            if found.surplus:
                try:
                    done[found.store.path.name] = found.store.prune(found.surplus, on_rows)
                except StoreError as error:
                    done[found.store.path.name] = str(error)
        if self.forgotten:
            self._index.forget(self.forgotten)
        return done


def failures(cache: AnyPath, stores: Sequence[Store], manifests: Sequence[Manifest]) -> pd.DataFrame:
    """Images that could not be read: model, view, store, path, key, reason and manifest, a row a store and image.

    The path is the one that a manifest has, else the one that the index of keys remembers, else empty; the manifest is
    the file of the first that has the image, else empty. A file that could not be opened at all has no key and stands
    in the record of its run.
    """
    index = KeyIndex.open(cache)
    identities: list[Identities] = [identify(manifest, index, read=False) for manifest in manifests]
    reasons = [(store, store.reasons()) for store in stores]
    names = names_of([key for _, found in reasons for key in found], identities, index)
    files: dict[bytes, str] = {}
    for manifest, found_in in zip(manifests, identities, strict=True):
        for key in found_in.keys[found_in.known]:
            files.setdefault(key.tobytes(), str(manifest.path or manifest.name))
    rows = [
        (
            store.settings.model,
            store.settings.view_name,
            store.path.name,
            names.get(key, ""),
            key.hex(),
            reason,
            files.get(key, ""),
        )
        for store, found in reasons
        for key, reason in found.items()
    ]
    columns = ["model", "view", "store", "path", "key", "reason", "manifest"]
    return pd.DataFrame(rows, columns=columns).sort_values(columns, ignore_index=True)
