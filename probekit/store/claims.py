"""Who does what, where several processes extract into one store.

A claim on a unit of work is a small file that only one process can create. It saves work and no more: should two
processes hold the same one (its owner was slow to show life on another machine), both write the same rows, readers
see one of them, and nothing is wrong.

The arrays themselves must have one writer: `locks.py`.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from probekit.errors import StoreError
from probekit.paths import AnyPath
from probekit.remote import BucketPath
from probekit.store.files import writable
from probekit.store.locks import StillAlone, exclusive
from probekit.store.owners import Owner, abandoned, spell_owner

TRIES = 10  # of a claim while other processes put another folder in the place of this one
PAUSE = 0.05  # seconds between them
CLAIMS = "journal/claims"
HOLD = "hold"
LOCK = "fold.lock"


class Claims:
    """The claims of this object in one folder; those that it still has when it goes are nobody's any more.

    Every method raises StoreError where the folder cannot be written.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._folder = folder
        self._owner = Owner()

    def take(self, name: str) -> bool:
        """Claim a piece of work; False when a living process has it, or holds everybody back."""
        with writable(self._folder):
            for attempt in range(1, TRIES + 1):
                try:
                    return self._take(name)
                except FileNotFoundError:  # another folder took the place of this one
                    if attempt == TRIES:
                        raise
                    time.sleep(PAUSE)
        return False

    def hold(self) -> bool:
        """Keep all others from claiming anything more, until `release(HOLD)`; False when another process does so.

        Whoever claims looks for a hold afterwards, and whoever holds looks at `living` afterwards: one of the two sees
        the other.
        """
        return self.take(HOLD)

    def holds(self) -> bool:
        """Whether the hold of this process is still in force."""
        try:
            return self._owner.has(self._folder / HOLD)
        except FileNotFoundError:
            return False

    def living(self) -> list[str]:
        """Who works in the store now: `process 123 on host`, each once, without this object's own claims."""
        owners = set()
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):  # released a moment ago
                if not self._owner.has(path) and not abandoned(path):
                    owners.add(spell_owner(path))
        return sorted(owners)

    def dead(self) -> list[AnyPath]:
        """Claims whose processes are gone."""
        found = []
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                if abandoned(path):
                    found.append(path)
        return found

    def bury_dead(self) -> None:
        """Remove the claims whose processes are gone."""
        with writable(self._folder):
            for path in self.dead():
                bury(path, abandoned)

    def show_life(self, name: str) -> None:
        """Tell other machines that the work goes on; call it about once a minute."""
        with writable(self._folder), contextlib.suppress(FileNotFoundError):
            touch(self._folder / name, self._owner)

    def release(self, name: str) -> None:
        """Give the work back, done or not; a claim that another process has taken over stays with it."""
        with writable(self._folder):
            bury(self._folder / name, self._owner.has)

    def _take(self, name: str) -> bool:
        """One attempt.

        Raises:
            FileNotFoundError: the folder was exchanged meanwhile, and perhaps the claim is in the other one.
        """
        if name != HOLD and self._held_back():
            return False
        self._folder.mkdir(exist_ok=True)
        path = self._folder / name
        if not (create(path, self._owner.sign()) or (bury(path, abandoned) and create(path, self._owner.sign()))):
            return False
        if name != HOLD and self._held_back():
            self.release(name)
            return False
        return self._owner.has(path)

    def _held_back(self) -> bool:
        try:
            return not (self._owner.has(self._folder / HOLD) or abandoned(self._folder / HOLD))
        except FileNotFoundError:
            return False

    def _files(self) -> list[AnyPath]:
        """The claims; any may be gone by the time it is looked at."""
        others = {LOCK, "fold.held", "zarr.json"}
        return [path for path in sorted(self._folder.glob("[!.]*")) if path.name not in others]


@contextlib.contextmanager
def alone_in(path: AnyPath, claims: Claims) -> Iterator[StillAlone]:
    """Inside, no other process extracts into the store, folds, prunes or removes it, or begins to.

    Raises:
        StoreError: another process does one of these, or the store cannot be written.
    """
    if not claims.hold():
        raise StoreError(f"{path} is being pruned or removed by another process: wait until that has ended.")
    try:
        if others := claims.living():
            raise StoreError(f"{path} is being extracted into by {', '.join(others)}: wait until that has ended.")
        with exclusive(path / CLAIMS / LOCK) as alone:
            if not alone:
                raise StoreError(f"{path} is being folded by another process: wait until that has ended.")
            yield alone
    finally:
        claims.release(HOLD)


def create(path: AnyPath, text: bytes) -> bool:
    """Whether the file was made now, whole, with this text that no other has; False where there is one."""
    if isinstance(path, BucketPath):
        return path.create(text)
    assert isinstance(path, Path)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        draft.write_bytes(text)
        os.link(draft, path)  # exclusive, and never seen half written
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def touch(path: AnyPath, owner: Owner) -> None:
    """The claim as if it were made now, if it is of this owner."""
    if isinstance(path, BucketPath):
        facts = path.stat()
        if owner.has(path):
            path.replace_if(facts, owner.sign())
    elif owner.has(path):
        os.utime(str(path))


def bury(path: AnyPath, judge: Callable[[AnyPath], bool]) -> bool:
    """Whether the claim is gone, removed because the judge said so; one that has become another claim stays."""
    try:
        return _bury_object(path, judge) if isinstance(path, BucketPath) else _bury_file(path, judge)
    except FileNotFoundError:
        return True  # another process was quicker


def _bury_file(path: AnyPath, judge: Callable[[AnyPath], bool]) -> bool:
    """It is judged again once it lies where nobody else can change it, and put back if it has become another one."""
    assert isinstance(path, Path)
    grave = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    if not judge(path):
        return False
    path.rename(grave)
    judged = judge(grave)
    if not judged:
        with contextlib.suppress(FileExistsError):
            os.link(grave, path)
    grave.unlink()
    return judged


def _bury_object(path: BucketPath, judge: Callable[[AnyPath], bool]) -> bool:
    """It is emptied, unless it has changed since it was judged, and then deleted.

    Nobody else deletes or takes the empty one in between: it has no owner who could be dead, and is young.
    """
    facts = path.stat()
    if not judge(path) or not path.replace_if(facts, b""):
        return False
    path.unlink(missing_ok=True)
    return True
