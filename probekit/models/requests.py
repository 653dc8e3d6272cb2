"""Requests for taps, `cls@all`, `mean@0-11`, `clip#proj` …, and the taps of a model or a store that they mean.

    final             the default tap
    all               every tap that gives one vector an image
    cls@all           a tap of every block
    cls@0-11          of blocks 0 to 11, which count from 0
    proj, patches@20  the tap of that name

`MODEL#` before a request asks it of that model alone. Taps of many tokens an image (`patches`, `patches@i`) are large
and must be named.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from probekit.errors import UsageError
from probekit.registry import unknown_name

if TYPE_CHECKING:
    from probekit.models import ModelCard

FINAL, ALL = "final", "all"


def expand_taps(card: "ModelCard", requests: Sequence[str]) -> tuple[str, ...]:
    """The taps of a model that these requests mean, each once; its default tap where none is asked of it.

    Args:
        card: the model.
        requests: with `MODEL#` before them of that model alone, else of every model.

    Raises:
        UsageError: it has no such tap; the message lists those it has.
    """
    asked = asked_of(card.name, requests)
    return expand(card.name, card.taps, asked, card.default_tap, hint=" Of one model alone: MODEL#TAP.")


def expand(
    name: str, taps: Mapping[str, tuple[int, ...] | None], requests: Iterable[str], default: str, *, hint: str = ""
) -> tuple[str, ...]:
    """Those of `taps` that the requests mean, each once, in the order asked for; blocks ascend.

    Args:
        name: whose taps they are, for the error.
        taps: tap → shape of one row.
        requests: without a model.
        default: what `final` means.
        hint: ends the error.

    Raises:
        UsageError: one means no tap.
    """
    meant = [tap for request in requests for tap in _meant(request, taps, default)]
    check_taps(name, taps, meant, hint)
    return tuple(dict.fromkeys(meant))


def asked_of(model: str, requests: Iterable[str]) -> list[str]:
    """Those of the requests that are asked of a model, or of every model; `final` if there are none."""
    return [request for of, request in map(split, requests) if of in ("", model)] or [FINAL]


def means_several(request: str) -> bool:
    """Whether a request is not the name of one tap: `all`, `cls@all`, `cls@0-11`."""
    return request == ALL or request.endswith(f"@{ALL}") or _range(request) is not None


def check_models(requests: Iterable[str], models: Sequence[str]) -> None:
    """Nothing, if every model that a request names is one of these.

    Raises:
        UnknownNameError: one is not.
    """
    for model, _ in map(split, requests):
        if model and model not in models:
            raise unknown_name("model of --taps", model, models)


def split(request: str) -> tuple[str, str]:
    """Model (or '') and the rest of a request."""
    model, _, tap = request.rpartition("#")
    return model, tap


def check_taps(name: str, known: Iterable[str], taps: Iterable[str], hint: str = "") -> None:
    """Nothing, if all these taps are known.

    Raises:
        UsageError: one is not; the message lists those there are, `cls@0` … `cls@23` as `cls@0-23`.
    """
    known = list(known)
    if unknown := [tap for tap in taps if tap not in known]:
        raise UsageError(f"{name} has no tap {unknown[0]!r}. It has {', '.join(compact(known))}.{hint}")


def compact(taps: Iterable[str]) -> list[str]:
    """The same taps, runs of blocks as one request each: `cls@0-23`."""
    single: list[str] = []
    blocks: dict[str, set[int]] = {}
    for tap in taps:
        stem, _, block = tap.partition("@")
        if block.isdecimal():
            blocks.setdefault(stem, set()).add(int(block))
        else:
            single.append(tap)
    for stem, numbers in blocks.items():
        firsts = sorted(number for number in numbers if number - 1 not in numbers)
        lasts = sorted(number for number in numbers if number + 1 not in numbers)
        runs = zip(firsts, lasts, strict=True)
        single += [f"{stem}@{first}" if first == last else f"{stem}@{first}-{last}" for first, last in runs]
    return single


def gives_tokens(shape: tuple[int, ...] | None) -> bool:
    """Whether a tap of that shape gives many tokens an image, not one vector."""
    return shape is not None and len(shape) > 1


def _meant(request: str, taps: Mapping[str, tuple[int, ...] | None], default: str) -> list[str]:
    """The taps of one request; the request itself, or a block at an end of its range, where it means none."""
    if request == FINAL:
        return [default]
    if request == ALL:
        return sorted((tap for tap, shape in taps.items() if not gives_tokens(shape)), key=_in_order)
    stem, _, blocks = request.partition("@")
    if blocks == ALL:
        numbers = sorted(int(n) for s, _, n in (tap.partition("@") for tap in taps) if s == stem and n.isdecimal())
        return [f"{stem}@{number}" for number in numbers] or [request]
    if not (found := _range(request)):
        return [request]
    first, last = found
    if first > last:
        raise UsageError(f"tap {request!r}: the first block comes first, {stem}@{last}-{first}.")
    return [f"{stem}@{number}" for number in range(first, last + 1)]


def _in_order(tap: str) -> tuple[bool, str, int]:
    """Taps without a block first, then the blocks of each kind as they follow one another."""
    stem, at, block = tap.partition("@")
    return (bool(at), stem, int(block) if block.isdecimal() else 0)


def _range(request: str) -> tuple[int, int] | None:
    """First and last block of a request such as `cls@0-11`."""
    found = re.search(r"@([0-9]{1,4})-([0-9]{1,4})\Z", request)
    return (int(found[1]), int(found[2])) if found else None
