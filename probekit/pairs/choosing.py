"""Choosing features: the tap (or model, or view) whose probes did best on held-out samples of the training side."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from probekit.errors import UsageError
from probekit.fingerprint import JSONValue, plain_object
from probekit.pairs.result import PairResult


def choose_features(results: Sequence[PairResult]) -> PairResult:
    """For each training set the answer of the features with the lowest selection loss, with that in the record.

    Args:
        results: of one question, asked of several features.

    Raises:
        UsageError: there is nothing to choose from, or the probes were given and not selected.
    """
    if len(results) < 2:
        raise UsageError("there is one kind of features: name several, such as --taps all, to choose among.")
    losses = pd.DataFrame([_losses(result) for result in results])  # one row a result, one column a training set
    if losses.isna().to_numpy().any():
        raise UsageError(
            "features are chosen by the selection loss, and there is none: let the probe choose its parameter or "
            "condition, on every training sample."
        )
    best = losses.to_numpy().argmin(axis=0)
    chosen = {train: results[number] for train, number in zip(losses.columns, best, strict=True)}
    candidates = _names(results)
    names = {train: candidates[number] for train, number in zip(losses.columns, best, strict=True)}

    def rows(table: str) -> pd.DataFrame:
        parts: list[pd.DataFrame] = [getattr(one, table) for one in chosen.values()]
        own = [part[part["train"] == train] for train, part in zip(chosen, parts, strict=True) if len(part)]
        return pd.concat(own, ignore_index=True) if own else parts[0]

    first = results[0]
    record = first.selection | {
        "features": names,
        "candidates": candidates,
        "condition": "; ".join(dict.fromkeys(str(one.selection["condition"]) for one in chosen.values())),
        "probes": [record | {"features": names[train]} for train, one in chosen.items() for record in _of(one, train)],
        "converged": all(bool(one.selection["converged"]) for one in chosen.values()),
        "threshold": _threshold(chosen),
    }
    if parameter := first.selection["parameter"]:
        values = {train: one.selection[str(parameter)][train] for train, one in chosen.items()}
        record[str(parameter)] = values
    source = first.source | {
        name: "+".join(dict.fromkeys(one.source[name] for one in chosen.values()))
        for name in ("model", "view", "precision")
    }
    return replace(
        first,
        source=source | {"tap": "chosen"},
        pairs=rows("pairs"),
        macro=rows("macro"),
        transfer=rows("transfer"),
        scores=rows("scores"),
        selection=record,
        notes=tuple(dict.fromkeys(note for one in chosen.values() for note in one.notes)),
        trials={train: one.trials[train] for train, one in chosen.items() if train in one.trials},
    )


def _losses(result: PairResult) -> dict[str, float]:
    """Mean selection loss of the probes of each training set, over its folds and seeds."""
    records = pd.DataFrame(result.probe_records())
    losses = records["loss"].astype(np.float64).groupby(records["train"], sort=False)
    return {str(train): float(own.mean(skipna=False)) for train, own in losses}


def _of(result: PairResult, train: str) -> list[dict[str, JSONValue]]:
    """The records of the probes of a training set, one a fold and seed."""
    return [probe for probe in result.probe_records() if probe["train"] == train]


def _names(results: Sequence[PairResult]) -> list[str]:
    """Model and tap of each; where two have the same, view and precision as far as it takes to tell them apart."""
    sources = [result.source for result in results]
    names = [
        "+".join(map("#".join, zip(source["model"].split("+"), source["tap"].split("+"), strict=True)))
        for source in sources
    ]
    for more in ("view", "precision"):
        if len(set(names)) == len(names):
            break
        names = [f"{name} · {source[more]}" for name, source in zip(names, sources, strict=True)]
    return names


def _threshold(chosen: Mapping[str, PairResult]) -> JSONValue:
    """The record of the thresholds of the chosen features' probes."""
    records = {train: plain_object(one.selection["threshold"]) for train, one in chosen.items()}
    by = "; ".join(dict.fromkeys(str(record["by"]) for record in records.values()))
    values = {train: plain_object(record["values"])[train] for train, record in records.items()}
    return next(iter(records.values())) | {"by": by, "values": values}
