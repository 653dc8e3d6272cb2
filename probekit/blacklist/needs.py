"""Which features a blacklist compares: fixed when it is made, and refused in one line where others are given."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from probekit import models
from probekit.errors import BlacklistError, UsageError
from probekit.extract.target import open_target, store_settings
from probekit.features import Selector
from probekit.fingerprint import plain
from probekit.heads.saved import Block
from probekit.models import compute
from probekit.models.requests import gives_tokens
from probekit.paths import AnyPath
from probekit.store import StoreSettings, list_stores


def find_blocks(
    reference: str,
    cache: AnyPath,
    selector: Selector | None = None,
    *,
    weights: Mapping[str, Path] | None = None,
    device: str | None = None,
) -> tuple[Block, ...]:
    """The features that a reference such as `clip#cls@20` or `npr+srm` names, with everything that decides them.

    A part is that of the one store in the cache that has it; where several have, that of the view in which the model
    is usually extracted; where no store has, that of the model as it would be extracted now.

    Args:
        reference: `MODEL[#TAP]`, several joined by `+`.
        cache: folder of the stores.
        selector: which stores, where several fit; view and precision for a model that has none yet.
        weights: model → checkpoint that does not come from a hub.
        device: where features would be computed, which may decide their precision.

    Raises:
        UsageError: several stores fit, or no such model, tap or view.
        WeightsError: the weights cannot be had.
    """
    return tuple(_find(part, cache, selector or Selector(), weights or {}, device) for part in reference.split("+"))


def other_views(blocks: Sequence[Block], cache: AnyPath) -> tuple[str, ...]:
    """Views in which the cache has the same taps, besides those that were chosen: `srm#blocks: resize512`."""
    found = [
        f"{block.name}: {store.settings.view_name}"
        for block in blocks
        for store in list_stores(cache)
        if store.settings.model == block.settings.model
        and block.tap in store.taps
        and store.settings.view_name != block.settings.view_name
    ]
    return tuple(dict.fromkeys(found))


def require_same(needed: Sequence[Block], given: Sequence[Block], name: str) -> None:
    """Nothing, if features were made as the blacklist of that name needs them.

    Raises:
        BlacklistError: they were not; says in what they differ.
    """
    if len(needed) != len(given):
        said = "+".join(block.name for block in given)
        raise BlacklistError(
            f"blacklist {name} compares {'+'.join(b.name for b in needed)}, these features are {said}."
        )
    for own, other in zip(needed, given, strict=True):
        if (own.tap, own.width) != (other.tap, other.width):
            raise BlacklistError(
                f"blacklist {name} compares {own.name} of {own.width} numbers, these features are {other.name} of "
                f"{other.width}."
            )
        if difference := _difference(own.settings, other.settings):
            raise BlacklistError(f"blacklist {name} compares other features of {own.name}: {difference}.")


def require_computable(block: Block, weights: Mapping[str, Path], device: str | None) -> None:
    """Nothing, if these very features can be computed here.

    Raises:
        BlacklistError: they were imported, or the model, its weights or its view are others here.
        WeightsError: the weights cannot be had.
    """
    needed = block.settings
    if needed.view.get("imported"):
        raise BlacklistError(
            f"{block.name} was imported and cannot be computed here: give a manifest whose features are imported."
        )
    model = models.find(needed.model, weights.get(needed.model))
    _, given = store_settings(
        model,
        view=needed.policy,
        perturb=needed.perturbation or "none",
        decoder=needed.view.get("decoder") or "",
        precision=needed.precision,
        compiled=bool(needed.model_settings.get("compiled")),
        dtype=needed.dtype,
        device=compute.devices(device)[0],
    )
    if difference := _difference(needed, given):
        remedy = f" Give the same with --weights {needed.model}=FILE." if "weights" in difference else ""
        raise BlacklistError(f"the features of {block.name} here are not those of the blacklist: {difference}.{remedy}")


def _find(part: str, cache: AnyPath, selector: Selector, weights: Mapping[str, Path], device: str | None) -> Block:
    model, _, tap = part.partition("#")
    admitted = [s for s in list_stores(cache) if s.settings.model == model and selector.admits(s)]
    fitting = [store for store in admitted if (tap or str(store.facts["default_tap"])) in store.taps]
    if len(fitting) > 1 and selector.view is None and selector.store is None:
        usual = _usual_view(model, selector, weights, device)
        fitting = [store for store in fitting if store.settings.view_name == usual] or fitting
    if len(fitting) > 1:
        names = "; ".join(store.path.name for store in fitting)
        raise UsageError(f"several stores have {part}: {names}. Choose one with --view, --precision or --store.")
    if fitting:
        (store,) = fitting
        tap = tap or str(store.facts["default_tap"])
        return _block(part, tap, store.taps[tap], store.settings)
    if selector.store is not None:
        raise UsageError(f"no store in {cache} that --store {selector.store} names has {part}.")
    target = open_target(
        model,
        taps=(tap,) if tap else (),
        view=selector.view,
        perturb=selector.perturb or "none",
        decoder="",
        precision=selector.precision,
        compiled=False,
        dtype="float16",
        cache=cache,
        weights=weights.get(model),
        device=compute.devices(device)[0],
        batch_size=None,
    )
    if len(target.taps) > 1:
        raise UsageError(f"--model {part} means {len(target.taps)} taps: name one of them, or join several with +.")
    return _block(part, target.taps[0], target.width(target.taps[0]), target.store.settings)


def _usual_view(model: str, selector: Selector, weights: Mapping[str, Path], device: str | None) -> str:
    """The view in which `extract` puts the model's features when no other is asked for."""
    _, usual = store_settings(
        models.find(model, weights.get(model)),
        view=None,
        perturb=selector.perturb or "none",
        decoder="",
        precision=selector.precision,
        compiled=False,
        dtype="float16",
        device=compute.devices(device)[0],
    )
    return usual.view_name


def _block(part: str, tap: str, shape: tuple[int, ...], settings: StoreSettings) -> Block:
    if gives_tokens(shape):
        raise UsageError(f"{part} gives {shape[0]} vectors an image, and a blacklist compares one: choose another tap.")
    return Block(tap, shape[0], settings)


def _difference(needed: StoreSettings, given: StoreSettings) -> str:
    """The first thing in which they differ; empty where they do not."""
    pairs = {
        "model": (given.model, needed.model),
        "weights": (_short(given.weights_sha256), _short(needed.weights_sha256)),
        "view": (given.view_name, needed.view_name),
        "view settings": (plain(given.view), plain(needed.view)),
        "precision": (given.precision, needed.precision),
        "number format": (given.dtype, needed.dtype),
        "model settings": (plain(given.model_settings), plain(needed.model_settings)),
    }
    return next((f"{what} {one}, not {other}" for what, (one, other) in pairs.items() if one != other), "")


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "none"
