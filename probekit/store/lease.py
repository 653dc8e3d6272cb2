"""A lease: one process alone in a bucket, which has no locks.

    fold.lock    who has it, signed anew every minute; empty once it was given back

It is created, renewed, taken over and given back by writes that fail if the object has changed, so that by the
bucket's account two processes never have it at once. A process that the bucket takes for dead may live: it was
suspended, or cut off. So whoever has a lease asks `check` before each try to write an object, and a lease that was not
renewed for three minutes is given up, twelve before others may take it. That is longer than a try takes: a request is
sent for the last time after 120 s and a pause of 15 s, and given up after 60 s more; an object of up to 60 MiB is three
requests after each other, to begin it, to send its parts side by side, and to complete it:

    180 s + 3 · (120 + 15 + 60) s = 765 s < 900 s

What is left is a process that is suspended for longer than the difference between `check` and the write that follows.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

from probekit.errors import RemoteError, StoreError
from probekit.remote import BucketPath
from probekit.store.owners import Owner, abandoned

RENEW_SECONDS = 60
GIVE_UP_SECONDS = 180
GIVEN_BACK = b""


class Lease:
    """A lease that this process has; renewed by a thread of its own."""

    def __init__(self, path: BucketPath, owner: Owner, renewed: float) -> None:
        """A lease that was just taken.

        Args:
            path: of the lease.
            owner: who has taken it.
            renewed: by the clock `time.monotonic`, in seconds, not later than the owner was written there.
        """
        self._path = path
        self._owner = owner
        self._renewed = renewed
        self._lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Nothing, while no other process can have it.

        Raises:
            StoreError: one can.
        """
        with contextlib.suppress(FileNotFoundError):
            has = self._owner.has(self._path)  # asked before the clock: it may take minutes
            if has and not self._lost and time.monotonic() - self._renewed <= GIVE_UP_SECONDS:
                return
        raise StoreError(
            f"{self._path.parent}: this process was cut off for so long that another may be folding the store: run "
            "again, and then `probekit cache verify`."
        )

    def give_back(self) -> None:
        """Let others have it."""
        self._over.set()
        self._thread.join()
        with contextlib.suppress(FileNotFoundError):
            facts = self._path.stat()
            if self._owner.has(self._path):
                self._path.replace_if(facts, GIVEN_BACK)

    def _renew(self) -> None:
        while not self._over.wait(RENEW_SECONDS):
            began = time.monotonic()
            try:
                facts = self._path.stat()
                if not (self._owner.has(self._path) and self._path.replace_if(facts, self._owner.sign())):
                    self._lost = True
                    return
            except FileNotFoundError:
                self._lost = True
                return
            except RemoteError:
                continue  # while it lasts, `check` tells how long that goes well
            self._renewed = began


@contextlib.contextmanager
def leased(path: BucketPath) -> Iterator[Lease | None]:
    """The lease; None where another process has it. It does not wait.

    Raises:
        StoreError: the bucket does not heed the conditions of writes, so that nobody could be alone.
        RemoteError: the bucket cannot be reached.
    """
    owner, began = Owner(), time.monotonic()
    lease = Lease(path, owner, began) if _take(path, owner) else None
    try:
        yield lease
    finally:
        if lease:
            lease.give_back()


def _take(path: BucketPath, owner: Owner) -> bool:
    if path.create(owner.sign()):
        _require_conditions(path, owner)
        return True
    try:
        facts = path.stat()
        free = facts.st_size == 0 or abandoned(path)
        return free and path.replace_if(facts, owner.sign())
    except FileNotFoundError:
        return False  # the store is being removed


def _require_conditions(path: BucketPath, owner: Owner) -> None:
    """Nothing, if the bucket keeps to both conditions, tried on a lease that was just made.

    Raises:
        StoreError: it does not.
    """
    first = path.stat()
    if path.create(owner.sign()):
        ignored = "If-None-Match"
    elif path.replace_if(first, owner.sign()) and path.replace_if(first, owner.sign()):
        ignored = "If-Match"
    else:
        return
    raise StoreError(
        f"{path.parent}: this bucket ignores the condition of a write ({ignored}), so that two processes could fold a "
        "store at once: keep stores in another bucket or on a disk."
    )
