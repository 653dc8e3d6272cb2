"""Blacklists: what was registered, at which threshold, and which images it names."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.runs import Run
from probekit.reports.section import Alert, Section, sections
from probekit.reports.text import count, is_number, listing, number

UNKNOWN = "unknown"
"""What an image is called that is of no registered generator."""


class BlacklistSection(Section):
    """What its commands have in common."""

    order = 45
    template = "blacklist"

    def context(self, run: Run) -> Mapping[str, Any]:
        """Pools of a calibration and answers of a search."""
        result = run.result
        return {
            "pools": result.get("pools") or [],
            "answers": [{"answer": name, "images": n} for name, n in _counts(run).items()],
            "calibration": result.get("calibration") or {},
        }

    def alerts(self, run: Run) -> list[Alert]:
        """Images that could not be read."""
        lost = len(run.failed)
        return [Alert("caution", f"{count(lost, 'image')} could not be searched or registered.")] if lost else []


@sections.add("blacklist-register")
class RegisterSection(BlacklistSection):
    """Examples that were added."""

    order = 44

    def title(self, run: Run) -> str:
        """`Registration`, of what."""
        return f"Registration of {run.result.get('generator', 'a generator')}"

    def question(self, run: Run) -> str:
        """Into which blacklist."""
        return f"Examples for the blacklist {run.result.get('blacklist', '')}; nothing is trained."

    def answers(self, run: Run) -> list[str]:
        """How many were added, and how many there are."""
        result = run.result
        if not is_number(result.get("added")):
            return []
        there = f", {number(result['present'])} were there already" if result.get("present") else ""
        now = f"; it has {number(result.get('examples'))} now" if is_number(result.get("examples")) else ""
        return [f"{count(int(result['added']), 'example')} of {result.get('generator')} added{there}{now}."]


@sections.add("blacklist-calibrate")
class CalibrateSection(BlacklistSection):
    """The threshold for a wanted share of false names."""

    def title(self, run: Run) -> str:
        """`Blacklist threshold`."""
        return "Blacklist threshold"

    def question(self, run: Run) -> str:
        """The wanted FPIR."""
        wanted = number(run.result.get("fpir"))
        return f"From which similarity is only a share of {wanted} of images from unregistered generators named?"

    def answers(self, run: Run) -> list[str]:
        """The threshold and the pool that set it, or that there are too few searches."""
        found = run.result.get("calibration")
        if isinstance(found, Mapping):
            return [
                f"Threshold {number(found.get('threshold'), 5)}, set by the pool {found.get('pool')}, against "
                f"{number(found.get('examples'))} examples of {listing(list(map(str, found.get('generators') or [])))}."
            ]
        needed = run.result.get("searches_needed")
        return [f"Unresolvable: each pool that sets it needs {number(needed)} searches. No threshold was set."]

    def alerts(self, run: Run) -> list[Alert]:
        """No threshold was set."""
        unresolved = run.result.get("status") == "unresolvable"
        said = f"No threshold for FPIR {number(run.result.get('fpir'))} could be set: there are too few searches."
        return [*super().alerts(run), *([Alert("caution", said)] if unresolved else [])]


@sections.add("blacklist-match")
class MatchSection(BlacklistSection):
    """The generator of each image, or `unknown`."""

    order = 46

    def title(self, run: Run) -> str:
        """`Blacklist search`."""
        return "Blacklist search"

    def question(self, run: Run) -> str:
        """Of which blacklist."""
        return f"Which generator on the blacklist {run.result.get('blacklist', '')} made each image, if any?"

    def answers(self, run: Run) -> list[str]:
        """How many images got which name, and at which threshold."""
        counts = _counts(run)
        named = {name: n for name, n in counts.items() if name not in (UNKNOWN, "None")}
        total = sum(counts.values())
        threshold, fpir = run.result.get("threshold"), run.result.get("expected_fpir")
        if threshold is None:
            return [f"{count(total, 'image')} searched; no threshold was set, so none is named."]
        said = listing([f"{n:,} as {name}" for name, n in named.items()]) or "none"
        at = f"threshold {number(threshold, 5)}, expected FPIR {'not known' if fpir is None else number(fpir)}"
        return [f"{count(total, 'image')}: named {said}; {number(counts.get(UNKNOWN, 0))} unknown ({at})."]

    def alerts(self, run: Run) -> list[Alert]:
        """A threshold that no longer fits the examples, or a search that may miss some."""
        found = super().alerts(run)
        if run.result.get("stale"):
            said = "The blacklist was changed after its threshold was set: its FPIR is not known now."
            found.append(Alert("caution", said))
        if is_number(recall := run.result.get("recall")) and recall < 1:
            found.append(Alert("caution", f"The index misses examples: recall@10 is {number(recall)} on a sample."))
        return found


def _counts(run: Run) -> dict[str, int]:
    """Images by answer, the most frequent first."""
    counts = run.result.get("counts")
    found = {str(name): int(n) for name, n in counts.items()} if isinstance(counts, Mapping) else {}
    return dict(sorted(found.items(), key=lambda item: (item[0] == UNKNOWN, -item[1])))
