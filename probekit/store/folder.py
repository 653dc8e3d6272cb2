"""A cache folder: the stores in it, and how one is deleted."""

from pathlib import Path

from probekit.errors import StoreError
from probekit.store.claims import CLAIMS, Claims, alone_in
from probekit.store.store import Store
from probekit.store.swap import discard, restore_all


def find_stores(cache: Path) -> tuple[list[Store], dict[Path, str]]:
    """All stores in a cache folder by name, and the folders that cannot be opened as one, each with the reason."""
    restore_all(cache)
    stores: list[Store] = []
    damaged: dict[Path, str] = {}
    for folder in sorted({path.parent for marks in ("zarr.json", "journal") for path in cache.glob(f"[!.]*/{marks}")}):
        try:
            stores.append(Store.open(folder))
        except StoreError as error:
            damaged[folder] = str(error)
    return stores, damaged


def list_stores(cache: Path) -> list[Store]:
    """The stores in a cache folder that can be opened, by name; `find_stores` tells of the others."""
    return find_stores(cache)[0]


def remove_store(path: Path) -> None:
    """Delete a store, damaged or not, with all its features; nobody sees half of it, whenever this is killed.

    Raises:
        StoreError: another process works in it, or it cannot be deleted; it is as it was.
    """
    if not (path / CLAIMS).is_dir():  # so nobody can be at work in what is left of it
        discard(path)
        return
    with alone_in(path, Claims(path / CLAIMS)):
        discard(path)
