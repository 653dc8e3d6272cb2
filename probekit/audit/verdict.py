"""The verdict: findings in plain words, each with its severity and numbers, worst first.

bad     the numbers of this data set flatter every probe: mend it, or report nothing
warn    worth a look before publishing
good    looked for, and not found
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from probekit.audit.distributions import BALANCE
from probekit.audit.label_noise import TRUSTED, LabelNoise
from probekit.audit.leaks import ALIKE, COPY, FEATURES, each_once
from probekit.audit.properties import BESIDES_BYTES
from probekit.audit.properties import PROPERTIES as COLUMNS
from probekit.audit.shortcuts import ALL_SAMPLES, MATCHED, Shortcuts
from probekit.audit.study import ATTRIBUTION, PROPERTIES
from probekit.fingerprint import JSONValue
from probekit.metrics import json_row

Row = dict[str, Any]
"""Of a table."""

Severity = Literal["bad", "warn", "good"]
VERDICTS: Mapping[str, str] = {
    "bad": "Do not believe this data set’s numbers yet.",
    "warn": "Look at these before publishing.",
    "good": "Nothing was found that would flatter a probe.",
}
"""What the worst finding says of the whole data set."""
SEVERITIES: tuple[Severity, ...] = ("bad", "warn", "good")

BAD_AUC, WARN_AUC = 0.75, 0.6
"""AUC of file properties alone from which on they give a class away, or may."""
TELLING = 0.6
"""AUC (or share of the way from chance to 1) from which on a single property is named."""
NAMED = 3
BYTES = (
    "; dimensions and header say nothing: bytes alone do, which in files of one kind are how much detail a picture has"
)
FEW = 10
"""Images of a class below which nothing can be said about it."""
NOISY = 0.02
"""Share of candidates for wrong labels from which on the labels deserve a look."""


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found, or did not find."""

    severity: Severity
    topic: str
    """`leaks`, `shortcuts`, `labels`, `balance` or `files`."""
    sentence: str
    numbers: dict[str, JSONValue] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSONValue]:
        """For `--json`."""
        return {"severity": self.severity, "topic": self.topic, "sentence": self.sentence, "numbers": self.numbers}


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Worst first, else as they came."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def on_files(n: int, unreadable: pd.DataFrame, flat: int) -> list[Finding]:
    """Files that cannot be read, and pictures of one colour."""
    numbers: dict[str, JSONValue] = {"samples": n + len(unreadable), "unreadable": len(unreadable), "one_colour": flat}
    found = []
    if len(unreadable):
        first = unreadable.iloc[0]
        sentence = f"{len(unreadable)} of {n + len(unreadable)} samples cannot be read ({first.path}: {first.reason})"
        found.append(Finding("bad", "files", sentence, numbers))
    if flat:
        found.append(
            Finding("warn", "files", f"{flat} pictures are of one colour: they were compared with none.", numbers)
        )
    return found or [Finding("good", "files", f"All {n:,} samples can be read.", numbers)]


def on_leaks(groups: pd.DataFrame, pairs: pd.DataFrame, table: pd.DataFrame, folds: int) -> list[Finding]:
    """Groups, bytes and pictures on both sides."""
    found = []
    where = "two groups (folds may divide them)" if folds else "two splits"
    if len(groups):
        first = groups.iloc[0]
        names = f"{first.group}: {first.train} in train, {first.val} in val, {first.test} in test"
        found.append(
            Finding("bad", "leaks", f"{_count(len(groups), 'group')} in several splits ({names}). "
                    "Give each group one split.", {"groups": len(groups), "samples": int(groups["samples"].sum())})
        )  # fmt: skip
    across = pairs[pairs["across"]]
    words = {COPY: "the same bytes", ALIKE: "the same picture, in other bytes,"}
    for kind, what in words.items():
        own = across[across["kind"] == kind]
        if len(own):
            samples = len(np.unique(own[["a", "b"]].to_numpy()))
            sentence = (
                f"{_count(len(own), 'pair')} of {what} in {where}, {samples} of {len(table):,} samples "
                f"({own.iloc[0].path_a} and {own.iloc[0].path_b}). Give both one group and split again."
            )
            found.append(Finding("bad", "leaks", sentence, {"kind": kind, "pairs": len(own), "samples": samples}))
    new = each_once(across[across["kind"] == FEATURES])
    if len(new):
        sentence = f"{_count(len(new), 'more pair')} of near features in {where}: look at them."
        found.append(Finding("warn", "leaks", sentence, {"kind": FEATURES, "pairs": len(new)}))
    if not found:
        found.append(Finding("good", "leaks", f"No group, no bytes and no picture is found in {where}.", {"pairs": 0}))
    return found + _copies_inside(pairs)


def _copies_inside(pairs: pd.DataFrame) -> list[Finding]:
    found = []
    inside = pairs[(pairs["kind"] == COPY) & ~pairs["across"]]
    if len(inside):
        sentence = f"{_count(len(inside), 'sample')} repeat the bytes of another on the same side: they count twice."
        found.append(Finding("warn", "leaks", sentence, {"kind": COPY, "pairs": len(inside)}))
    other = pairs[(pairs["kind"] == COPY) & (pairs["generator_a"] != pairs["generator_b"])]
    if len(other):
        first = other.iloc[0]
        sentence = (
            f"{_count(len(other), 'pair')} of the same bytes with two classes ({first.path_a} is {first.generator_a}, "
            f"{first.path_b} is {first.generator_b}): one of the two is wrong."
        )
        found.append(Finding("bad", "labels", sentence, {"pairs": len(other)}))
    return found


def on_shortcuts(shortcuts: Shortcuts | None) -> list[Finding]:
    """What file properties alone say of each generator and of all classes, and what is left in a matched subset.

    Args:
        shortcuts: None where there was too little to ask about.
    """
    if shortcuts is None:
        return [Finding("warn", "shortcuts", "Whether file properties give classes away could not be asked.", {})]
    found = [_on_generator(shortcuts, row) for row in _own(shortcuts.pairs, ALL_SAMPLES)]
    found += _on_attribution(shortcuts)
    return found + _on_matching(shortcuts)


def _on_generator(shortcuts: Shortcuts, row: Row) -> Finding:
    name = str(row["train"])
    if np.isnan(_number(row["auc"])):
        sentence = f"Whether file properties tell {name} from real is not known: no images of both are tested."
        return Finding("warn", "shortcuts", sentence, {"generator": name, "auc": None})
    severity = _severity(_number(row["auc"]), _number(row["auc_lo"]), 0.5)
    only_bytes = severity != "good" and _besides_bytes(shortcuts.alone, name, 0.5) == "good"
    severity = "warn" if only_bytes else severity
    tells = {"bad": "tell", "warn": "may tell", "good": "do not tell"}[severity]
    sentence = f"File properties alone {tells} {name} from real: AUC {_spelled(row, 'auc')}"
    sentence += _given_away(shortcuts.alone, name, 0.5) if severity != "good" else ""
    beside = [
        one for one in _diagonal(shortcuts.pairs, ALL_SAMPLES) if one["by"] != PROPERTIES and one["train"] == name
    ]
    for one in beside:
        sentence += f"; {one['by']} {_spelled(one, 'auc')}{_no_better(one) if severity != 'good' else ''}"
    sentence += BYTES if only_bytes else ""
    numbers: dict[str, JSONValue] = {"generator": name, **json_row({key: row[key] for key in _AUC})}
    numbers["beside"] = [json_row({key: one[key] for key in _GAIN}) for one in beside]
    return Finding(severity, "shortcuts", sentence + ".", numbers)


_AUC = ("auc", "auc_lo", "auc_hi")
_GAIN = ("by", *_AUC, "gain", "gain_lo", "gain_hi")


def _severity(value: float, low: float, chance: float) -> Severity:
    """Of what file properties alone reach: by the value, and by whether its interval lies above guessing.

    Balanced accuracies are put on the scale of an AUC, which is .5 for guessing.
    """
    value, low = (0.5 + 0.5 * (each - chance) / (1 - chance) for each in (value, low))
    if value >= BAD_AUC and not low <= WARN_AUC:  # without an interval the value decides
        return "bad"
    return "warn" if value >= WARN_AUC and not low <= 0.5 else "good"


def _besides_bytes(alone: pd.DataFrame, question: str, chance: float) -> Severity | None:
    """What dimensions and header say without the bytes; None where they were not asked about by themselves."""
    for row in map(_named, alone.to_dict("records")):
        if row["properties"] == BESIDES_BYTES and row["question"] == question:
            return _severity(_number(row["value"]), _number(row["low"]), chance)
    return None


def _no_better(row: Row) -> str:
    gain, low = _number(row["gain"]), _number(row["gain_lo"])
    return ", not shown to be better" if (gain if np.isnan(low) else low) <= 0 else ""


def _on_attribution(shortcuts: Shortcuts) -> list[Finding]:
    found = []
    for row in _rows(shortcuts.attribution, ALL_SAMPLES):
        if row["by"] != PROPERTIES:
            continue
        value, low, chance = (_number(row[key]) for key in ("balanced_acc", "balanced_acc_lo", "chance"))
        severity = _severity(value, low, chance)
        only_bytes = severity != "good" and _besides_bytes(shortcuts.alone, ATTRIBUTION, chance) == "good"
        severity = "warn" if only_bytes else severity
        sentence = (
            f"Which of {row['n_classes']} classes it is, file properties alone say rightly for "
            f"{100 * _number(row['acc']):.1f} % of the images: balanced accuracy {_spelled(row, 'balanced_acc')}, "
            f"chance {_short(chance)}"
        )
        sentence += _given_away(shortcuts.alone, ATTRIBUTION, chance) if severity != "good" else ""
        for one in _rows(shortcuts.attribution, ALL_SAMPLES):
            sentence += f"; {one['by']} {_spelled(one, 'balanced_acc')}" if one["by"] != PROPERTIES else ""
        sentence += BYTES if only_bytes else ""
        found.append(Finding(severity, "shortcuts", sentence + ".", json_row(row)))
    return found


def _on_matching(shortcuts: Shortcuts) -> list[Finding]:
    found = []
    table = shortcuts.matching
    impossible = [str(name) for name, own in table.groupby("question", sort=False) if not own["asked"].any()]
    if impossible:
        impossible = [_question(name) for name in impossible]
        overlap = [_question(name) for name, own in table.groupby("question", sort=False) if own["matched"].sum() == 0]
        few = [name for name in impossible if name not in overlap]
        parts = [f"{', '.join(overlap)} cannot be matched: no file properties are shared"] if overlap else []
        parts += [f"too few images of {', '.join(few)} match to ask again"] if few else []
        numbers: dict[str, JSONValue] = {"cannot_be_matched": overlap, "too_few": few}
        found.append(
            Finding(
                "warn", "shortcuts", f"By file properties {'; '.join(parts)}. Ask a normalised copy as well.", numbers
            )
        )
    for row in _own(shortcuts.pairs, MATCHED):
        own = table[table["question"] == row["train"]]
        if (own["matched"] == own["n"]).all():
            continue  # they had the same properties from the beginning
        left = own["matched"]
        sentence = (
            f"Matched by file properties, {row['train']} and real keep {int(left.min())} images each: "
            f"properties then score AUC {_spelled(row, 'auc')}"
        )
        for one in _diagonal(shortcuts.pairs, MATCHED):
            if one["train"] == row["train"] and one["by"] != PROPERTIES:
                sentence += f", {one['by']} {_spelled(one, 'auc')}"
        numbers = {"generator": row["train"], **json_row({key: row[key] for key in _AUC})}
        left_over = _severity(_number(row["auc"]), _number(row["auc_lo"]), 0.5) != "good"
        found.append(Finding("warn" if left_over else "good", "shortcuts", sentence + ".", numbers))
    return found


def _question(name: object) -> str:
    return "all classes at once" if name == ATTRIBUTION else str(name)


def on_labels(noise: Sequence[LabelNoise]) -> list[Finding]:
    """Candidates for wrong labels, for each kind of features."""
    found = []
    for one in noise:
        own = one.candidates[one.candidates["trusted"]]
        n, distrusted = int(one.classes["n"].sum()), one.classes["class"][one.classes["recall"] < TRUSTED]
        none = len(distrusted) == len(one.classes)
        severity: Severity = "warn" if none or len(own) >= max(1, NOISY * n) else "good"
        sentence = f"{_count(len(own), 'candidate')} of {n:,} for a wrong label by {one.features}" + (
            f", {int(own['other_label'].sum())} between real and fake" if len(own) else ""
        )
        if none:
            sentence = f"{one.features} cannot say whether labels are wrong: it confuses every class with others"
        elif len(distrusted):
            sentence += f"; of {', '.join(distrusted)} the probe is too unsure to say"
        if doubtful := len(one.candidates) - len(own):
            sentence += f"; the {doubtful} that it would call otherwise there mean little"
        found.append(Finding(severity, "labels", sentence + ".", one.to_json()))
    return found


def on_balance(classes: pd.DataFrame) -> list[Finding]:
    """Classes that outweigh others."""
    sums = classes.groupby("generator")["n"].sum()
    counts = {str(name): int(n) for name, n in sums.items()}
    small, large = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if len(counts) == 1:
        return [Finding("warn", "balance", f"There is one class, {small}: nothing can be told apart.", {**counts})]
    if counts[small] < FEW:
        sentence = f"{small} has {_count(counts[small], 'image')}, too few for any of these answers to mean much."
        return [Finding("warn", "balance", sentence, {**counts})]
    numbers: dict[str, JSONValue] = {**counts}
    if counts[large] >= BALANCE * counts[small]:
        sentence = (
            f"{large} has {counts[large]:,} images, {small} {counts[small]:,}: look at balanced accuracy and AUC."
        )
        return [Finding("warn", "balance", sentence, numbers)]
    have = " to ".join(f"{n:,}" for n in sorted({counts[small], counts[large]}))
    return [Finding("good", "balance", f"Classes have {have} images.", numbers)]


def _given_away(alone: pd.DataFrame, question: str, chance: float) -> str:
    """` (alone: width .952, height .940)`: the single properties that say most."""
    own = [row for row in map(_named, alone.to_dict("records")) if row["properties"] in COLUMNS]
    own = [row for row in own if row["question"] == question]
    telling = [row for row in own if (row["value"] - chance) / (1 - chance) >= 2 * TELLING - 1]
    telling.sort(key=lambda row: -float(row["value"]))
    words = [f"{str(row['properties']).replace('_', ' ')} {_short(row['value'])}" for row in telling[:NAMED]]
    return f" (alone: {', '.join(words)})" if words else ""


def _rows(table: pd.DataFrame, over: str) -> list[Row]:
    return [_named(row) for row in table[table["over"] == over].to_dict("records")] if len(table) else []


def _named(row: Mapping[Hashable, Any]) -> Row:
    return {str(name): value for name, value in row.items()}


def _diagonal(pairs: pd.DataFrame, over: str) -> list[Row]:
    """Each generator on itself, by the file properties and by all features."""
    return [row for row in _rows(pairs, over) if row["train"] == row["test"]]


def _own(pairs: pd.DataFrame, over: str) -> list[Row]:
    """Each generator on itself, by the file properties."""
    return [row for row in _diagonal(pairs, over) if row["by"] == PROPERTIES]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _spelled(row: Row, name: str) -> str:
    """`.936 [.90, .97]`."""
    low, high = _number(row[f"{name}_lo"]), _number(row[f"{name}_hi"])
    interval = "" if np.isnan(low) else f" [{_short(low, 2)}, {_short(high, 2)}]"
    return _short(_number(row[name])) + interval


def _short(value: float, digits: int = 3) -> str:
    return (
        "undefined"
        if np.isnan(value)
        else f"{value:.{digits}f}".removeprefix("0")
        if value < 1
        else f"{value:.{digits}f}"
    )


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")
