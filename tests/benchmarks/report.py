"""The table of results, as text for a terminal, as Markdown to paste, and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks.benchmark import Benchmark, Result

QUICK = "Quick sizes: these figures only show that the code runs."
COLUMNS = ("benchmark", "stands for", "figure", "measured", "target", "verdict", "because")


def print_table(results: Sequence[Result], machine: Mapping[str, object], quick: bool) -> None:
    """One row a target, then the machine, on standard output."""
    from rich.table import Table

    from probekit_cli import output

    console = output.stdout()
    table = Table(title="Benchmarks", caption=QUICK if quick else None, title_justify="left", caption_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in ("measured", "target") else "left", overflow="fold")
    for result in results:
        for row in _rows(result):
            table.add_row(*row)
        table.add_section()
    console.print(table)
    for name, fact in _facts(machine):
        console.print(f"{name}: {fact}")


def print_list(found: Sequence[Benchmark]) -> None:
    """Names, cases and targets, on standard output."""
    from rich.table import Table

    from probekit_cli import output

    table = Table("benchmark", "stands for", "figure", "target")
    for benchmark in found:
        for number, (name, target) in enumerate(benchmark.targets.items()):
            case = (benchmark.name, benchmark.stands_for) if number == 0 else ("", "")
            table.add_row(*case, name, str(target))
    output.stdout().print(table)


def to_markdown(results: Sequence[Result], machine: Mapping[str, object], quick: bool) -> str:
    """The same table and facts, ready for `docs/benchmarks.md`."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    for result in results:
        lines += [f"| {' | '.join(cell.replace('|', '∣') for cell in row)} |" for row in _rows(result)]
    lines += ["", *([QUICK, ""] if quick else []), *(f"- {name}: {fact}" for name, fact in _facts(machine))]
    return "\n".join(lines)


def to_json(results: Sequence[Result], machine: Mapping[str, object], quick: bool) -> dict[str, Any]:
    """Everything that was measured, as plain values."""
    return {
        "schema": 1,
        "quick": quick,
        "machine": dict(machine),
        "results": [
            {
                "name": result.benchmark.name,
                "stands_for": result.benchmark.stands_for,
                "seconds": round(result.seconds, 1),
                "not_measured": result.reason or None,
                "figures": {name: _figure(result, name) for name in result.benchmark.targets},
            }
            for result in results
        ],
    }


def _figure(result: Result, name: str) -> dict[str, Any]:
    target, figure = result.benchmark.targets[name], result.figures.get(name)
    return {
        "value": figure.value if figure else None,
        "unit": target.unit,
        "at_least": target.at_least,
        "at_most": target.at_most,
        "verdict": result.verdict(name),
        "because": figure.because if figure else result.reason,
        "exempt": (figure.exempt or None) if figure else None,
        "raw": dict(figure.raw) if figure else {},
    }


def _rows(result: Result) -> Iterator[tuple[str, ...]]:
    """Cells of each target of a benchmark, in the order of `COLUMNS`."""
    benchmark = result.benchmark
    for number, (name, target) in enumerate(benchmark.targets.items()):
        case = (benchmark.name, benchmark.stands_for) if number == 0 else ("", "")
        figure = result.figures.get(name)
        measured = target.spell(figure.value) if figure else ""
        because = "; ".join(filter(None, [figure.because, figure.exempt])) if figure else result.reason
        yield (*case, name, measured, str(target), result.verdict(name), because)


def _facts(machine: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, fact in machine.items():
        match fact:
            case bool():
                yield name, "yes" if fact else "no"
            case Mapping():
                yield name, ", ".join(f"{key} {value}" for key, value in fact.items())
            case list():
                yield name, " ".join(map(str, fact))
            case _:
                yield name, str(fact)
