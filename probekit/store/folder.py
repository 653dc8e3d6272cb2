"""A cache folder: the stores in it, and how one is deleted."""

from pathlib import Path

from probekit.errors import StoreError
from probekit.paths import AnyPath
from probekit.remote import BucketPath
from probekit.store.beginning import LEAVING, ROOT
from probekit.store.claims import CLAIMS, HOLD, LOCK, Claims, alone_in
from probekit.store.store import Store
from probekit.store.swap import discard, restore_all


def find_stores(cache: AnyPath) -> tuple[list[Store], dict[AnyPath, str]]:
    """All stores in a cache folder by name, and the folders that cannot be opened as one, each with the reason."""
    restore_all(cache)
    stores: list[Store] = []
    damaged: dict[AnyPath, str] = {}
    for folder in sorted({path.parent for marks in ("zarr.json", "journal") for path in cache.glob(f"[!.]*/{marks}")}):
        try:
            stores.append(Store.open(folder))
        except StoreError as error:
            damaged[folder] = str(error)
    return stores, damaged


def list_stores(cache: AnyPath) -> list[Store]:
    """The stores in a cache folder that can be opened, by name; `find_stores` tells of the others."""
    return find_stores(cache)[0]


def remove_store(path: AnyPath) -> None:
    """Delete a store, damaged or not, with all its features; nobody sees half of it, whenever this is killed.

    In a bucket a removal that was killed leaves something that is no store, and is removed by doing it again.

    Raises:
        StoreError: another process works in it, or it cannot be deleted; it is as it was.
    """
    if not (path / CLAIMS).is_dir():  # so nobody can be at work in what is left of it
        _delete(path)
        return
    with alone_in(path, Claims(path / CLAIMS)):
        _delete(path)


def _delete(path: AnyPath) -> None:
    if isinstance(path, BucketPath):
        leaving = path / LEAVING  # until the end, so that nobody begins a store among what is left of this one
        leaving.write_bytes(b"")
        (path / ROOT).unlink(missing_ok=True)
        path.delete_all(but=[leaving, path / CLAIMS / HOLD, path / CLAIMS / LOCK])
        path.delete_all(but=[leaving])
        leaving.unlink(missing_ok=True)
    else:
        assert isinstance(path, Path)
        discard(path)
