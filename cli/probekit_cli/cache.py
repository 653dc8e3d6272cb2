"""`probekit cache`: look after the feature stores."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output

if TYPE_CHECKING:
    from probekit.store import Store

app = typer.Typer(help="Look after the feature stores.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="STORE", help="The beginning of a store's name, address or model.")]


@app.command("ls")
def list_(cache: options.Cache = options.DEFAULT_CACHE, as_json: options.AsJson = False) -> None:
    """List the stores.

    Example: probekit cache ls
    """
    import pandas as pd

    from probekit.errors import StoreError
    from probekit.store import find_stores

    found, damaged = find_stores(cache)
    stores = []
    for store in found:
        try:
            stores.append(_describe(store))
        except StoreError as error:
            damaged[store.path] = str(error)
    for path, problem in damaged.items():
        output.remark(f"damaged: {path.name}: {problem}")
    if as_json:
        broken = [{"name": path.name, "problem": problem} for path, problem in damaged.items()]
        output.print_json({"cache": str(cache), "stores": stores, "damaged": broken})
    elif stores:
        frame = pd.DataFrame(stores)
        frame["taps"] = [
            " ".join(f"{tap}:{'×'.join(map(str, shape))}" for tap, shape in taps.items()) for taps in frame["taps"]
        ]
        frame["size"] = [_size(count) for count in frame["bytes"]]
        output.print_table(
            frame[["model", "view", "precision", "taps", "rows", "failed", "size", "address"]].assign(
                address=frame["address"].str[:12]
            )
        )
    else:
        output.remark(
            f"{cache} has no stores yet: run `probekit extract --model srm`."
            if cache.is_dir()
            else f"there is no folder {cache}."
        )


@app.command()
def info(name: Name, cache: options.Cache = options.DEFAULT_CACHE, as_json: options.AsJson = False) -> None:
    """Show everything that is recorded of one store.

    Example: probekit cache info srm
    """
    store = _find(cache, name)
    described = _describe(store) | {"settings": store.settings.to_json(), "facts": dict(store.facts)}
    if as_json:
        output.print_json(described)
        return
    from rich.pretty import pprint

    pprint(described, console=output.stdout(), expand_all=True)


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[STORE]", help="One store; all of them without it.")] = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    as_json: options.AsJson = False,
) -> None:
    """Read every stored byte and compare it with its checksum; exit code 2 if anything is damaged.

    Example: probekit cache verify
    """
    from probekit.store import find_stores

    stores, broken = ([_find(cache, name)], {}) if name else find_stores(cache)
    damaged = {store.path.name: list(store.verify()) for store in stores}
    damaged |= {path.name: [problem] for path, problem in broken.items()}
    if as_json:
        output.print_json({"stores": [{"name": store, "damaged": places} for store, places in damaged.items()]})
    for store, places in damaged.items():
        for place in places:
            output.remark(f"damaged: {place}")
        if not places and not as_json:
            output.remark(f"{store}: every byte is as it was written")
    if any(damaged.values()):
        raise typer.Exit(2)


@app.command("rm")
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    cache: options.Cache = options.DEFAULT_CACHE,
) -> None:
    """Delete a store and all its features.

    Example: probekit cache rm srm --yes
    """
    import shutil

    from probekit.store import find_stores

    damaged = [path for path in find_stores(cache)[1] if path.name.startswith(name)]
    path = damaged[0] if len(damaged) == 1 else _find(cache, name).path
    if not yes:
        typer.confirm(f"Delete {path} ({_size(_bytes(path))})?", abort=True, err=True)
    shutil.rmtree(path)
    output.remark(f"deleted {path}")


def _find(cache: Path, name: str) -> "Store":
    from probekit.errors import UsageError
    from probekit.store import list_stores

    stores = list_stores(cache)
    fitting = [
        store
        for store in stores
        if store.settings.model == name or store.path.name.startswith(name) or store.settings.address.startswith(name)
    ]
    if len(fitting) != 1:
        problem = "several stores fit" if fitting else "no store fits"
        names = ", ".join(store.path.name for store in fitting or stores) or "none at all"
        raise UsageError(f"{problem} {name!r} in {cache}: {names}.")
    return fitting[0]


def _describe(store: "Store") -> dict[str, object]:
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
        "bytes": _bytes(store.path),
    }


def _bytes(path: Path) -> int:
    total = 0
    for file in path.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # an extraction is at work
            total += file.stat().st_size if file.is_file() else 0
    return total


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
