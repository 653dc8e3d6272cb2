"""What `probekit study` prints."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit_cli import output, tables

if TYPE_CHECKING:
    import pandas as pd

    from probekit.studies import Checked, Estimate, Plan, PlannedStep, StudyResult

    Announce = Callable[[int, PlannedStep, str], None]

LOOKS = {"yes": "green", "no": "red", "undecided": "yellow", "not testable here": "dim"}


def step(number: int, count: int, planned: "PlannedStep", why_not: str) -> None:
    """The heading of a step: its question and its command, or why it is not run."""
    from rich.text import Text

    console = output.stderr()
    console.print()
    console.print(Text(f"# {number}/{count} {planned.step.title}", style="bold"), soft_wrap=True)
    if why_not:
        console.print(Text(output.printable(f"  {why_not}"), style="yellow"), soft_wrap=True)
    else:
        console.print(Text(f"$ {planned.command}", style="cyan"), soft_wrap=True)


def plan(found: "Plan", estimates: "Sequence[Estimate]") -> None:
    """What would be done, what is missing for the rest, and what it would take."""
    import pandas as pd

    by_step = {one.step: one for one in estimates}
    rows = []
    for number, planned in enumerate(found.steps, start=1):
        one = by_step.get(planned.step.name)
        rows.append(
            {
                "": number,
                "step": planned.step.name,
                "asks": planned.step.title,
                "time": "left out" if planned.missing else _time(one),
                "disk": _size(one.bytes if one and not one.nothing_to_do else None),
            }
        )
    manifest = found.manifest
    title = f"{found.protocol.title} · {manifest.name}, {output.count(len(manifest.table), 'image')}"
    tables.print_table(pd.DataFrame(rows), title=title, whole=("step",))
    seconds = [one.seconds for one in estimates if one.seconds is not None]
    known = (
        f"together: {_spell(sum(seconds))} for the {len(seconds)} of {len(found.steps)} steps whose time is known, "
        f"{_size(sum(one.bytes or 0 for one in estimates)) or '0 B'} of features"
    )
    output.remark(f"{known if estimates else 'no step can be done'}; nothing was done")
    for one in estimates:
        if one.seconds is not None:
            output.remark(f"{one.step}: by {one.by}")
    for line, steps in found.missing.items():
        output.remark(f"missing ({', '.join(steps)}): {line}")
    for planned in found.steps:
        output.remark(f"{'# left out:' if planned.missing else '$'} {planned.command}")


def plan_json(found: "Plan", estimates: "Sequence[Estimate]") -> dict[str, Any]:
    """The same as one object."""
    by_step = {one.step: one for one in estimates}
    steps = []
    for planned in found.steps:
        one = by_step.get(planned.step.name)
        steps.append(
            {
                "name": planned.step.name,
                "title": planned.step.title,
                "command": planned.command,
                "missing": list(planned.missing),
                "seconds": one.seconds if one else None,
                "bytes": one.bytes if one else None,
                "estimated_by": one.by if one else None,
            }
        )
    return {
        "study": found.protocol.name,
        "manifest": found.manifest.name,
        "parameters": dict(found.parameters),
        "steps": steps,
        "missing": found.missing,
    }


def result(found: "StudyResult") -> None:
    """The answers with their numbers, and what could not be done."""
    import pandas as pd

    output.blank_line()
    if found.verdicts:
        rows = [
            {"question": one.question, "asks": one.asks, "of": one.of, "answer": one.verdict} for one in found.verdicts
        ]
        frame = pd.DataFrame(rows)
        if not frame["of"].any():
            frame = frame.drop(columns="of")
        tables.print_table(frame, title=f"{found.plan.protocol.title}: answers", styles=_look)
        for verdict in found.verdicts:
            of = f" ({verdict.of})" if verdict.of else ""
            for claim in verdict.claims:
                output.remark(f"{verdict.question}{of}: {claim.sentence}")
    checked([one for one in found.checked if not one.reason])
    for line in found.notes():
        output.remark(line)


def checked(found: "Sequence[Checked]") -> None:
    """Each published table: paper, ours, difference."""
    for one in found:
        output.blank_line()
        tables.print_table(_side_by_side(one), title=f"{one.published.title} · {one.published.metric}")
        note = f"; {one.published.note}" if one.published.note else ""
        changed = f"; ours with {', '.join(one.changed)}" if one.changed else ""
        output.remark(f"published in: {one.published.source}{note}{changed}")


def _side_by_side(one: "Checked") -> "pd.DataFrame":
    table = one.table().drop(columns=["title", "metric"])
    if "row" in table:
        table = table.drop(columns="row")
    names = {"train": "trained on", "test": "tested on"}
    table["difference"] = ["" if math.isnan(value) else f"{value:+.3f}" for value in table["difference"]]
    return table.rename(columns=names)


def listing(rows: Sequence[Mapping[str, object]], folders: Sequence[Path]) -> None:
    """The studies that there are."""
    import pandas as pd

    tables.print_table(
        pd.DataFrame(rows), title="Studies: probekit study run NAME", whole=("study", "asks", "parameters")
    )
    output.remark(f"TOML files in {', '.join(map(str, folders))}: copy one and change it")


def _look(column: str, value: object) -> str:
    return LOOKS.get(str(value), "") if column == "answer" else ""


def _time(one: "Estimate | None") -> str:
    if one is None or one.seconds is None:
        return "?"
    return "done" if one.nothing_to_do else _spell(one.seconds)


def _spell(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _size(number: int | None) -> str:
    from probekit.files import spell_size

    return "" if number is None else spell_size(number)
