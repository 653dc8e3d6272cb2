"""From what the data calls its classes to labels, generators, domains and splits."""

from collections.abc import Iterable

import pandas as pd

from probekit.errors import UsageError
from probekit.layouts.listing import ImportOptions
from probekit.manifest import REAL
from probekit.registry import unknown_name

REAL_NAMES = frozenset({"real", "0_real", "nature", "original"})
REAL_PREFIXES = ("real_", "real-")
FAKE_NAMES = frozenset({"fake", "1_fake", "ai"})
"""Only for columns of labels: among folders, whatever is not real is the name of a generator."""
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def means_real(name: str) -> bool:
    """Whether a class of that name holds real images unless a person says otherwise."""
    return name.lower() in REAL_NAMES or name.lower().startswith(REAL_PREFIXES)


def name_splits(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with their splits called train, val and test; unknown names stay, to be complained about."""
    if "split" not in rows:
        return rows
    names = rows["split"].astype("str")
    return rows.assign(split=names.map({name: SPLIT_NAMES.get(name.lower(), name) for name in names.unique()}))


def class_names(rows: pd.DataFrame) -> "pd.Series[str]":
    """What a listing calls each row's class: its generator, else its label, 0 and 1 being `real` and `fake`."""
    generators = rows["generator"].astype("str") if "generator" in rows else pd.Series("", rows.index)
    if "label" not in rows:
        return generators
    names = rows["label"].astype("str")
    names = names.mask(names == "0", "real")
    return generators.where(generators != "", names.mask(names.isin(["1", *FAKE_NAMES]), "fake"))


def label_classes(rows: pd.DataFrame, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    """The rows with label, generator, domain, and `source` where classes become `real`; and what to know.

    A row's own label, if it has one, counts before the name of its class.

    Raises:
        UsageError: an option names no class, or calls a class fake whose name is `real`.
    """
    _check_options(rows, options)
    own = rows["label"].astype("str") if "label" in rows else pd.Series("", rows.index)
    named = list(zip(rows["class"].tolist(), own.tolist(), strict=True))
    label_of = {name: _label(*name, options) for name in set(named)}
    labels = [label_of[name] for name in named]
    real = pd.Series([label == "0" for label in labels], rows.index)
    fallback = rows["domain"] if "domain" in rows else pd.Series("", rows.index)
    rows = rows.assign(
        label=pd.Series(labels, rows.index, dtype="str"),
        generator=rows["class"].mask(real, REAL),
        domain=fallback,
    )
    for name, domain in options.domains.items():
        rows["domain"] = rows["domain"].mask(rows["class"] == name, domain)
    rows["domain"] = rows["domain"].mask(rows["domain"] == "", options.domain)
    if "source" not in rows and (rows.loc[real, "class"].str.lower() != REAL).any():
        rows["source"] = rows["class"]
    return rows, _notes(rows, real)


def _label(name: str, own: str, options: ImportOptions) -> str:
    """'0' or '1'; what cannot be told stays as it is, to be complained about with its row."""
    if own in options.labels:
        return str(options.labels[own])
    if name in options.labels:
        return str(options.labels[name])
    if not own:
        return "0" if means_real(name) else "1"
    if means_real(own):
        return "0"
    return "1" if own.lower() in FAKE_NAMES else own


def _check_options(rows: pd.DataFrame, options: ImportOptions) -> None:
    classes = set(rows["class"].unique())
    known = classes | (set(rows["label"].astype("str").unique()) if "label" in rows else set())
    for name, label in options.labels.items():
        if name not in known:
            raise unknown_name("class in --label", name, known)
        if label not in (0, 1):
            raise UsageError(f"--label {name}={label}: a label is 0 (real) or 1 (fake).")
        if label == 1 and name == REAL and name in classes:
            raise UsageError("--label real=1: 'real' is the name of real images: rename that class.")
    for name in options.domains:
        if name not in classes:
            raise unknown_name("class in --domain", name, classes)


def _notes(rows: pd.DataFrame, real: "pd.Series[bool]") -> list[str]:
    real_names, fake_names = sorted(rows.loc[real, "class"].unique()), sorted(rows.loc[~real, "class"].unique())
    notes = [f"real: {', '.join(real_names) or 'none'}; fake: {', '.join(fake_names) or 'none'}"]
    if not real_names:
        notes.append("no class is real: name one with --label NAME=0")
    if not fake_names:
        notes.append("no class is fake: name one with --label NAME=1")
    if len(real_names) > 1:
        notes.append(f"{len(real_names)} classes became one, real; column 'source' tells them apart")
    notes += [f"{', '.join(names)} differ only in case: are they one?" for names in _alike(real_names + fake_names)]
    return notes


def _alike(names: Iterable[str]) -> list[list[str]]:
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(name.casefold(), []).append(name)
    return [spellings for spellings in alike.values() if len(spellings) > 1]
