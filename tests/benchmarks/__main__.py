"""`python -m tests.benchmarks`: run the benchmarks and print one table."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from probekit.errors import ProbekitError
from tests.benchmarks import machine, report
from tests.benchmarks.benchmark import Benchmark, NotMeasured, Result, Setting, chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, whatever the verdicts; 1 a benchmark failed; 2 an unknown name or bad option."""
    options = _options(arguments)
    try:
        found = chosen(options.names)
    except ProbekitError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.list:
        report.print_list(found)
        return 0
    facts = machine.describe()
    with tempfile.TemporaryDirectory(prefix="probekit-bench-") as folder:
        results = [_run(benchmark, Path(folder), options.quick) for benchmark in found]
    if options.json:
        options.json.write_text(json.dumps(report.to_json(results, facts, options.quick), indent=2) + "\n")
    if options.markdown:
        sys.stdout.write(report.to_markdown(results, facts, options.quick) + "\n")
    else:
        report.print_table(results, facts, options.quick)
    return int(any(result.failed for result in results))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Ratios measured side by side on this machine. Writes to TMPDIR (up to 15 GB) and cleans up.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks to run; all unless named")
    parser.add_argument("--list", action="store_true", help="only list the benchmarks and their targets")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that the code runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there, too")
    parser.add_argument("--markdown", action="store_true", help="print Markdown in place of the table")
    return parser.parse_args(arguments)


def _run(benchmark: Benchmark, shared: Path, quick: bool) -> Result:
    """One benchmark in a folder of its own; what goes wrong in it does not stop the others."""
    began = time.perf_counter()

    def say(text: str) -> None:
        sys.stderr.write(f"{benchmark.name} {time.perf_counter() - began:5.0f} s  {text}\n")

    say(f"{benchmark.stands_for} (load {os.getloadavg()[0]:.1f})")
    figures, reason, failed = {}, "", False
    with tempfile.TemporaryDirectory(prefix=f"{benchmark.name}-", dir=shared) as folder:
        try:
            figures = dict(benchmark.measure(Setting(Path(folder), shared, quick, say)))
        except NotMeasured as error:
            reason = str(error)
        except (ProbekitError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            reason, failed = f"{type(error).__name__}: {error}", True
    say("done" if figures else f"not measured: {reason}")
    return Result(benchmark, figures, reason, failed, time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
