"""`python -m tests.benchmarks.scale`: time and memory of each step over 10⁴, 10⁵ and 10⁶ finished rows, how they grow.

    --full         10⁷ rows, too: about half an hour and 10 GB
    --sizes N,N    other sizes
    --only A,B     these steps
    --to FOLDER    write scale.json, scale-time.png and scale-memory.png there; several calls add to one file

Each step runs in a process of its own over real files, a real index and a real store (`synthetic.py`); the table gives
processor seconds of the step and the peak memory of the process, imports included.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import machine, timing
from tests.benchmarks.scale import picture, synthetic
from tests.benchmarks.scale.work import STEPS

SIZES, FULL = (10**4, 10**5, 10**6), 10**7


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--sizes", default="")
    parser.add_argument("--only", default="")
    parser.add_argument("--to", type=Path)
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.sizes.split(",")] if asked.sizes else [*SIZES, *([FULL] if asked.full else [])]
    steps = asked.only.split(",") if asked.only else list(STEPS)
    kept = asked.to / "scale.json" if asked.to else None
    found = json.loads(kept.read_text())["steps"] if kept and kept.exists() else {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix=f"probekit-scale-{size}-") as folder:
            say(f"making {size:,} finished rows")
            synthetic.finish(Path(folder), size)
            for step in steps:
                found.setdefault(step, {})[str(size)] = measured = measure(step, Path(folder), size)
                say(f"{step}, {size:,} rows: {measured['cpu']:.2f} s of processor time, {measured['seconds']:.2f} s")
                if kept:
                    kept.write_text(json.dumps({"machine": machine.describe(), "steps": found}, indent=1) + "\n")
    sys.stdout.write(picture.to_markdown(found) + "\n")
    if asked.to:
        for measure_name, file in (("cpu", "scale-time.png"), ("peak", "scale-memory.png")):
            (asked.to / file).write_bytes(picture.growth(found, measure_name))


def measure(step: str, folder: Path, rows: int) -> dict[str, float]:
    """Seconds, processor seconds and peak bytes of one step."""
    command = [sys.executable, "-m", "tests.benchmarks.scale.work", step, str(folder), str(rows)]
    child = timing.run_child(command, folder)
    return {**json.loads(child.output), "peak": child.peak}


def say(text: str) -> None:
    """A line of news on standard error, with how busy the machine is."""
    sys.stderr.write(f"{text} (load {os.getloadavg()[0]:.1f})\n")


if __name__ == "__main__":
    main()
