"""Names for interchangeable parts: a model, probe, metric or layout is one file, found by scanning its folder.

probes = Registry[type]("probe", package="probekit.probes", entry_points="probekit.probes")

@probes.add("logistic")
class LogisticProbe: ...

probes.get("logistic")
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from probekit.errors import UnknownNameError

T = TypeVar("T")
L = TypeVar("L", bound=str)


class Registry(Generic[T]):
    """Maps names to parts; the folder is scanned and plug-ins are loaded at the first look-up."""

    def __init__(self, noun: str, package: str, entry_points: str) -> None:
        self.noun = noun
        self._package = package
        self._entry_points = entry_points
        self._parts: dict[str, T] = {}
        self._scanned = False

    def add(self, name: str) -> Callable[[T], T]:
        """Decorator that registers a part; a name that is taken is an error."""

        def register(part: T) -> T:
            if name in self._parts:
                raise ValueError(f"{self.noun} {name!r} is registered twice: choose another name.")
            self._parts[name] = part
            return part

        return register

    def get(self, name: str) -> T:
        """The part of that name.

        Raises:
            UnknownNameError: there is none; the message lists the nearest names.
        """
        self._scan()
        if name not in self._parts:
            raise unknown_name(self.noun, name, self._parts)
        return self._parts[name]

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._scan()
        return sorted(self._parts)

    def __contains__(self, name: str) -> bool:
        self._scan()
        return name in self._parts

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for plugin in entry_points(group=self._entry_points):
            plugin.load()


def one_of(noun: str, name: str, known: Sequence[L]) -> L:
    """The one of those known that the name is, so that a checked word has the type of the words allowed.

    Raises:
        UnknownNameError: it is none of them.
    """
    for each in known:
        if each == name:
            return each
    raise unknown_name(noun, name, known)


def unknown_name(noun: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that does not exist, with the nearest ones and the whole list if it is short."""
    names = sorted(known)
    listed = f" Known: {', '.join(names)}." if 0 < len(names) <= 20 else ""
    return UnknownNameError(f"unknown {noun} {name!r}.{nearest(name, names)}{listed}")


def nearest(name: str, known: Iterable[str]) -> str:
    """A question after the nearest names, to end a message; nothing where none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
