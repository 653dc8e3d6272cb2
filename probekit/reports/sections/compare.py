"""Comparisons: CKA between features, separability of generators, and distances between them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from probekit.reports.matrices import Layer, Matrix
from probekit.reports.runs import Run
from probekit.reports.section import Headline, Section, sections
from probekit.reports.text import cell, is_number, is_unknown, number, words

Part = Mapping[str, Any]

NAMES = {
    "cka": "CKA, debiased",
    "cka_biased": "CKA, biased",
    "auc": "AUC",
    "mmd": "MMD², Gaussian kernel",
    "kid": "MMD², polynomial kernel (KID)",
    "fd": "Fréchet distance",
    "fd_inf": "Fréchet distance, n → ∞",
}


@sections.add("compare")
class CompareSection(Section):
    """Matrices of features and of generators, and curves over the depth of a model."""

    order = 35
    template = "compare"

    def title(self, run: Run) -> str:
        """`Comparison`."""
        return "Comparison"

    def question(self, run: Run) -> str:
        """The questions behind the measures."""
        asked = []
        if run.result.get("cka"):
            asked.append("How alike are the features of different models and taps?")
        if any(part.get("separability") or part.get("distance") for part in run.parts):
            asked.append("Which generators do they tell apart, and how far do these lie from each other?")
        return " ".join(asked)

    def answers(self, run: Run) -> list[str]:
        """The pairs at both ends, as the command said them."""
        said = [f"Linear CKA, {line}" for line in _mapping(run.result.get("cka")).get("verdicts") or []]
        for part in run.parts:
            for name, heading in (("separability", "separability"), ("distance", "distances")):
                said += [
                    f"{run.subject(part)}, {heading}: {line}" for line in _mapping(part.get(name)).get("verdicts") or []
                ]
        return said

    def headlines(self, run: Run) -> list[Headline]:
        """The least AUC of two generators in each kind of features."""
        found = []
        for part in run.parts:
            known = [pair for pair in _mapping(part.get("separability")).get("pairs") or [] if is_number(pair["auc"])]
            if known:
                least = min(float(pair["auc"]) for pair in known)
                name, note = "AUC, hardest pair of generators", "lowest of all pairs"
                found.append(Headline(run.subject(part), name, least, note))
        return found

    def context(self, run: Run) -> Mapping[str, Any]:
        """Matrices ready to draw, and what the reader should know of them."""
        cka = _mapping(run.result.get("cka"))
        matrices: list[tuple[str, Matrix]] = []
        if cka:
            title = f"Linear CKA · {number(cka['n'])} images of {number(cka['n_groups'])} groups"
            matrices.append(
                (title, _matrix(cka["names"], cka["pairs"], ("cka", "cka_biased"), "features", _share, own=1.0))
            )
        apart = [part for part in run.parts if part.get("separability")]
        for name, parts in _by_model(apart).items():
            matrices.append(
                _over_taps(name, parts) if len(parts) > 1 else _separability(run.subject(parts[0]), parts[0])
            )
        matrices += [_distances(run.subject(part), part) for part in run.parts if part.get("distance")]
        notes = [cka.get("notes")] + [
            _mapping(part.get(name)).get("notes") for part in run.parts for name in ("separability", "distance")
        ]
        return {
            "matrices": matrices,
            "notes": list(dict.fromkeys(note for some in notes for note in some or [])),
            "curves": [
                figure for figure in run.figures if figure.name.startswith("separability-") and " · " in figure.caption
            ],
            "for_papers": run.figures,
        }


def _by_model(parts: Sequence[Part]) -> dict[str, list[Part]]:
    """Taps of one model, view and precision together."""
    found: dict[str, list[Part]] = {}
    for part in parts:
        found.setdefault(" · ".join(str(part.get(key)) for key in ("model", "view", "precision")), []).append(part)
    return found


def _separability(name: str, part: Part) -> tuple[str, Matrix]:
    found = part["separability"]
    matrix = _matrix(found["classes"], found["pairs"], ("auc",), "generator", _above_chance)
    return f"Separability in {name} · {_judged(found)}", matrix


def _over_taps(name: str, parts: Sequence[Part]) -> tuple[str, Matrix]:
    """Pairs of generators down, taps across."""
    columns = [part["separability"]["pairs"] for part in parts]
    grid = [list(row) for row in zip(*columns, strict=True)]
    matrix = Matrix(
        "generators",
        "tap",
        [f"{row[0]['a']} – {row[0]['b']}" for row in grid],
        [str(part.get("tap")) for part in parts],
        [_layer("auc", grid, _above_chance)],
        [[_details(pair, ("auc",)) for pair in row] for row in grid],
        [[False] * len(row) for row in grid],
    )
    return f"Separability in {name} · {_judged(parts[0]['separability'])}", matrix


def _judged(found: Part) -> str:
    return f"{found['settings']['trial']['probe']}, {found['evaluation']}"


def _distances(name: str, part: Part) -> tuple[str, Matrix]:
    found = part["distance"]
    matrix = _matrix(found["order"], found["pairs"], ("mmd", "kid", "fd", "fd_inf"), "generator", None)
    return f"Distances in {name} · {found['settings']['condition']}; diagonal: two halves of one generator", matrix


def _layer(name: str, grid: Sequence[Sequence[Part]], shade: Callable[[float], float]) -> Layer:
    return Layer(
        name,
        NAMES[name],
        [[number(pair.get(name)) for pair in row] for row in grid],
        [[None if is_unknown(pair.get(name)) else round(shade(float(pair[name])), 3) for pair in row] for row in grid],
    )


def _matrix(
    names: Sequence[str],
    pairs: Sequence[Part],
    values: Sequence[str],
    axis: str,
    shade: Callable[[float], float] | None,
    own: float | None = None,
) -> Matrix:
    """A symmetric matrix with a layer a value.

    Args:
        names: rows and columns.
        pairs: `a`, `b`, the values and, as `x_ci`, their intervals.
        values: the names of the layers.
        axis: what the rows and columns are.
        shade: a value as a tint; None takes its share of the largest.
        own: the value on the diagonal, where pairs do not have it.
    """
    at = {frozenset((pair["a"], pair["b"])): pair for pair in pairs}
    grid = [[at.get(frozenset((a, b)), dict.fromkeys(values, own)) for b in names] for a in names]
    layers = []
    for name in values:
        known = [float(pair[name]) for pair in pairs if is_number(pair.get(name))]
        if not known:
            continue
        layers.append(_layer(name, grid, shade or partial(_share, most=max(known))))
    details = [[_details(pair, values) for pair in row] for row in grid]
    return Matrix(axis, axis, list(names), list(names), layers, details, [[a == b for b in names] for a in names])


def _details(pair: Part, values: Sequence[str]) -> list[tuple[str, str]]:
    shown = []
    for name in values:
        if name in pair:
            interval = pair.get(f"{name}_ci")
            shown.append((NAMES[name], number(pair[name]) + (f" ({cell(interval, '_ci')})" if interval else "")))
    return shown + [
        (words(key), cell(value, key)) for key, value in pair.items() if key.startswith("n_") or key in ("n", "enough")
    ]


def _share(value: float, most: float = 1.0) -> float:
    return max(0.0, value / most) if most > 0 else 0.0


def _above_chance(value: float) -> float:
    return 2 * value - 1


def _mapping(value: object) -> Part:
    return value if isinstance(value, Mapping) else {}
