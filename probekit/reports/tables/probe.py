"""Probes in print: a matrix for each metric, medians of several features, recall per class, confusion."""

from collections.abc import Mapping, Sequence
from typing import Any

from probekit.reports.matrices import FALLING, metrics_of, selection_lines, spread
from probekit.reports.runs import Run
from probekit.reports.tables.runs import add
from probekit.reports.tables.table import Cell, Table, estimate, table, with_best
from probekit.reports.text import is_number, number, words

Part = Mapping[str, Any]

SAID_APART = ("Evaluation", "Oracle")
"""Entries of a selection record that have a sentence of their own."""


@add("finetune", instead_of=("pairs", "per_class", "confusion", "training_steps", "training_epochs"))
@add("probe", instead_of=("pairs", "per_class", "confusion"))
def tables(run: Run) -> list[Table]:
    """All of them, in the order of the answers."""
    with_pairs = [part for part in run.parts if part.get("pairs")]
    with_classes = [part for part in run.parts if part.get("classes")]
    found = [one for part in with_pairs for one in _matrices(run, part)]
    if len(with_pairs) > 1:
        found.append(_overview(run, with_pairs))
    for classes in dict.fromkeys(tuple(map(str, part["classes"])) for part in with_classes):
        alike = [part for part in with_classes if tuple(map(str, part["classes"])) == classes]
        found.append(_recall(run, alike, classes))
        found += [_confusion(run, part) for part in alike if part.get("confusion")]
    return found


def subject(run: Run, part: Part) -> str:
    """`clip#proj, logistic on supcon`, and what else tells answers apart."""
    shots = f"{part['shots']} shots" if part.get("shots") else None
    domains = f"{part['train_domain']} → {part.get('test_domain')}" if part.get("train_domain") else None
    task = part.get("task") if part.get("task") not in (None, "binary", "attribution") else None
    probe = " on ".join(str(name) for name in (part.get("probe"), part.get("project")) if name)
    return ", ".join(
        str(word) for word in (run.subject(part), probe, task, part.get("ensemble"), shots, domains) if word
    )


def _matrices(run: Run, part: Part) -> list[Table]:
    """A matrix for each metric, with intervals where there are any."""
    pairs: Sequence[Part] = part["pairs"]
    trains, tests = (list(dict.fromkeys(str(pair[name]) for pair in pairs)) for name in ("train", "test"))
    at = {(str(pair["train"]), str(pair["test"])): pair for pair in pairs}
    tests = [name for name in trains if name in tests] + [name for name in tests if name not in trains]
    found = []
    for metric in metrics_of(pairs):
        rows = [[train, *(_estimate(at.get((train, test), {}), metric) for test in tests)] for train in trains]
        caption = (
            f"{words(metric)} on {subject(run, part)}, trained on rows, tested on columns. {_how(part, pairs, metric)}"
        )
        found.append(table(f"{metric}-{subject(run, part)}", caption, ["trained on", *tests], rows, axis="tested on"))
    return found


def _estimate(pair: Part, metric: str) -> str:
    return estimate(pair.get(metric), pair.get(f"{metric}_ci"))


def _how(part: Part, pairs: Sequence[Part], metric: str) -> str:
    """Images, intervals, evaluation and selection, in sentences."""
    n = [pair["n_test"] for pair in pairs if is_number(pair.get("n_test"))]
    told = []
    if n:
        told.append("test images of a cell: " + number(min(n)) + (f" to {number(max(n))}" if max(n) > min(n) else ""))
    if any(pair.get(f"{metric}_ci") for pair in pairs):
        told.append("in brackets 95 % intervals over groups")
    return _sentences([*told, *_evaluation(part)])


def _evaluation(part: Part) -> list[str]:
    chosen = part.get("selection")
    oracle = isinstance(chosen, Mapping) and chosen.get("oracle") is True
    lines = [f"{term.lower()} {value}" for term, value in selection_lines(chosen) if term not in SAID_APART]
    told = [f"evaluated by {part['evaluation']}"] if part.get("evaluation") else []
    told += [f"selection: {'; '.join(lines)}"] if lines else []
    return [*told, *(["ORACLE: chosen on test images"] if oracle else [])]


def _sentences(told: Sequence[str]) -> str:
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in told)


def _overview(run: Run, parts: Sequence[Part]) -> Table:
    """Medians over pairs of each kind of features and probe, the best of each column bold."""
    metrics = [
        metric for metric in ("auc", "balanced_acc", "eer") if any(metric in metrics_of(p["pairs"]) for p in parts)
    ]
    columns, falling = ["features"], set()
    for metric in metrics:
        if metric in FALLING:
            falling |= {len(columns), len(columns) + 1}
        columns += [f"{words(metric)}, seen", f"{words(metric)}, unseen"]
    values: list[list[object]] = []
    for part in parts:
        found = [spread(part["pairs"], metric) for metric in metrics]
        values.append([subject(run, part), *(value for one in found for value in (one.same_median, one.across_median))])
    caption = (
        "Medians over pairs whose tested generator was trained on (seen) and over the others (unseen). "
        f"{_sentences(_evaluation(parts[0])[:1])} The best of each column in bold."
    )
    return with_best(table("overview", caption, columns, values), values, falling=frozenset(falling))


def _recall(run: Run, parts: Sequence[Part], classes: Sequence[str]) -> Table:
    """Recall of each class and what sums them up, a row for each kind of features and probe."""
    values: list[list[object]] = []
    rows: list[list[object]] = []
    counts: dict[str, object] = {}
    for part in parts:
        per = {str(row.get("class")): row for row in part.get("per_class") or []}
        counts |= {name: row.get("n", row.get("n_test")) for name, row in per.items()}
        recalls = [per.get(name, {}).get("recall") for name in classes]
        values.append([subject(run, part), *recalls, part.get("balanced_acc"), part.get("acc")])
        sums = [Cell(_estimate(part, name)) for name in ("balanced_acc", "acc")]
        rows.append([subject(run, part), *recalls, *sums])
    n = ", ".join(f"{name} {number(counts[name])}" for name in classes if is_number(counts.get(name)))
    caption = (
        f"Recall of each class; chance {number(1 / len(classes))}. " + (f"Test images: {n}. " if n else "")
        + _sentences(_evaluation(parts[0])) + (" The best of each column in bold." if len(parts) > 1 else "")
    )  # fmt: skip
    made = table("recall", caption, ["features", *classes, "Balanced accuracy", "Accuracy"], rows)
    return with_best(made, values)


def _confusion(run: Run, part: Part) -> Table:
    classes, counts = list(map(str, part["classes"])), part["confusion"]
    rows = [[name, *row, sum(row)] for name, row in zip(classes, counts, strict=True)]
    caption = f"Confusion of {subject(run, part)}: test images of each true class (rows) by answer (columns). "
    columns = ["true class", *classes, "n"]
    return table(
        f"confusion-{subject(run, part)}", caption + _sentences(_evaluation(part)), columns, rows, axis="answer"
    )
