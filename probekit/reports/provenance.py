"""What it takes to get the numbers again: commands, seeds, manifests, stores with their weights, and versions."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from probekit.reports.runs import Run

SEEDS = frozenset({"seed", "seeds"})
STORE = ("model", "tap", "view", "precision", "name", "address", "weights_sha256")
"""What is told of a feature store, in this order."""


@dataclass(frozen=True)
class Provenance:
    """Of all runs of a page."""

    manifests: list[Mapping[str, Any]]
    stores: list[Mapping[str, Any]]
    versions: Mapping[str, list[str]]
    """Every version that any run used: more than one means that the runs differ."""
    machines: list[str]

    @property
    def differing(self) -> list[str]:
        """Libraries that the runs had in several versions."""
        return [name for name, found in self.versions.items() if len(found) > 1]

    @property
    def changed(self) -> list[str]:
        """Names of manifests that were not the same in all runs."""
        by_name: dict[str, set[str]] = {}
        for manifest in self.manifests:
            by_name.setdefault(str(manifest.get("name") or manifest.get("path")), set()).add(
                str(manifest.get("sha256"))
            )
        return [name for name, hashes in by_name.items() if len(hashes) > 1]


def provenance(runs: Sequence[Run]) -> Provenance:
    """What the runs recorded about where their numbers come from, each fact once."""
    stores = [_store(store) for run in runs for store in _mappings(run.record.get("stores"))]
    read = {str(store.get("name")) for store in stores if store.get("tap")}
    stores = [store for store in stores if store.get("tap") or str(store.get("name")) not in read]
    return Provenance(
        manifests=_distinct([run.manifest for run in runs if run.manifest], ("name", "sha256")),
        stores=_distinct(stores, ("name", "address", "tap")),
        versions=_versions(runs),
        machines=list(dict.fromkeys(text for run in runs if (text := _machine(run)))),
    )


def command(run: Run) -> str:
    """The command line, quoted for a shell; empty when it was not recorded."""
    words = run.record.get("command")
    return shlex.join(str(word) for word in words) if isinstance(words, list) else ""


def seeds(run: Run) -> dict[str, list[object]]:
    """`seed` (where drawing begins) and `seeds` (how many there are) as its settings have them."""
    found: dict[str, list[object]] = {}
    for key, value in _leaves(run.record.get("settings")):
        if key in SEEDS and value not in found.setdefault(key, []):
            found[key].append(value)
    return found


def _leaves(item: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Every value inside nested objects and lists, with the key that it stands under."""
    if isinstance(item, Mapping):
        for key, value in item.items():
            yield from _leaves(value, str(key))
    elif isinstance(item, list):
        for value in item:
            yield from _leaves(value, name)
    elif item is not None:
        yield name, item


def _store(store: Mapping[str, Any]) -> dict[str, Any]:
    return {name: store[name] for name in STORE if name in store} | {k: v for k, v in store.items() if k not in STORE}


def _machine(run: Run) -> str:
    machine = run.record.get("machine")
    return ", ".join(f"{key} {value}" for key, value in machine.items()) if isinstance(machine, Mapping) else ""


def _versions(runs: Sequence[Run]) -> dict[str, list[str]]:
    found = sorted(
        {(str(name), str(version)) for run in runs for name, version in (run.record.get("versions") or {}).items()}
    )
    return {name: [version for _, version in pairs] for name, pairs in groupby(found, key=lambda pair: pair[0])}


def _distinct(items: Sequence[Mapping[str, Any]], keys: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """Each once, told apart by these keys; of several the one that says most."""
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for item in items:
        identity = tuple(str(item.get(key)) for key in keys) if any(key in item for key in keys) else (str(item),)
        if identity not in found or len(item) > len(found[identity]):
            found[identity] = item
    return list(found.values())


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
