"""What a probe learned as named arrays and plain values, and back: field by field, by name, without pickle.

An array stands among the values as `{"tensor": NAME, "shape": [63, 1]}`; lists, tuples, mappings and dataclasses within
may hold arrays too.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from probekit import probes
from probekit.arrays import Shaped
from probekit.errors import ProbeError
from probekit.fingerprint import JSONValue
from probekit.probes.classifier import Classifier

T = TypeVar("T")

Arrays = dict[str, Shaped[np.ndarray, "..."]]
"""Tensor name → array, in its own number format."""


def pack(part: object, prefix: str) -> tuple[Arrays, dict[str, JSONValue]]:
    """The arrays of a dataclass, named `prefix.field`, and its fields in JSON's types, which refer to them.

    Raises:
        ProbeError: a field is neither array nor plain value, or holds a number that is not finite.
    """
    arrays: Arrays = {}
    return arrays, _pack_fields(part, prefix, arrays)


def unpack(
    kind: type[T],
    fields: Mapping[str, Any],
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    parts: Mapping[str, type[Any]] | None = None,
) -> T:
    """The dataclass that `pack` took apart; fields that the record lacks take their defaults.

    Args:
        kind: of the dataclass.
        fields: its record.
        arrays: what the record refers to.
        parts: field → dataclass that it holds, or None.

    Raises:
        ProbeError: an array is missing or of another shape, or the record has other fields than the class.
    """
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # as above
    if strange := sorted(fields.keys() - known.keys()):
        raise ProbeError(f"its {kind.__name__} has a field {strange[0]!r} that is not known here: update probekit.")
    needed = {
        name
        for name, field in known.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if lacking := sorted(needed - fields.keys()):
        raise ProbeError(
            f"its {kind.__name__} lacks the field {lacking[0]!r}: the file is damaged, save the probe again."
        )
    inner = {name: part for name, part in (parts or {}).items() if fields.get(name) is not None}
    found = {name: _unpack(value, arrays) for name, value in fields.items() if name not in inner}
    return kind(**found, **{name: unpack(part, fields[name], arrays) for name, part in inner.items()})


def find_classifier(probe: str, name: str) -> type[Classifier]:
    """The class of that name among those of probekit and of the plug-ins; that of the probe's own file comes first.

    Args:
        probe: the probe's registered name.
        name: of the class of what it learns.

    Raises:
        UnknownNameError: there is no such probe; its plug-in may not be installed.
        ProbeError: there is no such class, or there are several.
    """
    home = "" if probe == probes.GIVEN else probes.get(probe).__module__  # which also imports the plug-ins
    found = [kind for kind in _descendants(Classifier) if kind.__name__ == name and dataclasses.is_dataclass(kind)]
    found = [kind for kind in found if kind.__module__ == home] or found
    if len(found) != 1:
        count = f"{len(found)} classes" if found else "no class"
        raise ProbeError(f"{count} named {name!r} among what probes learn: update probekit or the plug-in of {probe}.")
    return found[0]


def _descendants(kind: type[Any]) -> Iterator[type[Classifier]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)


def _pack_fields(part: Any, prefix: str, arrays: Arrays) -> dict[str, JSONValue]:  # noqa: ANN401  # any dataclass
    return {
        field.name: _pack(getattr(part, field.name), f"{prefix}.{field.name}", arrays)
        for field in dataclasses.fields(part)
    }


def _pack(value: object, name: str, arrays: Arrays) -> JSONValue:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise ProbeError(f"{name} is an array of {value.dtype}: only numbers can be saved.")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ProbeError(f"{name} holds a number that is not finite: the probe is of no use, train it again.")
        arrays[name] = np.ascontiguousarray(value).reshape(value.shape)  # the former makes a scalar a vector
        return {"tensor": name, "shape": list(value.shape)}
    if isinstance(value, list | tuple):
        return [_pack(item, f"{name}.{number}", arrays) for number, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {str(key): _pack(item, f"{name}.{key}", arrays) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _pack_fields(value, name, arrays)
    if isinstance(value, float) and not np.isfinite(value):
        raise ProbeError(f"{name} is {value}, not a finite number: the probe is of no use, train it again.")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ProbeError(
        f"{name} is a {type(value).__name__}: only arrays, numbers, strings, lists and mappings of them can be saved."
    )


def _unpack(value: Any, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> Any:  # noqa: ANN401  # of any field
    if isinstance(value, list):
        return tuple(_unpack(item, arrays) for item in value)
    if not isinstance(value, dict):
        return value
    if "tensor" not in value:
        return {key: _unpack(item, arrays) for key, item in value.items()}
    name, shape = value["tensor"], tuple(value["shape"])
    if name not in arrays:
        raise ProbeError(f"it holds no tensor {name}: the file is damaged, save the probe again.")
    if arrays[name].shape != shape:
        raise ProbeError(f"{name} is {list(arrays[name].shape)}, expected {list(shape)}: a file of another probe.")
    if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
        raise ProbeError(f"{name} holds a number that is not finite: the file is damaged, save the probe again.")
    return arrays[name]
