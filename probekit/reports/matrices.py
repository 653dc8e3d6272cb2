"""Matrices for the eye: train/test pairs and confusions as cells with a text, a tint and their details."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from probekit.reports.text import UNKNOWN, cell, exact, is_nested, is_number, is_unknown, listing, number, words

Pair = Mapping[str, Any]

METRICS = ("auc", "acc", "balanced_acc", "ap", "eer", "tpr_at_fpr5", "ece", "log_loss")
FALLING = frozenset({"eer"})  # smaller is better
FIRST = ("C", "k", "Features", "By", "Oracle")
"""Of a selection record: what was chosen, by what, and whether on test samples; the rest follows."""
LONGEST_LIST = 8
ORACLE, FAIR = "yes: chosen on the test samples, an upper bound and no result", "no"
NO_CHANCE = frozenset({"ap", "tpr_at_fpr5"})  # guessing gives no one value, so the tint starts at 0
UNTINTED = frozenset({"ece", "log_loss"})  # errors of the probabilities: they have no best side to tint
COUNTS = ("n_test", "n_real", "n_fake", "n_groups", "n_train", "seeds")
"""What a cell tells of its images, before the intervals and the selection."""


@dataclass(frozen=True)
class Layer:
    """One metric over a whole matrix."""

    name: str
    label: str
    text: list[list[str]]
    tint: list[list[float | None]]
    """-1 … 1: below chance, chance, perfect; None where the metric is undefined."""


@dataclass(frozen=True)
class Matrix:
    """Cells named by two axes, with one layer per metric and the details of each cell."""

    row_axis: str
    column_axis: str
    rows: list[str]
    columns: list[str]
    layers: list[Layer]
    details: list[list[list[tuple[str, str]]]]
    ringed: list[list[bool]]
    """Cells where the tested generator was trained on, or the answer is right."""

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script needs to switch metrics and to show a cell's details."""
        return {
            "layers": {
                layer.name: {"label": layer.label, "text": layer.text, "tint": layer.tint} for layer in self.layers
            },
            "details": self.details,
            "shown": self.layers[0].name if self.layers else None,
        }


@dataclass(frozen=True)
class Spread:
    """One metric over the pairs whose tested generator was trained on, and over the others."""

    same: list[float]
    across: list[float]
    worst: Pair | None
    """The pair of `across` with the smallest value."""
    best: Pair | None
    """The one with the largest."""

    @property
    def same_median(self) -> float | None:
        """Over generators that were trained on."""
        return median(self.same) if self.same else None

    @property
    def across_median(self) -> float | None:
        """Over generators that were not."""
        return median(self.across) if self.across else None


def pair_matrix(
    pairs: Sequence[Pair],
    selection: object = None,
    subject: str = "",
    sides: tuple[str, str] = ("train", "test"),
    axes: tuple[str, str] = ("Trained on", "Tested on"),
) -> Matrix:
    """Training generators down, tested generators across, in the order in which they first appear.

    Args:
        pairs: a cell each.
        selection: how the probes were chosen, where a pair does not say it itself.
        subject: the features of all of them.
        sides: keys of a pair that name its row and its column.
        axes: what rows and columns are.
    """
    down, across = ([str(pair.get(side, UNKNOWN)) for pair in pairs] for side in sides)
    rows, columns = (list(dict.fromkeys(names)) for names in (down, across))
    columns = [name for name in rows if name in columns] + [name for name in columns if name not in rows]
    at = dict(zip(zip(down, across, strict=True), pairs, strict=True))
    grid = [[at.get((row, column), {}) for column in columns] for row in rows]
    return Matrix(
        row_axis=axes[0],
        column_axis=axes[1],
        rows=rows,
        columns=columns,
        layers=[
            Layer(
                name,
                words(name),
                [[number(pair.get(name)) for pair in row] for row in grid],
                [[tint(name, pair.get(name)) for pair in row] for row in grid],
            )
            for name in metrics_of(pairs)
        ],
        details=[[_details(pair, selection, subject) for pair in row] for row in grid],
        ringed=[[bool(pair) and _seen(pair) for pair in row] for row in grid],
    )


def confusion_matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    counts: Sequence[Sequence[int]],
    axes: tuple[str, str] = ("True class", "Answer"),
) -> Matrix:
    """True classes down, answers across; tinted by the share of the row, right and wrong apart."""
    shares = [[n / max(sum(row), 1) for n in row] for row in counts]
    right = [[true == answer for answer in columns] for true in rows]
    layer = Layer(
        name="count",
        label="images",
        text=[[number(n) for n in row] for row in counts],
        tint=[
            [round(share if hit else -share, 3) for hit, share in zip(*row, strict=True)]
            for row in zip(right, shares, strict=True)
        ],
    )
    details = [
        [
            [
                ("Images", f"{number(n)} of {number(sum(row))}"),
                ("Share of the row", number(n / max(sum(row), 1))),
            ]
            for n in row
        ]
        for row in counts
    ]
    return Matrix(*axes, [str(name) for name in rows], [str(name) for name in columns], [layer], details, right)


def metrics_of(pairs: Sequence[Pair]) -> list[str]:
    """The known metrics that at least one pair has."""
    return [name for name in METRICS if any(not is_unknown(pair.get(name)) for pair in pairs)]


def spread(pairs: Sequence[Pair], metric: str = "auc") -> Spread:
    """How a metric does on the generator it was trained on, and on others."""
    known = [pair for pair in pairs if is_number(pair.get(metric))]
    across = [pair for pair in known if not _seen(pair)]
    return Spread(
        same=[pair[metric] for pair in known if _seen(pair)],
        across=[pair[metric] for pair in across],
        worst=min(across, key=lambda pair: float(pair[metric]), default=None),
        best=max(across, key=lambda pair: float(pair[metric]), default=None),
    )


def selection_lines(record: object, train: str | None = None) -> list[tuple[str, str]]:
    """How C, condition and threshold were chosen, in short lines.

    Args:
        record: the run's selection record.
        train: a training set, whose own entries are then told as well.
    """
    if not isinstance(record, Mapping):
        return []
    if isinstance(record.get(train), Mapping):
        return selection_lines(record[train])
    lines = []
    for key, value in record.items():
        if isinstance(value, Mapping) and train in value:
            value = value[train]  # noqa: PLW2901 - the same entry, narrowed to this training set
        if isinstance(value, Mapping) and "by" in value:
            lines.append((words(key), exact(value.get("name", value["by"]))))
        elif key == "oracle":
            lines.append((words(key), ORACLE if value else FAIR))
        elif isinstance(value, list) and not any(isinstance(item, list | Mapping) for item in value):
            lines.append((words(key), _range_of(list(dict.fromkeys(value)))))
        elif not is_nested(value):
            lines.append((words(key), exact(value)))
    return lines


def tint(metric: str, value: object) -> float | None:
    """-1 … 1: how far a value lies above (or below) what guessing gives."""
    if not is_number(value) or is_unknown(value):
        return None
    if metric in UNTINTED:
        return 0.0
    if metric in NO_CHANCE:
        return round(float(value), 3)
    return round((2 * value - 1) * (-1 if metric in FALLING else 1), 3)


def _seen(pair: Pair) -> bool:
    """Whether the tested generator was trained on; older records say so by equal names alone."""
    return bool(pair.get("seen", pair.get("train") == pair.get("test")))


def _details(pair: Pair, selection: object, subject: str) -> list[tuple[str, str]]:
    """Images, intervals, and how the probe was chosen: what a reader needs to weigh the number."""
    if not pair:
        return [("Result", "not asked")]
    shown = [(words(key), cell(pair[key], key)) for key in COUNTS if key in pair]
    shown += [(words(key), cell(value, key)) for key, value in pair.items() if key.endswith("_ci")]
    shown += [] if any(key.endswith("_ci") for key in pair) else [("95 % interval", "none")]
    if is_number(pair.get("leaks")) and pair["leaks"]:
        shown.append(("Groups also trained on", number(pair["leaks"])))
    chosen = selection_lines(pair.get("selection", selection), str(pair.get("train")))
    chosen = sorted((line for line in chosen if line[0] != "Parameter"), key=lambda line: _place(line[0]))
    shown += [("Features", subject)] if subject else []
    return shown + [(f"Selection: {term}", value) for term, value in chosen]


def _place(term: str) -> int:
    return FIRST.index(term) if term in FIRST else len(FIRST)


def _range_of(values: list[object]) -> str:
    if len(values) > LONGEST_LIST and all(is_number(value) for value in values):
        return f"{len(values)} values, {exact(values[0])} to {exact(values[-1])}"
    return exact(values) if len(values) <= LONGEST_LIST else listing([exact(value) for value in values])
