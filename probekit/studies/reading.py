"""Reading protocols: every name in a file is checked before anything runs, for the file may be a stranger's.

A protocol only asks: its steps may extract, train, test and draw, with the options of `FLAGS` alone. It can neither
delete anything nor write anywhere but into the cache and the study's own run folder, whoever wrote it.
"""

import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from probekit.errors import UsageError
from probekit.fingerprint import hash_bytes
from probekit.registry import nearest, unknown_name
from probekit.studies.protocol import (
    CELLS,
    METRICS,
    PARAMETER,
    REDUCTIONS,
    RUN,
    Comparison,
    Needs,
    Protocol,
    Published,
    Question,
    Statistic,
    Step,
    filled,
)

VERBS = ("audit", "compare", "extract", "finetune", "map", "probe", "retrieve", "saliency")
"""Commands that a step may be."""
# fmt: off
FLAGS = frozenset((
    "--C", "--accuracy", "--across", "--aggregate", "--alike", "--allow-missing", "--amp", "--augment",
    "--balanced", "--batch-size", "--calibrate", "--choose-features", "--class-rank", "--color", "--colour",
    "--condition", "--criterion", "--crops", "--curves", "--decoder", "--dimension", "--distance", "--dtype",
    "--epochs", "--folds", "--format", "--fuse", "--gallery", "--gallery-domain", "--gallery-generators",
    "--generators", "--index", "--input", "--k", "--kernel-sample", "--leave-one-out", "--limit", "--lora",
    "--loss", "--lr", "--measure", "--method", "--mix", "--model", "--name", "--no-amp", "--no-save", "--no-sheets",
    "--of", "--optimizer", "--oracle", "--overlays", "--parts", "--patience", "--perplexity", "--perturb",
    "--perturbed", "--pool", "--precision", "--probe", "--project", "--query", "--query-domain",
    "--query-generators", "--sample", "--scratch", "--selection", "--sheets", "--shots", "--size", "--strict",
    "--taps", "--task", "--test", "--threshold", "--train", "--unit", "--unknown", "--view", "--vote",
    "--weight-decay",
))
# fmt: on
"""Options that a step may have. None names a place to write to, replaces what is there, or is the study's own to give:
manifest, folders, weights, seeds."""
OWN = {"data": "demo-0a1b2c"}
"""Parameters that every protocol has, with an example: `{data}` is the manifest's name and its hash's beginning."""
PREPARING = ("demo --data-only",)
"""Commands that a protocol may have its manifest made by."""
_STEP_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_TAKEN = ("study",)
"""Names of folders beside those of the steps."""

T = TypeVar("T")


def read(path: Path) -> Protocol:
    """The protocol in a file, every name in it checked.

    Raises:
        UsageError: it cannot be read, lacks something, or names something that does not exist.
    """
    try:
        content = path.read_bytes()
        data = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML ({error}): mend it, or copy one of manifests/protocols.") from error
    _check_keys(path, "the protocol", data, ("study", "parameters", "needs", "step", "question", "published"))
    study = dict(_table(path, data, "study"))
    study.setdefault("source", "")
    _check_keys(path, "[study]", study, ("title", "about", "source", "manifest", "prepare"))
    parameters = _table(path, data, "parameters") if "parameters" in data else {}
    protocol = Protocol(
        name=path.stem,
        title=_text(path, "[study]", study, "title"),
        about=" ".join(_text(path, "[study]", study, "about").split()),
        source=str(study["source"]),
        parameters={name: _text(path, f"[parameters.{name}]", one, "default") for name, one in parameters.items()},
        helps={name: str(one.get("help", "")) for name, one in parameters.items()},
        needs=_build(path, "[needs]", Needs, data.get("needs", {})),
        steps=tuple(_step(path, one) for one in _list(path, data, "step")),
        questions=tuple(_question(path, one) for one in _list(path, data, "question")),
        published=tuple(_published(path, one) for one in _list(path, data, "published")),
        manifest=str(study.get("manifest", "")),
        prepare=str(study.get("prepare", "")),
        path=path,
        sha256=hash_bytes(content),
    )
    _check(protocol)
    return protocol


def _check(protocol: Protocol) -> None:
    """Nothing, if all that the protocol's parts name is there."""
    path = protocol.path
    names = [step.name for step in protocol.steps]
    if not names:
        raise UsageError(f"{path} has no [[step]]: a study asks at least one thing.")
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise UsageError(f"{path}: two steps are called {twice[0]!r}: give each its own name.")
    if protocol.prepare and protocol.prepare not in PREPARING:
        raise UsageError(f"{path}: prepare is {protocol.prepare!r}, it may be {' or '.join(PREPARING)}.")
    for number, step in enumerate(protocol.steps):
        _check_step(protocol, step, names[:number])
    for question in protocol.questions:
        _check_question(protocol, question)
    for published in protocol.published:
        protocol.step(published.step, f"[[published]] {published.title} ({path})")


def _check_step(protocol: Protocol, step: Step, before: Sequence[str]) -> None:
    """Nothing, if a step has a name for a folder, a command that only asks, and steps before it that there are."""
    where = f"step {step.name} ({protocol.path})"
    if not _STEP_NAME.fullmatch(step.name) or step.name in _TAKEN:
        raise UsageError(f"{where}: a step's name has letters, digits, - and _ only, and is not {_TAKEN[0]!r}.")
    try:
        words = shlex.split(step.run)
    except ValueError as error:
        raise UsageError(f"{where}: run cannot be split into words ({error}).") from error
    verb = words[0] if words else ""
    if verb not in VERBS:
        raise unknown_name(f"command of {where}", verb, VERBS)
    for word in words[1:]:
        if word.startswith("-") and word not in FLAGS and not re.fullmatch(r"-[0-9.]+(e-?[0-9]+)?", word):
            raise UsageError(
                f"{where}: a step may not have {word!r}. Options stand apart from their values, --model srm."
            )
        if word.startswith(RUN) and word.removeprefix(RUN) not in step.after:
            raise UsageError(f"{where}: {word} needs after = [{word.removeprefix(RUN)!r}].")
    if verb in ("extract", "finetune") and "--model" not in words:
        raise UsageError(f"{where}: {verb} needs --model.")
    for name in step.after:
        if name not in before:
            raise unknown_name(f"step in `after` of {where}", name, before)
    for text in (step.run, step.title, *_texts(step.needs)):
        filled(text, {**protocol.parameters, **OWN}, where)


def _texts(needs: Needs) -> tuple[str, ...]:
    return needs.generators, needs.domains, needs.columns, needs.splits, needs.models


def _check_question(protocol: Protocol, question: Question) -> None:
    where = f"question {question.name} ({protocol.path})"
    if not question.compare:
        raise UsageError(f"{where}: it has no [[question.compare]]: what is claimed, and of which numbers?")
    variable, of, listed = question.each.partition(" in ")
    sound = of and PARAMETER.fullmatch(f"{{{variable}}}") and listed in protocol.parameters
    if question.each and not sound:
        raise UsageError(f"{where}: each = {question.each!r} must be like 'model in models', models a parameter.")
    parameters = {**protocol.parameters, variable: ""}
    for text in (question.asks, question.note, *(one.claim for one in question.compare)):
        filled(text, parameters, where)
    for comparison in question.compare:
        for side in (comparison.left, comparison.right):
            if side.value is None:
                protocol.step(side.step, where)
            for text in side.where.values():
                filled(text, parameters, where)


def _step(path: Path, data: Mapping[str, Any]) -> Step:
    where = f"[[step]] {data.get('name', '')}".strip()
    needs = _build(path, f"{where}, needs", Needs, data.get("needs", {}))
    after = [data["after"]] if isinstance(data.get("after"), str) else data.get("after", [])
    kept = {**data, "needs": needs, "after": _strings(path, where, "after", after)}
    return _build(path, where, Step, kept)


def _question(path: Path, data: Mapping[str, Any]) -> Question:
    where = f"[[question]] {data.get('name', '')}".strip()
    compare = tuple(_comparison(path, where, one) for one in _list(path, data, "compare"))
    return _build(path, where, Question, {**data, "compare": compare})


def _comparison(path: Path, where: str, data: Mapping[str, Any]) -> Comparison:
    where = f"{where}, compare"
    sides = {side: _statistic(path, f"{where}, {side}", data.get(side, {})) for side in ("left", "right")}
    return _build(path, where, Comparison, {**data, **sides})


def _statistic(path: Path, where: str, data: Mapping[str, Any]) -> Statistic:
    found = _build(path, where, Statistic, data)
    if (found.value is None) == (not found.step):
        raise UsageError(f"{path}: {where}: name a step, or give a value.")
    for noun, name, known in (
        ("metric", found.metric, METRICS),
        ("cells", found.cells, CELLS),
        ("reduce", found.reduce, REDUCTIONS),
    ):
        if name not in known:
            raise unknown_name(f"{noun} of {where} ({path})", name, known)
    return found


def _published(path: Path, data: Mapping[str, Any]) -> Published:
    where = f"[[published]] {data.get('title', '')}".strip()
    values = data.get("values", [])
    rows = values if isinstance(values, list) and values and isinstance(values[0], list) else [values]
    if not all(isinstance(row, list) and all(type(value) in (int, float) for value in row) for row in rows):
        raise UsageError(f"{path}: {where}: values must be a list of numbers, or of lists of numbers.")
    kept = {
        **data,
        "values": tuple(tuple(map(float, row)) for row in rows),
        "columns": _strings(path, where, "columns", data.get("columns", [])),
        "rows": _strings(path, where, "rows", data.get("rows", [])),
    }
    found = _build(path, where, Published, kept)
    if len(found.values) != max(1, len(found.rows)) or {len(row) for row in found.values} != {len(found.columns)}:
        raise UsageError(f"{path}: {where}: values must have a row for each of rows and a column for each of columns.")
    if found.transposable and found.rows != found.columns:
        raise UsageError(f"{path}: {where}: only a table whose rows and columns are alike is transposable.")
    return found


def _build(path: Path, where: str, kind: type[T], data: object) -> T:
    """A dataclass of the values in a table.

    Raises:
        UsageError: an unknown key, a missing one, or a value of another type.
    """
    if not isinstance(data, Mapping):
        raise UsageError(f"{path}: {where} must be a table.")
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]  # every kind built here is a dataclass
    _check_keys(path, where, data, known)
    for name, value in data.items():
        expected = _EXPECTED.get(str(known[name].type), _EXPECTED.get(getattr(known[name].type, "__name__", "")))
        if expected and (not isinstance(value, expected[1]) or (isinstance(value, bool) and bool not in expected[1])):
            raise UsageError(f"{path}: {where}: {name} is {value!r}, expected {expected[0]}.")
        if isinstance(value, dict) and not all(isinstance(text, str) for text in value.values()):
            raise UsageError(f"{path}: {where}: {name} must name texts only.")
    try:
        return kind(**data)
    except TypeError as error:
        raise UsageError(f"{path}: {where}: {str(error).partition('__init__() ')[2] or error}.") from error


_EXPECTED: dict[str, tuple[str, tuple[type, ...]]] = {
    "str": ("str", (str,)),
    "int": ("int", (int,)),
    "bool": ("bool", (bool,)),
    "float": ("a number", (int, float)),
    "float | None": ("a number", (int, float)),
    "Mapping": ("a table", (dict,)),
    "collections.abc.Mapping[str, str]": ("a table", (dict,)),
}
"""Annotation → what it is called and the types that TOML gives for it."""


def _strings(path: Path, where: str, name: str, values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UsageError(f"{path}: {where}: {name} must be a list of texts.")
    return tuple(values)


def _check_keys(path: Path, where: str, data: Mapping[str, Any], known: Sequence[str] | Mapping[str, Any]) -> None:
    for name in data:
        if name not in known:
            raise UsageError(f"{path}: {where} has no {name!r}.{nearest(name, known)} Known: {', '.join(known)}.")


def _table(path: Path, data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    if not isinstance(found, Mapping):
        raise UsageError(f"{path}: [{name}] is missing.")
    return found


def _list(path: Path, data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise UsageError(f"{path}: write {name} as [[{name}]], once for each.")
    return found


def _text(path: Path, where: str, data: Mapping[str, Any], name: str) -> str:
    if not isinstance(data, Mapping) or not isinstance(data.get(name), str):
        raise UsageError(f"{path}: {where} needs a text {name!r}.")
    return str(data[name])
