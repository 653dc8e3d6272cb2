"""What goes wrong inside zarr, told as errors of a store: what, where, what to do."""

import contextlib
import warnings
from collections.abc import Iterator

from probekit.errors import ProbekitError, StoreCorruptError, StoreError
from probekit.paths import AnyPath
from probekit.remote import BucketPath


@contextlib.contextmanager
def told(path: AnyPath) -> Iterator[None]:
    """Errors of zarr as ours."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Object at .* is not recognized", module="zarr")
            if isinstance(path, BucketPath):
                with path.answering():
                    yield
            else:
                yield
    except ProbekitError:  # the bucket cannot be reached, or written no more
        _let_zarr_finish()
        raise
    except (FileNotFoundError, KeyError) as error:
        what = "" if isinstance(path, BucketPath) else f" ({error})"  # which names zarr's object of the bucket
        raise StoreCorruptError(f"{path} is not a complete store{what}: remove it and extract again.") from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read or written ({error.strerror or error}): check its disk and permissions."
        ) from error
    except (RuntimeError, ValueError) as error:
        _let_zarr_finish()
        if "checksum" not in str(error):
            raise StoreError(f"{path}: {error}") from error
        raise StoreCorruptError(
            f"{path} has damaged bytes ({error}): `probekit cache verify` names them; remove it and extract again."
        ) from error


@contextlib.contextmanager
def told_of_metadata(path: AnyPath) -> Iterator[None]:
    """Whatever zarr stumbles over in a `zarr.json` that was changed, as ours."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreCorruptError(
            f"{path / 'zarr.json'} is damaged ({error}): remove the store and extract again."
        ) from error


def _let_zarr_finish() -> None:
    """Wait for the chunks that zarr still reads or writes after one failed.

    The tasks of those that it reads complain when they are dropped; those that it writes would be there after the lease
    is given back.
    """
    import asyncio

    from zarr.core.sync import sync

    async def finish() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    sync(finish())
