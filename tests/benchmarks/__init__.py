"""Benchmarks: ratios measured side by side in one run, each against an honest peer on the same data.

    python -m tests.benchmarks [NAME …] [--quick] [--json FILE] [--markdown] [--list]

    benchmark.py    what a benchmark is: its targets, and what was measured
    cases/          the benchmarks, found by scanning: a new one is one more file
    timing.py       repetitions in turn, and children with their time and peak memory
    engine.py       probekit's own steps, apart (decode, forward) and together (extract)
    material.py     images and checkpoints, made on the spot
    machine.py      what the figures were measured on
    report.py       the table, as text, Markdown and JSON

Weights are random and images are synthetic, so that everyone can run them: neither changes how long a step takes.
"""
