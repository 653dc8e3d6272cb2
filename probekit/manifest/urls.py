"""Manifests and roots in buckets: relative paths become URLs when the manifest is read. Where images lie."""

import contextlib
import os
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from probekit.errors import ImageError, ManifestError
from probekit.remote import TAKEN, is_odd, is_url, local_path, read, refusal, without_secrets

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
    if is_url(root):
        return root.removesuffix("/")
    if os.path.isabs(root):  # noqa: PTH117  # text: a URL is no Path
        return root
    if not is_url(home):
        return os.path.join(home, root)  # noqa: PTH118  # likewise
    scheme, _, place = home.partition("://")
    return f"{scheme}://{posixpath.normpath(posixpath.join(place, root))}"


def require_root(root: str, file: str) -> None:
    """Nothing, if paths below this URL are read; a refused one is not quoted, because it may hold a secret.

    Args:
        root: where paths start.
        file: which says so.

    Raises:
        ManifestError: they are not.
    """
    if reason := refusal(f"{root}/key"):
        raise ManifestError(f"{file}: root is a URL that is not read: {reason}")


def below(table: pd.DataFrame, root: str, rows: pd.Index, source: str) -> pd.DataFrame:
    """A copy whose relative paths, of images and masks, are URLs below this one.

    Args:
        table: validated.
        root: where relative paths start.
        rows: what messages call each row.
        source: what messages call the manifest.

    Raises:
        ManifestError: the first path that is no key as it stands.
    """
    table = table.copy()
    for column in ("path", "mask"):
        if column in table:
            urls = [_url(root, path) for path in table[column]]
            for row, path, url in zip(rows, table[column], urls, strict=True):
                if url is not path and is_odd(path):
                    raise ManifestError(f"{source} row {row}: {column} is {path!r} below {root}: {TAKEN}")
            table[column] = pd.Series(urls, table.index, dtype="str")
    return table


def places(paths: "pd.Series[str]", root: Path) -> list[str]:
    """Where images lie: the root of relative paths, the folder of all absolute ones, and a place in each bucket."""
    kinds = paths.str.extract(r"^([A-Za-z][\w+.-]*://[^/]*|/)", expand=False).fillna("")
    found = []
    for kind, members in paths.groupby(kinds):
        alike = os.path.commonprefix([members.min(), members.max()])  # noqa: RUF071  # commonpath takes a slash off ://
        found.append((alike.rpartition("/")[0] or "/") if kind else str(root))
    return found


def _url(root: str, path: str) -> str:
    if not path or is_url(path) or os.path.isabs(path):  # noqa: PTH117  # likewise
        return path
    return f"{root}/{path}"
