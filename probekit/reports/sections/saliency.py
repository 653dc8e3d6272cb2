"""Saliency: where probes look, in pictures and against masks."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from probekit.reports.runs import Run
from probekit.reports.section import Headline, Section, sections
from probekit.reports.text import is_number, number

MANY = 8
"""Up to so many pairs are told one by one."""

Part = Mapping[str, Any]


@sections.add("saliency")
class SaliencySection(Section):
    """A gallery, and how well maps fit the masks."""

    order = 60
    template = "saliency"

    def title(self, run: Run) -> str:
        """The section's heading."""
        return "Saliency"

    def question(self, run: Run) -> str:
        """The question behind the maps."""
        return "Where do the probes look, and is that where the image was manipulated?"

    def answers(self, run: Run) -> list[str]:
        """Of each method and pair what its interval says, the centre prior being what any map must beat."""
        rows = [(run.subject(part), row) for part in run.parts for row in _rows(part)]
        if not rows:
            return ["No image that was looked at has a mask: there are pictures, but nothing to score them against."]
        if len(rows) > MANY:
            verdicts = Counter(str(row.get("verdict")) for _, row in rows)
            return [f"Of {len(rows)} pairs: " + ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items()) + "."]
        return [
            f"{subject}, {row['method']}, {row['train']} → {row['test']}: {_sentence(row)}" for subject, row in rows
        ]

    def headlines(self, run: Run) -> list[Headline]:
        """The mean over pairs, of each method: no pair is picked."""
        found = []
        for part in run.parts:
            known = [row for row in _rows(part) if row.get("ap") is not None and row.get("ap_centre") is not None]
            for method in dict.fromkeys(row["method"] for row in known):
                own = [row for row in known if row["method"] == method]
                ap, centre = (sum(float(row[name]) for row in own) / len(own) for name in ("ap", "ap_centre"))
                pairs = "1 pair" if len(own) == 1 else f"mean of {len(own)} pairs"
                name = f"Saliency, AP of {method}"
                found.append(Headline(run.subject(part), name, ap, f"{pairs}, centre prior {number(centre)}"))
        return found

    def context(self, run: Run) -> Mapping[str, Any]:
        """The localisation of each part; what each method means; sheets before single overlays."""
        parts: list[dict[str, Any]] = [
            {
                "subject": run.subject(part),
                "evaluation": part.get("evaluation"),
                "rows": [_shown(row) for row in _rows(part)],
                "methods": part.get("methods") if isinstance(part.get("methods"), Mapping) else {},
                "notes": part.get("notes") or [],
            }
            for part in run.parts
        ]
        sheets = [figure for figure in run.figures if figure.name.startswith("sheet-")]
        return {"parts": parts, "sheets": sheets, "others": [f for f in run.figures if f not in sheets]}


def _rows(part: Part) -> list[Part]:
    found = part.get("localisation")
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def _sentence(row: Part) -> str:
    gain, interval = row.get("ap_gain"), row.get("ap_gain_ci")
    between = f" [{_signed(interval[0])}, {_signed(interval[1])}]" if interval else ""
    counted = f"{number(row.get('n'))} images, {number(row.get('n_groups'))} groups"
    return (
        f"AP {number(row.get('ap'))} against {number(row.get('ap_centre'))} of the centre prior "
        f"({_signed(gain)}{between}; {counted}): {row.get('verdict')}."
    )


def _shown(row: Part) -> dict[str, Any]:
    """The columns of the table on the page."""
    interval = row.get("ap_gain_ci")
    between = f"\u00a0[{_signed(interval[0])},\u00a0{_signed(interval[1])}]" if interval else ""  # on one line
    return {
        "method": row.get("method"),
        "train": row.get("train"),
        "test": row.get("test"),
        "images": row.get("n"),
        "groups": row.get("n_groups"),
        "AP": row.get("ap"),
        "chance": row.get("ap_random"),
        "centre prior": row.get("ap_centre"),
        "gain over it": _signed(row.get("ap_gain")) + between,
        "IoU at .5": row.get("iou"),
        "pointing": row.get("pointing"),
    }


def _signed(value: object) -> str:
    return f"{value:+.3f}" if is_number(value) else "–"
