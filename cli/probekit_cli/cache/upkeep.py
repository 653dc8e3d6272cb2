"""`probekit cache gc` and `failed`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probekit.paths import AnyPath, size_of
from probekit_cli import options, output, tables
from probekit_cli.cache import stores

if TYPE_CHECKING:
    import pandas as pd

    from probekit.manifest import Manifest
    from probekit.store import Store
    from probekit.upkeep import Collection

Store_ = Annotated[str | None, typer.Argument(metavar="[STORE]", help="One store; all of them without it.")]
Manifests = Annotated[
    list[str] | None,
    typer.Option("--manifest", "-m", metavar="NAME|FILE", help="May be given again. Default: all in manifests/."),
]


def gc(
    name: Store_ = None,
    manifest: Manifests = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Give up the rows of images that are gone and not remembered.")
    ] = False,
    cache: options.Cache = options.DEFAULT_CACHE,
    as_json: options.AsJson = False,
) -> None:
    """Remove rows of images that no manifest refers to, spare rows, and what killed processes left behind.

    A store is built anew beside the old one and takes its place at the end, so a kill loses nothing.

    Example: probekit cache gc --dry-run
    """
    from probekit.files import spell_size
    from probekit.upkeep import Collection

    manifests = _manifests(manifest)
    with output.progress("reading images") as show:
        found = Collection(cache, _stores(cache, name), manifests, allow_missing=allow_missing, on_file=show)
    if not as_json:
        _show(found, manifests)
    done: dict[str, Any] = {}
    before = {each.store.path.name: size_of(each.store.path) for each in found.surplus}
    if found and not dry_run:
        if not yes:
            output.confirm_removal("Remove this?")
        with output.progress("rows kept") as show:
            done = found.collect(show)
    elif found and not isinstance(cache, Path) and not as_json:
        output.remark(f"{cache}: none of this can be removed, because no store of a bucket can take another's place.")
    refused = {store: outcome for store, outcome in done.items() if isinstance(outcome, str)}
    after = {each.store.path.name: size_of(each.store.path) for each in found.surplus}
    freed = sum(before.values()) - sum(after.values())
    if as_json:
        output.print_json(
            _to_json(found, manifests, refused, collected=bool(done or (found and not dry_run)), freed=freed)
        )
    elif found and not dry_run:
        rows = sum(outcome.dropped + outcome.spare for outcome in done.values() if not isinstance(outcome, str))
        output.remark(f"removed {output.count(rows, 'row')}, freed {spell_size(max(0, freed))}")
    for problem in refused.values():
        output.remark(f"left as it was: {problem}")
    if refused:
        raise typer.Exit(2)


def failed(
    name: Store_ = None,
    manifest: Manifests = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    as_json: options.AsJson = False,
) -> None:
    """List the images that a model could not be shown, and why.

    Example: probekit cache failed
    """
    from probekit.upkeep import failures

    looked_at = _stores(cache, name)
    found = failures(cache, looked_at, _manifests(manifest))
    if as_json:
        output.print_json({"cache": str(cache), "failed": found.to_dict(orient="records")})
    elif found.empty:
        output.remark("no image has failed; files that could not be opened at all stand in the record of their run.")
    else:
        shown = found.assign(path=found["path"].where(found["path"] != "", "key " + found["key"].str[:12]))
        tables.print_table(shown[["model", "view", "path", "reason"]])
        for store in looked_at:
            for line in _ways_to_retry(store, found[found["store"] == store.path.name], cache):
                output.remark(line)


def _ways_to_retry(store: "Store", failed: "pd.DataFrame", cache: AnyPath) -> list[str]:
    """A line for each manifest that has images of this store which failed, and one for those that none has."""
    lines = []
    for manifest, rows in failed.groupby("manifest"):
        images = output.count(len(rows), "image")
        if store.settings.view.get("imported"):
            lines.append(f"{images} of {store.settings.model} came without features: import them again.")
        elif not manifest:
            lines.append(
                f"{images} of {store.path.name} are in none of the manifests, or were replaced: "
                "name theirs with --manifest."
            )
        else:
            keys = [bytes.fromhex(key) for key in rows["key"]]
            lines.append(f"to try {images} again: {shlex.join(_retry(store, keys, str(manifest), cache))}")
    return lines


def _retry(store: "Store", keys: list[bytes], manifest: str, cache: AnyPath) -> list[str]:
    """The command that extracts these failed images into this store, and no other."""
    import numpy as np

    from probekit.models.requests import compact
    from probekit.store import FAILED

    asked = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
    fails = (store.look_up(asked, np.zeros(len(asked), np.int16), list(store.taps)) == FAILED).any(axis=0)
    taps = compact(tap for tap, has in zip(store.taps, fails, strict=True) if has)
    command = ["probekit", "extract", "--model", store.settings.model, "--manifest", manifest]
    command += ["--taps", ",".join(taps), *store.settings.words()]
    if cache != options.DEFAULT_CACHE:
        command += ["--cache", str(cache)]
    return [*command, "--retry-failed"]


def _stores(cache: AnyPath, name: str | None) -> "list[Store]":
    from probekit.errors import UsageError
    from probekit.store import find_stores

    if not cache.is_dir():
        raise UsageError(f"there is no folder {cache}: choose one with --cache.")
    if name:
        return [stores.find(cache, name)]
    found, damaged = find_stores(cache)
    for problem in damaged.values():
        output.remark(f"note: a store is left out: {problem}")
    return found


def _manifests(names: list[str] | None) -> "list[Manifest]":
    from probekit.manifest import Manifest
    from probekit.manifest.files import FOLDER, SUFFIXES

    present = sorted(path for path in FOLDER.glob("[!.]*") if path.suffix in SUFFIXES)
    return [Manifest.read(name) for name in names or present]


def _show(found: "Collection", manifests: "list[Manifest]") -> None:
    import pandas as pd

    from probekit.files import spell_size

    rows = [
        {
            "store": each.store.path.name,
            "rows": each.surplus.rows,
            "not referred to": each.surplus.dropped,
            "spare": each.surplus.spare,
            "left by dead processes": len(each.surplus.leftovers),
            "features": spell_size(each.surplus.bytes),
        }
        for each in found.surplus
        if each.surplus
    ]
    if rows:
        tables.print_table(pd.DataFrame(rows), title="What is not needed", whole=("store",))
    output.remark(f"kept: what {_refer([manifest.name for manifest in manifests])} to")
    for each in found.surplus:
        for path in each.surplus.leftovers:
            output.remark(f"  left by a dead process: {path}")
    if found.forgotten:
        deleted = output.count(len(found.forgotten), "deleted file")
        output.remark(f"keys of {deleted} that no manifest has would be forgotten (first: {found.forgotten[0]})")
    if not found:
        output.remark("there is nothing to remove")


def _refer(names: list[str]) -> str:
    """`demo refers`, `demo and faces refer`, `demo, faces and few refer`."""
    *others, last = names
    return f"{', '.join(others)} and {last} refer" if others else f"{last} refers"


def _to_json(
    found: "Collection", manifests: "list[Manifest]", refused: dict[str, str], *, collected: bool, freed: int
) -> dict[str, Any]:
    return {
        "manifests": [manifest.name for manifest in manifests],
        "stores": [
            {
                "name": each.store.path.name,
                "rows": each.surplus.rows,
                "dropped": each.surplus.dropped,
                "spare": each.surplus.spare,
                "leftovers": [str(path) for path in each.surplus.leftovers],
                "bytes": each.surplus.bytes,
                "refused": refused.get(each.store.path.name),
            }
            for each in found.surplus
        ],
        "forgotten": found.forgotten,
        "removed": collected,
        "bytes_freed": max(0, freed) if collected else 0,
    }
