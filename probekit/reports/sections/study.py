"""Studies: the answers to their questions, what could not be done, and published numbers beside ours."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from probekit.reports.matrices import Layer, Matrix
from probekit.reports.runs import Run
from probekit.reports.section import Alert, Section, sections
from probekit.reports.text import count, is_number, number

Part = Mapping[str, Any]

ORDER = ("yes", "no", "undecided", "not testable here")


@sections.add("study")
class StudySection(Section):
    """Verdicts first: the runs that they rest on follow as chapters of their own."""

    order = 1
    template = "study"

    def title(self, run: Run) -> str:
        """`Answers`; the page has the study's own title."""
        return "Answers"

    def question(self, run: Run) -> str:
        """What the study is about."""
        return str(run.result.get("about") or "")

    def answers(self, run: Run) -> list[str]:
        """How many questions were answered how, and how far published numbers are away."""
        questions = _list(run.result.get("questions"))
        given = [str(question.get("answer")) for question in questions]
        counted = [f"{given.count(answer)} {answer}" for answer in ORDER if answer in given]
        said = [f"Of {count(len(given), 'question')}: {', '.join(counted)}."] if given else []
        for one in _list(run.result.get("published")):
            if is_number(one.get("mean_difference")):
                said.append(f"{one['title']}: mean |ours − published| {number(one['mean_difference'])}.")
        return said

    def alerts(self, run: Run) -> list[Alert]:
        """What could only be done in part."""
        steps = _list(run.result.get("steps"))
        lost = [step for step in steps if not step.get("run")]
        if not lost:
            return []
        names = ", ".join(str(step.get("name")) for step in lost)
        sentence = f"{count(len(lost), 'step')} of {len(steps)} could not be done ({names}): the study is not complete."
        return [Alert("caution", sentence, "steps")]

    def context(self, run: Run) -> Mapping[str, Any]:
        """Questions with their claims, steps, and a matrix for each published table that ours can be set beside."""
        published = _list(run.result.get("published"))
        return {
            "questions": _list(run.result.get("questions")),
            "steps": _list(run.result.get("steps")),
            "matrices": [(one, _matrix(one)) for one in published if is_number(one.get("mean_difference"))],
            "not_compared": [one for one in published if not is_number(one.get("mean_difference"))],
            "tables": ("verdicts", "steps", "published"),
        }


def _matrix(one: Part) -> Matrix:
    """Ours, the published numbers and the difference, one layer each."""
    rows, columns = list(one["rows"]) or [""], list(one["columns"])
    grids: dict[str, tuple[str, Any, Callable[[float], float]]] = {
        "ours": ("Ours", one["ours"], _above_chance),
        "published": ("Published", one["published"], _above_chance),
        "difference": ("Ours − published", one["difference"], _bounded),
    }
    layers = [
        Layer(
            name,
            label,
            [[number(value) if is_number(value) else "–" for value in row] for row in grid],
            [[shade(value) if is_number(value) else None for value in row] for row in grid],
        )
        for name, (label, grid, shade) in grids.items()
    ]
    details = [
        [[(label, number(grid[i][j])) for label, grid, _ in grids.values()] for j in range(len(columns))]
        for i in range(len(rows))
    ]
    ringed = [[row == column for column in columns] for row in rows]
    return Matrix(str(one["down"]), str(one["across"]), rows, columns, layers, details, ringed)


def _above_chance(value: float) -> float:
    return _bounded(2 * value - 1)


def _bounded(value: float) -> float:
    return min(1.0, max(-1.0, value))


def _list(value: object) -> Sequence[Part]:
    return value if isinstance(value, list) else []
