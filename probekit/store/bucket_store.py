"""Zarr's store of objects, which asks again where an answer broke off, and before it writes whether it may."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Self

from zarr.storage import ObjectStore

from probekit.remote.buckets import repeated_async

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class PatientStore(ObjectStore):  # type: ignore[type-arg]  # of whatever obstore opens
    """Every request may be repeated: objects are read, or written whole with the same bytes."""

    def __init__(self, store: object, *, read_only: bool = False, may_write: Callable[[], None] | None = None) -> None:
        """The store of a bucket.

        Args:
            store: of obstore.
            read_only: nothing can be written.
            may_write: called before each try of each write; raises where that must not be any more.
        """
        super().__init__(store, read_only=read_only)
        self._may_write = may_write or _always

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same store, to be read alone or written, too."""
        return type(self)(self.store, read_only=read_only, may_write=self._may_write)

    async def get(
        self, key: str, prototype: "BufferPrototype", byte_range: "ByteRequest | None" = None
    ) -> "Buffer | None":
        """The object, or a range of it; None where there is none."""
        return await repeated_async(lambda: ObjectStore.get(self, key, prototype, byte_range))

    async def get_partial_values(
        self, prototype: "BufferPrototype", key_ranges: "Iterable[tuple[str, ByteRequest | None]]"
    ) -> "list[Buffer | None]":
        """Ranges of objects."""
        ranges = list(key_ranges)
        return await repeated_async(lambda: ObjectStore.get_partial_values(self, prototype, ranges))

    async def set(self, key: str, value: "Buffer") -> None:
        """The object, written whole."""
        await self._write(lambda: ObjectStore.set(self, key, value))

    async def delete(self, key: str) -> None:
        """No such object."""
        await self._write(lambda: ObjectStore.delete(self, key))

    async def _write(self, how: Callable[[], Awaitable[None]]) -> None:
        async def once() -> None:
            await asyncio.to_thread(self._may_write)  # which asks the bucket, while other objects are on their way
            await how()

        await repeated_async(once)


def _always() -> None:
    """Nothing speaks against writing."""
