"""`probekit study run`."""

import contextlib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit.paths import AnyPath
from probekit_cli import commands, engines, options, output
from probekit_cli.study import shown

if TYPE_CHECKING:
    from probekit.manifest import Manifest
    from probekit.studies import Estimate, Place, Plan, PlannedStep, Protocol, StudyResult

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE.toml",
        help="A study that `probekit study ls` lists, or a file.",
        callback=options.on_a_disk("studies"),
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a parameter of the study: --set models=clip,dinov2."),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="MODEL=FILE",
        help="Local checkpoint of a model, in place of a hub's.",
        callback=options.on_a_disk("checkpoints"),
    ),
]


def run(
    name: Name,
    given: Given = None,
    manifest: options.Manifest = None,
    weights: Weights = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan with what it lacks, its time and disk, and do nothing.")
    ] = False,
    seed: options.Seed = 0,
    bootstrap: options.Bootstrap = 1000,
    engine: engines.Engine = "local",
    address: engines.Address = None,
    workers_per_node: engines.WorkersPerNode = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Ask all questions of a study and write its report; running it again does only what is missing.

    Steps whose data, models or weights are not there are left out, and the report says so.

    Example: probekit study run demo
    """
    from probekit import studies
    from probekit.errors import UsageError

    protocol = studies.find(name)
    where = engines.words(engine, address, workers_per_node)
    place, found = _place(
        protocol, manifest, weights or [], cache, runs, as_json, seed=seed, bootstrap=bootstrap, make=not dry_run
    )
    place = replace(place, engine=where)
    plan = studies.plan(protocol, _pairs("--set", given or []), found, place)
    if dry_run:
        estimates = _estimates(plan, runs)
        output.print_json(shown.plan_json(plan, estimates)) if as_json else shown.plan(plan, estimates)
        if plan.missing:
            raise typer.Exit(1)
        return
    for line, steps in plan.missing.items():
        output.remark(f"missing ({', '.join(steps)}): {line}")
    if all(step.missing for step in plan.steps):
        raise UsageError(
            f"study {protocol.name}: none of its {len(plan.steps)} steps can be done; see what is missing."
        )
    result, folder = _run(plan, as_json)
    page = _report(result, folder)
    if as_json:
        output.print_json(result.to_json() | {"run": str(folder), "report": str(page)})
    else:
        shown.result(result)
        output.remark(f"report: {page}")
    if not result.complete:
        raise typer.Exit(1)


def _estimates(plan: "Plan", runs: Path) -> "list[Estimate]":
    """What its steps will take; none, and no progress of it, where no step can be done."""
    from probekit import studies

    if all(step.missing for step in plan.steps):
        return []
    with output.progress("timing the steps") as show:
        return studies.estimate(plan, runs, show)


def _run(plan: "Plan", as_json: bool) -> "tuple[StudyResult, Path]":
    """Its steps, one after the other, its answers, and the record of both."""
    from probekit import records, studies
    from probekit_cli.questions import describe_manifest

    seed, bootstrap = plan.place.seed, plan.place.bootstrap
    identity = {"study": plan.identity, "seed": seed, "bootstrap": bootstrap}
    with records.start("study", identity, runs=plan.place.runs / "study") as record:
        console = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
        with console:
            outcomes = studies.run_steps(plan, commands.execute, _announce(len(plan.steps)))
        done = {one.name: one.run for one in outcomes if one.run is not None}
        lost = {one.name: " ".join(one.reasons) for one in outcomes if one.run is None}
        with output.progress("answering", told=False):
            verdicts = studies.answer(plan.protocol, plan.parameters, done, lost, replicates=bootstrap, seed=seed)
        checked = studies.check(plan.protocol, plan.parameters, done, lost)
        result = studies.StudyResult(plan, outcomes, verdicts, checked)
        for table, frame in result.tables().items():
            record.table(table, frame)
        answer = {**result.to_json(), "notes": result.notes(), "run": str(record.path)}
        record.note(manifest=describe_manifest(plan.manifest), result=answer)
    return result, record.path


def _report(result: "StudyResult", folder: Path) -> Path:
    """One page of the study and the runs that answer its steps."""
    from probekit import reports

    answering = [one.run for one in result.outcomes if one.run is not None]
    page = result.plan.place.runs / "report.html"
    page.write_text(reports.build([folder, *answering], result.plan.protocol.title), encoding="utf-8")
    return page


def _place(
    protocol: "Protocol",
    manifest: str | None,
    weights: Sequence[str],
    cache: AnyPath,
    runs: Path,
    as_json: bool,
    *,
    seed: int,
    bootstrap: int,
    make: bool,
) -> "tuple[Place, Manifest]":
    """The data and the folders; the manifest is made where the study says how and it is missing."""
    from probekit.errors import ManifestError, UsageError
    from probekit.manifest import Manifest
    from probekit.studies import Place

    wanted = manifest or protocol.manifest or None
    kept = () if cache == options.DEFAULT_CACHE and "PROBEKIT_CACHE" not in os.environ else ("--cache", str(cache))
    try:
        found = Manifest.read(wanted)
    except ManifestError:
        if manifest or not protocol.prepare:
            raise
        if not make:
            raise UsageError(
                f"study {protocol.name} first makes its data by `probekit {protocol.prepare}`: do that, then --dry-run."
            ) from None
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            commands.execute([*shlex.split(protocol.prepare), *kept])
        found = Manifest.read(wanted)
    files = {model: Path(file) for model, file in _pairs("--weights", weights).items()}
    absent = [str(file) for file in files.values() if not file.exists()]
    if absent:
        raise UsageError(f"--weights {absent[0]}: no such file.")
    folder = runs / f"study-{protocol.name}-{found.name}"
    return Place(manifest or found.name, cache, folder, files, kept, seed, bootstrap), found


def _pairs(flag: str, given: Sequence[str]) -> Mapping[str, str]:
    from probekit.errors import UsageError

    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{flag} {text}: write NAME=VALUE.")
        found[name.strip()] = value.strip()
    return found


def _announce(count: int) -> "shown.Announce":
    def announce(number: int, planned: "PlannedStep", why_not: str) -> None:
        shown.step(number + 1, count, planned, why_not)

    return announce
