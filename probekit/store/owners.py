"""Who made a claim, and whether that process still lives."""

import functools
import json
import os
import socket
import time
import uuid
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probekit.paths import AnyPath
from probekit.remote import BucketPath

STALE_SECONDS = 900  # a claim of another machine that showed no life for so long is taken over

_living: set[str] = set()
"""The names of the owners of this process that are still there."""


@dataclass(frozen=True, eq=False)
class Owner:
    """Something in this process that makes claims; what it still has when it goes is nobody's any more."""

    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        _living.add(self.name)
        weakref.finalize(self, _living.discard, self.name).atexit = False

    def sign(self) -> bytes:
        """What a claim of its has in it, different every time."""
        me = {"host": _host(), "pid": os.getpid(), "born": _born(os.getpid()), "claims": self.name}
        return json.dumps(me | {"nonce": uuid.uuid4().hex}).encode()

    def has(self, claim: AnyPath) -> bool:
        """Whether it made this claim.

        Raises:
            FileNotFoundError: there is no such claim.
        """
        return _read(claim).get("claims") == self.name


def abandoned(claim: AnyPath) -> bool:
    """Whether the process that made a claim is gone, or showed no life on another machine for long.

    Raises:
        FileNotFoundError: there is no such claim.
    """
    owner = _read(claim)
    if owner.get("host") == _host():
        born = _born(owner["pid"])
        if born is None or born != owner["born"]:
            return True
        # an earlier run in this process, of a notebook for instance, may have been interrupted before it released it
        return owner["pid"] == os.getpid() and owner["claims"] not in _living
    return _now(claim) - claim.stat().st_mtime > STALE_SECONDS


def spell_owner(claim: AnyPath) -> str:
    """`process 123 on host`.

    Raises:
        FileNotFoundError: there is no such claim.
    """
    owner = _read(claim)
    return f"process {owner['pid']} on {owner['host'].partition(' ')[0]}" if owner else f"the unknown owner of {claim}"


def _read(claim: AnyPath) -> dict[str, Any]:
    """Who made the claim; empty where a machine lost power before it reached the disk, and only its age tells."""
    try:
        owner: dict[str, Any] = json.loads(claim.read_text())
    except ValueError:
        return {}
    return owner


def _now(claim: AnyPath) -> float:
    """The time by the clock that tells the claim's age."""
    return time.time() + (_server_is_ahead(claim.parent) if isinstance(claim, BucketPath) else 0)


@functools.cache
def _server_is_ahead(folder: BucketPath) -> float:
    """Seconds by which the clock of the bucket's server is ahead of this machine's, to a second or so."""
    clock = folder / f".clock-{uuid.uuid4().hex}"
    clock.write_bytes(b"")
    try:
        return clock.stat().st_mtime - time.time()
    finally:
        clock.unlink(missing_ok=True)


@functools.cache
def _host() -> str:
    """Where process numbers mean what they mean here: the machine since it was started, and the container in it.

    A name alone does not tell machines apart, and each numbers its first container alike.
    """
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {started} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():x}"


def _born(pid: int) -> str | None:
    """Start time of a process, which tells it from a later one of the same number; None when it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if after_name[0] == "Z" else after_name[19]
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
    try:  # no /proc: a living process of that number is taken for the owner
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"
