"""Probes: train/test matrices for binary tasks, recall and confusion for attribution."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.matrices import (
    Matrix,
    confusion_matrix,
    metrics_of,
    pair_matrix,
    selection_lines,
    spread,
)
from probekit.reports.runs import Run
from probekit.reports.section import Headline, Section, sections
from probekit.reports.text import is_number, number, words

Part = Mapping[str, Any]

DRAWN = ("shots-", "robustness-", "gain-", "layers-", "threshold-transfer-")
"""Pictures of what no matrix of the page shows, and that are few."""


@sections.add("probe")
class ProbeSection(Section):
    """One matrix per model for pairs, one recall list and confusion per model for attribution."""

    order = 30
    template = "probe"

    def title(self, run: Run) -> str:
        """By what was asked: pairs, a task of attribution, or both."""
        match bool(_matrices(run)), bool(_with_classes(run)):
            case True, False:
                return "Train/test matrices"
            case False, True:
                tasks = {str(part.get("task") or "attribution") for part in _with_classes(run)}
                return tasks.pop().capitalize() if len(tasks) == 1 else "Attribution"
            case _:
                return "Probes"

    def question(self, run: Run) -> str:
        """The question behind the task."""
        asked = []
        if _matrices(run):
            asked.append("Does a probe trained on one generator’s images find another’s?")
        if _with_classes(run):
            asked.append("Which generator made an image, if any?")
        return " ".join(asked) or "What a linear probe reads from the features."

    def answers(self, run: Run) -> list[str]:
        """Same generator, other generators and the worst pair; balanced accuracy and the weakest class."""
        return [
            sentence
            for part in run.parts
            for sentence in (_pairs_sentence(run, part), _classes_sentence(run, part))
            if sentence
        ]

    def headlines(self, run: Run) -> list[Headline]:
        """Median AUC on the diagonal and off it; balanced accuracy of the attribution."""
        found = []
        for part in _matrices(run):
            auc, subject = spread(part["pairs"]), _subject(run, part)
            found.append(Headline(subject, "AUC, same generator", auc.same_median, "median over pairs"))
            found.append(Headline(subject, "AUC, other generators", auc.across_median, "median over pairs"))
        for part in _with_classes(run):
            chance = f"{len(part['classes'])} classes, chance {number(1 / len(part['classes']))}"
            name = f"{str(part.get('task') or 'attribution').capitalize()}, balanced accuracy"
            found.append(Headline(_subject(run, part), name, part.get("balanced_acc"), chance))
        return found

    def context(self, run: Run) -> Mapping[str, Any]:
        """Matrices ready to draw."""
        with_pairs = _with_pairs(run)
        return {
            "selection_lines": selection_lines,
            "pairs": [
                (part, _subject(run, part), pair_matrix(part["pairs"], part.get("selection"))) for part in with_pairs
            ],
            "metrics": [
                (name, words(name)) for name in metrics_of([pair for part in with_pairs for pair in part["pairs"]])
            ],
            "drawn": [figure for figure in run.figures if figure.name.startswith(DRAWN)],
            "for_papers": [figure for figure in run.figures if not figure.name.startswith(DRAWN)],
            "attributions": [(part, _subject(run, part), _confusion(part)) for part in _with_classes(run)],
        }


def _with_pairs(run: Run) -> list[Part]:
    return [part for part in run.parts if isinstance(part.get("pairs"), list) and part["pairs"]]


def _matrices(run: Run) -> list[Part]:
    """Those that ask for pairs and not, first of all, which generator it was."""
    return [part for part in _with_pairs(run) if not part.get("classes")]


def _subject(run: Run, part: Part) -> str:
    """Features, ensemble, shots and domains of an answer, after a warning where it was chosen on test samples."""
    selection, shots = part.get("selection"), part.get("shots")
    stamp = "ORACLE · " if isinstance(selection, Mapping) and selection.get("oracle") is True else ""
    words = [run.subject(part), part.get("ensemble"), f"shots {shots}" if shots else None]
    words += [f"{part['train_domain']} → {part.get('test_domain')}" if part.get("train_domain") else None]
    return stamp + ", ".join(str(word) for word in words if word)


def _with_classes(run: Run) -> list[Part]:
    return [part for part in run.parts if isinstance(part.get("classes"), list) and part["classes"]]


def _confusion(part: Part) -> Matrix | None:
    counts = part.get("confusion")
    return confusion_matrix(part["classes"], part["classes"], counts) if counts else None


def _pairs_sentence(run: Run, part: Part) -> str:
    if part.get("classes"):
        return ""
    auc = spread(part.get("pairs") or [])
    if not auc.same and not auc.across:
        return ""
    same = f"AUC {_range(auc.same)} on the generator it was trained on" if auc.same else ""
    across = f"{'' if same else 'AUC '}{_range(auc.across)} on others" if auc.across else ""
    worst = (
        f" (lowest: {auc.worst.get('train')} → {auc.worst.get('test')})" if auc.worst and len(auc.across) > 1 else ""
    )
    return f"{_subject(run, part)}: {', '.join(text for text in (same, across) if text)}{worst}."


def _classes_sentence(run: Run, part: Part) -> str:
    if not is_number(part.get("balanced_acc")) and not is_number(part.get("acc")):
        return ""
    classes = part.get("classes") or []
    chance = f" over {len(classes)} classes (chance {number(1 / len(classes))})" if classes else ""
    recalls = [row for row in part.get("per_class") or [] if is_number(row.get("recall"))]
    weakest = min(recalls, key=lambda row: float(row["recall"]), default=None)
    ending = f"; hardest class {weakest.get('class')}, recall {number(weakest['recall'])}" if weakest else ""
    return f"{_subject(run, part)}: balanced accuracy {number(part.get('balanced_acc'))}{chance}{ending}."


def _range(values: list[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low}–{high}"
