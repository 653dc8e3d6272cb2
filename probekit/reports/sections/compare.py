"""Comparisons: CKA between features, separability of generators, and distances between them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from probekit.comparison.verdicts import short_names
from probekit.reports.matrices import Layer, Matrix
from probekit.reports.runs import Run
from probekit.reports.section import Headline, Section, sections
from probekit.reports.text import cell, count, is_number, is_unknown, number, words

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
        """The pairs at both ends, as the command said them; of several taps of a model the range over them."""
        said = [f"Linear CKA, {line}" for line in _mapping(run.result.get("cka")).get("verdicts") or []]
        for name, parts in _by_model(run.parts).items():
            if len(parts) > 1:
                said += _over_depth(name, parts)
                continue
            for measure, heading in (("separability", "separability"), ("distance", "distances")):
                lines = _mapping(parts[0].get(measure)).get("verdicts") or []
                said += [f"{run.subject(parts[0])}, {heading}: {line}" for line in lines]
        return said

    def headlines(self, run: Run) -> list[Headline]:
        """The lowest AUC of two generators in each kind of features, or over all taps of a model."""
        found = []
        for model, parts in _by_model(run.parts).items():
            least = _extremes(parts, "separability", "auc", min)
            if least:
                subject, note = run.subject(parts[0]), "lowest of all pairs"
                if len(parts) > 1:
                    subject, note = f"{model}, {count(len(parts), 'tap')}", "lowest of all pairs and taps"
                found.append(Headline(subject, "AUC, hardest pair of generators", min(least.values()), note))
        return found

    def context(self, run: Run) -> Mapping[str, Any]:
        """Matrices ready to draw, and what the reader should know of them."""
        cka = _mapping(run.result.get("cka"))
        matrices = [_alike(cka)] if cka else []
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


def _over_depth(name: str, parts: Sequence[Part]) -> list[str]:
    """How the hardest and the farthest pair do over the taps of a model."""
    said = []
    hardest, farthest = _extremes(parts, "separability", "auc", min), _extremes(parts, "distance", "mmd", max)
    for heading, found in (
        ("hardest pair of generators, AUC", hardest),
        ("farthest pair of generators, MMD²", farthest),
    ):
        if found:
            low, high = (pick(found, key=found.__getitem__) for pick in (min, max))
            ends = f"{number(found[low])} ({low}) to {number(found[high])} ({high})"
            said.append(f"{name}, over {count(len(found), 'tap')}: {heading} {ends}.")
    return said


def _extremes(
    parts: Sequence[Part], measure: str, value: str, pick: Callable[[Sequence[float]], float]
) -> dict[str, float]:
    """Tap → the least or greatest value of its pairs of two generators; taps without any are left out."""
    found = {}
    for part in parts:
        pairs = _mapping(part.get(measure)).get("pairs") or []
        known = [float(pair[value]) for pair in pairs if pair["a"] != pair["b"] and is_number(pair.get(value))]
        if known:
            found[str(part.get("tap"))] = pick(known)
    return found


def _alike(cka: Part) -> tuple[str, Matrix]:
    short, axis = short_names(cka["names"])
    pairs = [{**pair, "a": short[pair["a"]], "b": short[pair["b"]]} for pair in cka["pairs"]]
    title = f"Linear CKA · {number(cka['n'])} images of {number(cka['n_groups'])} groups"
    return title, _matrix(list(short.values()), pairs, ("cka", "cka_biased"), axis, _share, own=1.0)


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
