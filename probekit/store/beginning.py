"""How a store begins: empty, sealed, and there as a whole, however many processes make it at once."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probekit.errors import StoreError
from probekit.files import draft_beside, sync_folder, sync_tree
from probekit.paths import AnyPath
from probekit.remote import BucketPath
from probekit.store.seal import FILE as SEAL
from probekit.store.seal import Seal
from probekit.store.zarrays import ZarrArrays

ROOT = "zarr.json"
LEAVING = "journal/leaving"
"""Is there while a store of a bucket is removed."""


def begun(path: AnyPath) -> bool:
    """Whether the store is there, and nobody died while it was made."""
    return path.exists() if isinstance(path, Path) else (path / ROOT).exists() and (path / SEAL).exists()


def begin(path: AnyPath, attributes: Mapping[str, Any]) -> None:
    """An empty store at a path where there was none; should others make it meanwhile, theirs is as good.

    Raises:
        StoreError: the folder that it is in cannot be written, or an earlier store is being removed from there.
        RemoteError: the bucket cannot be reached.
    """
    if isinstance(path, BucketPath):
        if (path / LEAVING).exists():
            raise StoreError(f"{path} is being removed, or that was cut off: `probekit cache rm {path.name}` goes on.")
        _begin_in_bucket(path, attributes)
    else:
        assert isinstance(path, Path)
        _begin_on_disk(path, attributes)


def _begin_on_disk(path: Path, attributes: Mapping[str, Any]) -> None:
    """Made under another name, then renamed."""
    draft = draft_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ZarrArrays.create(draft, attributes)
        Seal.of(draft, {}, folding=False).write(draft)
        sync_tree(draft)
        draft.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        if not path.exists():  # otherwise another process made it first
            raise StoreError(
                f"{path.parent} cannot be written ({error.strerror}): choose another with --cache."
            ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _begin_in_bucket(path: BucketPath, attributes: Mapping[str, Any]) -> None:
    """Made object by object, each created unless it is there, so that whoever comes later goes on where one has died.

    The arrays are alike whoever makes them; the root, by which a store is found, comes after them, and of several the
    first counts; the seal, last, is of what is there then.
    """
    with tempfile.TemporaryDirectory(prefix="probekit-") as folder:
        empty = Path(folder) / "store"
        ZarrArrays.create(empty, attributes)
        names = [file.relative_to(empty).as_posix() for file in empty.rglob("*.json")]
        for name in sorted(names, key=lambda name: (name == ROOT, name)):
            (path / name).create((empty / name).read_bytes())
    (path / SEAL).create(Seal.of(path, {}, folding=False).to_bytes())
