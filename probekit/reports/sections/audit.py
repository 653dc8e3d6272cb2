"""Audits: can the numbers of this data set be believed? What says no stands at the top of the page."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Literal

from probekit.audit import VERDICTS
from probekit.reports.matrices import pair_matrix
from probekit.reports.runs import Run
from probekit.reports.section import Alert, Headline, Section, sections
from probekit.reports.text import is_number, number

Part = Mapping[str, Any]

PROPERTIES, ALL = "file properties", "all"
SEVERITIES: dict[str, Literal["serious", "caution"]] = {"bad": "serious", "warn": "caution"}


@sections.add("audit")
class AuditSection(Section):
    """The findings, worst first, and what file properties alone score beside the models."""

    order = 25
    template = "audit"

    def title(self, run: Run) -> str:
        """`Audit`."""
        return "Audit"

    def question(self, run: Run) -> str:
        """The question behind the findings."""
        return "Can the numbers of this data set be believed?"

    def answers(self, run: Run) -> list[str]:
        """The verdict; the findings that made it stand among the alerts."""
        return [VERDICTS[verdict]] if (verdict := _verdict(run)) in VERDICTS else []

    def alerts(self, run: Run) -> list[Alert]:
        """The findings that are not good, before every number that they put in doubt."""
        return [
            Alert(SEVERITIES[part["severity"]], str(part.get("sentence")))
            for part in _findings(run)
            if part.get("severity") in SEVERITIES
        ]

    def headlines(self, run: Run) -> list[Headline]:
        """What file properties alone score, under the names that the numbers of probes have."""
        found = []
        for part in run.parts:
            shortcuts = part.get("shortcuts") or {}
            own = [
                pair["auc"]
                for pair in _of(shortcuts.get("pairs"), PROPERTIES)
                if pair.get("train") == pair.get("test") and is_number(pair.get("auc"))
            ]
            if own:
                note = "median over pairs"
                found.append(Headline("File properties alone", "AUC, same generator", median(own), note))
            for row in _of(shortcuts.get("attribution"), PROPERTIES):
                note = f"{row.get('n_classes')} classes, chance {number(row.get('chance'))}"
                name = "Attribution, balanced accuracy"
                found.append(Headline("File properties alone", name, row.get("balanced_acc"), note))
        return found

    def context(self, run: Run) -> Mapping[str, Any]:
        """Findings, a matrix for the file properties and for each kind of features, and the tables behind them."""
        parts = []
        for part in run.parts:
            shortcuts = part.get("shortcuts") or {}
            pairs = shortcuts.get("pairs") or []
            each = dict.fromkeys((str(pair.get("by")), str(pair.get("over"))) for pair in pairs)
            names = [(by, over) for by, over in each if over == ALL or _aucs(pairs, by, over) != _aucs(pairs, by, ALL)]
            matrices = [(by, over, pair_matrix(_of(pairs, by, over))) for by, over in names]
            parts.append((part, shortcuts, matrices))
        pictures = [figure for figure in run.figures if figure.name.startswith(("pairs-", "shortcuts", "label-noise"))]
        return {
            "parts": parts,
            "verdict": VERDICTS.get(_verdict(run), ""),
            "pictures": pictures,
            "others": [figure for figure in run.figures if figure not in pictures],
        }


def _aucs(pairs: Sequence[Part], by: str, over: str) -> dict[tuple[object, object], object]:
    """Train and test → AUC; the same over matched samples as over all of them where none was left out."""
    return {(pair.get("train"), pair.get("test")): pair.get("auc") for pair in _of(pairs, by, over)}


def _verdict(run: Run) -> str:
    """The worst of all parts."""
    found = {str(part.get("verdict")) for part in run.parts}
    return next((name for name in VERDICTS if name in found), "")


def _findings(run: Run) -> list[Part]:
    return [finding for part in run.parts for finding in part.get("findings") or []]


def _of(rows: object, by: str, over: str = "all") -> list[Part]:
    """Those rows that are by this hand, over these samples."""
    found = rows if isinstance(rows, list) else []
    return [row for row in found if row.get("by") == by and row.get("over") == over]
