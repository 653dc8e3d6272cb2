"""`probekit cache ls`, `info`, `verify` and `rm`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probekit.paths import AnyPath, size_of
from probekit_cli import options, output, tables

if TYPE_CHECKING:
    from probekit.store import Store

Name = Annotated[str, typer.Argument(metavar="STORE", help="The beginning of a store's name, address or model.")]


def list_(cache: options.Cache = options.DEFAULT_CACHE, as_json: options.AsJson = False) -> None:
    """List the stores.

    Example: probekit cache ls
    """
    import pandas as pd

    from probekit.errors import StoreError
    from probekit.files import spell_size
    from probekit.store import find_stores

    found, damaged = find_stores(cache)
    stores = []
    for store in found:
        try:
            stores.append(_describe(store))
        except StoreError as error:
            damaged[store.path] = str(error)
    for path, problem in damaged.items():
        output.remark(f"cannot be opened: {path.name}: {problem}")
    if as_json:
        broken = [{"name": path.name, "problem": problem} for path, problem in damaged.items()]
        output.print_json({"cache": str(cache), "stores": stores, "damaged": broken})
    elif stores:
        frame = pd.DataFrame(stores)
        wide = output.stdout().width >= tables.WIDE
        frame["taps"] = frame["taps"].map(_spell_taps if wide else len)
        frame["size"] = [spell_size(count) for count in frame["bytes"]]
        frame["address"] = frame["address"].str[:12]
        columns = ["model", "view", "precision", "taps", "rows", "failed", "size", "address"]
        # where there is little room, names stay whole, and `info` tells the rest
        tables.print_table(frame[columns] if wide else frame[columns].drop(columns=["precision", "address"]))
    else:
        output.remark(
            f"{cache} has no stores yet: run `probekit extract --model srm` with the same --cache."
            if cache.is_dir() or not isinstance(cache, Path)
            else f"there is no folder {cache}."
        )


def info(name: Name, cache: options.Cache = options.DEFAULT_CACHE, as_json: options.AsJson = False) -> None:
    """Show everything that is recorded of one store.

    Example: probekit cache info srm
    """
    store = find(cache, name)
    described = _describe(store) | {
        "settings": store.settings.to_json(),
        "facts": dict(store.facts),
        "writers": list(store.writers),
    }
    if as_json:
        output.print_json(described)
        return
    from probekit.files import spell_size

    described["taps"] = _spell_taps(described["taps"])
    described["bytes"] = f"{described['bytes']:,} ({spell_size(described['bytes'])})"
    output.print_facts(described)


def verify(
    name: Annotated[str | None, typer.Argument(metavar="[STORE]", help="One store; all of them without it.")] = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    as_json: options.AsJson = False,
) -> None:
    """Read every stored byte and compare it with its checksum; exit code 2 if anything is damaged.

    Example: probekit cache verify
    """
    from probekit.store import find_stores

    stores, broken = ([find(cache, name)], {}) if name else find_stores(cache)
    damaged = {store.path.name: list(store.verify()) for store in stores}
    if as_json:
        places_of = damaged | {path.name: [problem] for path, problem in broken.items()}
        output.print_json({"stores": [{"name": store, "damaged": places} for store, places in places_of.items()]})
    for problem in broken.values():
        output.remark(f"cannot be opened: {problem}")
    for store, places in damaged.items():
        for place in places:
            output.remark(f"damaged: {place}")
        if not places and not as_json:
            output.remark(f"{store}: every byte is as it was written")
    if broken or any(damaged.values()):
        raise typer.Exit(2)


def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    cache: options.Cache = options.DEFAULT_CACHE,
) -> None:
    """Delete a store and all its features.

    Example: probekit cache rm srm --yes
    """
    from probekit.files import spell_size
    from probekit.store import find_stores, remove_store

    damaged = [path for path in find_stores(cache)[1] if path.name.startswith(name)]
    path = damaged[0] if len(damaged) == 1 else find(cache, name).path
    if not yes:
        output.confirm_removal(f"Delete {path} ({spell_size(size_of(path))})?")
    remove_store(path)
    output.remark(f"deleted {path}")


def find(cache: AnyPath, name: str) -> "Store":
    """The one store that the beginning of its name or address, or its model, fits; of a model, that of clean images."""
    from probekit.errors import UsageError
    from probekit.store import list_stores

    stores = list_stores(cache)
    fitting = [
        store
        for store in stores
        if store.settings.model == name or store.path.name.startswith(name) or store.settings.address.startswith(name)
    ]
    clean = [store for store in fitting if store.settings.model == name and not store.settings.view.get("perturb")]
    fitting = clean if len(clean) == 1 else fitting
    if len(fitting) != 1:
        problem = "several stores fit" if fitting else "no store fits"
        names = ", ".join(store.path.name for store in fitting or stores) or "none at all"
        raise UsageError(f"{problem} {name!r} in {cache}: {names}.")
    return fitting[0]


def _describe(store: "Store") -> dict[str, Any]:
    settings = store.settings
    return {
        "name": store.path.name,
        "model": settings.model,
        "view": settings.view_name,
        "precision": settings.precision,
        "address": settings.address,
        "taps": {tap: list(shape) for tap, shape in store.taps.items()},
        "rows": store.rows,
        "failed": len(store.reasons()),
        "bytes": size_of(store.path),
    }


def _spell_taps(taps: "dict[str, list[int]]") -> str:
    """Taps of one shape together: `cls@0-23 mean@0-23: 1024, tokens@23: 256×1024`."""
    from probekit.models.requests import compact

    shapes = {shape: [tap for tap in taps if tuple(taps[tap]) == shape] for shape in map(tuple, taps.values())}
    return ", ".join(f"{' '.join(compact(same))}: {'×'.join(map(str, shape))}" for shape, same in shapes.items())
