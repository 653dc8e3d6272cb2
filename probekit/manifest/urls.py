"""Manifests and roots in buckets: relative paths become URLs when the manifest is read."""

import contextlib
import os
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from probekit.errors import ImageError, ManifestError
from probekit.remote import is_url, local_path, read, refusal, without_secrets

SUFFIXES = (".csv", ".parquet")


@contextlib.contextmanager
def fetched(url: str) -> Iterator[Path]:
    """The manifest of a URL as a file, with what lies beside it in a file that ends on `.json`; both go afterwards.

    Raises:
        ManifestError: there is no such object, or it is no manifest.
        RemoteError: the bucket cannot be reached.
    """
    shown = without_secrets(url)
    if reason := refusal(url):
        raise ManifestError(f"--manifest {shown}: {reason}")
    name = PurePosixPath(url)
    if name.suffix not in SUFFIXES:
        raise ManifestError(f"--manifest {shown}: name a file that ends on {' or '.join(SUFFIXES)}.")
    with tempfile.TemporaryDirectory(prefix="probekit-") as folder:
        path = Path(folder) / name.name
        try:
            path.write_bytes(read(url)[0])
        except ImageError as error:
            raise ManifestError(f"--manifest {shown}: {error}") from error
        with contextlib.suppress(ImageError):  # nothing beside it: then its images lie beside it
            path.with_suffix(".json").write_bytes(read(f"{url.removesuffix(name.suffix)}.json")[0])
        yield path


def joined(home: str, root: str) -> str:
    """Where paths start: the root itself if it is absolute or a URL, else below the manifest's own folder or URL."""
    root = local_path(root)
    if is_url(root) or os.path.isabs(root):  # noqa: PTH117  # text: a URL is no Path
        return root.rstrip("/") if is_url(root) else root
    if not is_url(home):
        return os.path.join(home, root)  # noqa: PTH118  # likewise
    scheme, _, place = home.partition("://")
    return f"{scheme}://{posixpath.normpath(posixpath.join(place, root))}"


def below(table: pd.DataFrame, root: str) -> pd.DataFrame:
    """A copy whose relative paths, of images and masks, are URLs below this one."""
    table = table.copy()
    for column in ("path", "mask"):
        if column in table:
            table[column] = pd.Series([_url(root, path) for path in table[column]], table.index, dtype="str")
    return table


def _url(root: str, path: str) -> str:
    if not path or is_url(path) or os.path.isabs(path):  # noqa: PTH117  # likewise
        return path
    return f"{root}/{posixpath.normpath(path)}"
