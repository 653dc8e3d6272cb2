"""`probekit study ls` and `check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output
from probekit_cli.study import shown

if TYPE_CHECKING:
    from probekit.studies import Checked, Protocol


def list_(as_json: options.AsJson = False) -> None:
    """List the studies that there are, with the parameters that --set changes.

    Example: probekit study ls
    """
    from probekit import studies
    from probekit.studies.library import folders

    every, problems = studies.sound()
    for problem in problems:
        output.remark(f"left out: {problem}")
    if as_json:
        output.print_json({"studies": [_described(one) for one in every]})
        return
    rows = [
        {
            "study": one.name,
            "asks": one.title,
            "steps": len(one.steps),
            "questions": len(one.questions),
            "published": len(one.published),
            "parameters": ", ".join(one.parameters),
        }
        for one in every
    ]
    shown.listing(rows, [folder for folder in folders() if folder.is_dir()])


def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Studies; all that know published numbers without.")
    ] = None,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Set published numbers beside those of the studies that were run here: paper, ours, difference.

    What was not run here is said, with the command that runs it.

    Example: probekit study check celebahq-local
    """
    from probekit import studies

    protocols = [studies.find(name) for name in names] if names else studies.sound()[0]
    found = {protocol.name: _checked(protocol, runs) for protocol in protocols if protocol.published or names}
    if as_json:
        from probekit.studies.report import published_json

        output.print_json({"studies": {name: [published_json(one) for one in every] for name, every in found.items()}})
        return
    for name, every in found.items():
        shown.checked([one for one in every if not one.reason])
        for one in every:
            output.remark(f"{name}: {studies.sentence(one)}")
        if not every:
            output.remark(f"{name}: no published numbers are known of it.")


def _checked(protocol: "Protocol", runs: Path) -> "list[Checked]":
    """Its published tables beside the last run of the study, on whichever manifest that was."""
    from probekit import records, studies

    done: dict[str, Path] = {}
    parameters = dict(protocol.parameters)
    lost = f"not run here: probekit study run {protocol.name}"
    folders = [folder for folder in records.finished(runs, ["study"])[0] if _of(folder) == protocol.name]
    reasons = {step.name: lost for step in protocol.steps}
    if folders:
        result = records.read(folders[-1])["result"]
        parameters |= {name: value for name, value in result["parameters"].items() if name in parameters}
        place = folders[-1].parents[1]  # wherever the study's folder has been moved to
        done = {step["name"]: place / step["name"] / Path(step["run"]).name for step in result["steps"] if step["run"]}
        reasons |= {step["name"]: " ".join(step["reasons"]) for step in result["steps"] if not step["run"]}
    return studies.check(protocol, parameters, done, reasons)


def _of(folder: Path) -> str:
    from probekit import records

    return str(records.read(folder).get("result", {}).get("study"))


def _described(one: "Protocol") -> dict[str, object]:
    return {
        "name": one.name,
        "title": one.title,
        "about": one.about,
        "source": one.source,
        "file": str(one.path),
        "parameters": {name: {"default": value, "help": one.helps[name]} for name, value in one.parameters.items()},
        "steps": [{"name": step.name, "title": step.title, "run": step.run} for step in one.steps],
        "questions": [{"name": question.name, "asks": question.asks} for question in one.questions],
        "published": [published.title for published in one.published],
    }
