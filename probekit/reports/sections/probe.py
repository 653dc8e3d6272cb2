"""Probes: train/test matrices for binary tasks, recall and confusion for attribution."""

from collections.abc import Mapping, Sequence
from typing import Any

from probekit.reports import probed
from probekit.reports.matrices import metrics_of, pair_matrix, selection_lines, spread
from probekit.reports.probed import Part
from probekit.reports.rows import Rows, pivot
from probekit.reports.runs import Run
from probekit.reports.section import Alert, Headline, Section, sections
from probekit.reports.text import number, words
from probekit.reports.topics import Topic, told, untold

MOST_SENTENCES = 4
"""Answers that are told one by one; more are told by their extremes."""

TOPICS = (
    Topic(
        "By layer",
        "The mean over test generators at every tap. Which tap is best was seen on test samples here: choose one with "
        "--choose-features, on training samples.",
        ("layers-",),
        leads=True,
    ),
    Topic(
        "By training images",
        "AUC by the number of training images of each generator; means over draws, ± one standard deviation.",
        ("shots-",),
        ("shots",),
        leads=True,
    ),
    Topic(
        "Ensembles",
        "What is gained over the best single kind of features, which was chosen on training samples, with the 95 % "
        "interval of the difference under the same draws.",
        ("gain-",),
        ("gains",),
        leads=True,
    ),
    Topic(
        "Under perturbation",
        "The probes were trained on clean images; the perturbed ones are those of the test. A drop is against clean.",
        ("robustness-",),
        folded=("robustness",),
    ),
    Topic(
        "Thresholds from elsewhere",
        "Balanced accuracy lost when the threshold is set on the row's generator and used on the column's, against "
        "the best threshold there is, which nobody knows beforehand.",
        ("threshold-transfer-",),
        folded=("threshold_transfer",),
    ),
    Topic(
        "Calibration",
        "A reliability curve on the diagonal means that of images called fake with probability p, a share p is fake.",
        ("reliability-",),
    ),
    Topic("ROC and DET curves", "", ("roc-", "det-"), open_figures=False),
)


@sections.add("probe")
class ProbeSection(Section):
    """One matrix per model for pairs, one recall list and confusion per model for attribution."""

    order = 30
    template = "probe"
    topics: tuple[Topic, ...] = TOPICS

    def title(self, run: Run) -> str:
        """By what was asked: pairs, a task of attribution, or both."""
        match bool(probed.matrices(run)), bool(probed.with_classes(run)):
            case True, False:
                return f"Train/test matrices{probed.kind(run)}"
            case False, True:
                tasks = {str(part.get("task") or "attribution") for part in probed.with_classes(run)}
                return tasks.pop().capitalize() if len(tasks) == 1 else "Attribution"
            case _:
                return "Probes"

    def question(self, run: Run) -> str:
        """The question behind the task."""
        asked = []
        if probed.matrices(run):
            asked.append("Does a probe trained on one generator’s images find another’s?")
        if probed.with_classes(run):
            asked.append("Which generator made an image, if any?")
        return " ".join(asked) or "What a linear probe reads from the features."

    def answers(self, run: Run) -> list[str]:
        """Same generator, other generators, best and worst pair; balanced accuracy and the weakest class; gains."""
        parts = probed.matrices(run)
        told_apart = [probed.pairs_sentence(run, part) for part in parts]
        pairs = told_apart if len(parts) <= MOST_SENTENCES else [probed.extremes(run, parts)]
        classes = [probed.classes_sentence(run, part) for part in run.parts]
        return [sentence for sentence in (*pairs, *classes, *probed.further(run)) if sentence]

    def headlines(self, run: Run) -> list[Headline]:
        """Median AUC on the diagonal and off it; balanced accuracy of the attribution."""
        found = []
        for part in probed.matrices(run):
            auc, subject = spread(part["pairs"]), probed.subject(run, part)
            found.append(Headline(subject, "AUC, same generator", auc.same_median, "median over pairs"))
            found.append(Headline(subject, "AUC, other generators", auc.across_median, "median over pairs"))
        for part in probed.with_classes(run):
            chance = f"{len(part['classes'])} classes, chance {number(1 / len(part['classes']))}"
            name = f"{str(part.get('task') or 'attribution').capitalize()}, balanced accuracy"
            found.append(Headline(probed.subject(run, part), name, part.get("balanced_acc"), chance))
        return found

    def alerts(self, run: Run) -> list[Alert]:
        """Oracle choices, leaks, probes that did not converge, numbers below chance or without an interval."""
        return probed.alerts(run)

    def context(self, run: Run) -> Mapping[str, Any]:
        """Matrices ready to draw, and every other table and figure under its topic."""
        with_pairs, plain = probed.with_pairs(run), probed.matrices(run)
        found = told(run, self.topics)
        figures, tables = untold(run, found)
        return {
            "selection_lines": selection_lines,
            "pairs": [_matrix(run, part) for part in with_pairs],
            "glance": [probed.glance(run, part) for part in plain] if len(plain) > 1 else [],
            "pivots": {"shots": _by_shots(run)},
            "metrics": [
                (name, words(name)) for name in metrics_of([pair for part in with_pairs for pair in part["pairs"]])
            ],
            "perturbed": [entry for part in run.parts for entry in _perturbed(run, part)],
            "attributions": [
                (part, probed.subject(run, part), probed.confusion(part)) for part in probed.with_classes(run)
            ],
            "topics": found,
            "for_papers": figures,
            "tables": tables,
        }


def _matrix(run: Run, part: Part) -> tuple[Part, str, Any]:
    subject = probed.subject(run, part)
    return part, subject, pair_matrix(part["pairs"], part.get("selection"), run.subject(part))


def _by_shots(run: Run) -> Rows | None:
    """AUC of each pair by the number of training images."""
    table = run.tables.get("shots")
    if table is None or not {"train", "test", "shots", "auc"} <= set(table.columns):
        return None
    several = [name for name in ("model", "tap") if name in table and table[name].nunique() > 1]
    return pivot(table, [*several, "train", "test"], "shots", "auc", "auc_sd", axis="images: ")


def _perturbed(run: Run, part: Part) -> list[tuple[str, Any]]:
    """A matrix for each training set: tested generators down, perturbations across."""
    rows: Sequence[Mapping[str, Any]] = part.get("robustness") or []
    sides, axes = ("test", "perturb"), ("Tested on", "Perturbation")
    return [
        (
            f"{probed.subject(run, part)}, trained on clean {train}",
            pair_matrix([row for row in rows if row.get("train") == train], part.get("selection"), "", sides, axes),
        )
        for train in dict.fromkeys(row.get("train") for row in rows)
    ]
