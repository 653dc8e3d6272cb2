"""What `probekit blacklist match` and `calibrate` print."""

from pathlib import Path
from typing import TYPE_CHECKING

from probekit_cli import output, tables

if TYPE_CHECKING:
    import pandas as pd

    from probekit.blacklist import Calibrated, Matches, Truth

SHOWN = 20  # images in the table on the screen; the run's tables hold all
WIDE = 100  # columns of a terminal that has room for the examples' paths
DIGITS = 5  # of similarities: those of forensic features lie close to 1
NAMES = {
    "path": "image",
    "generator": "answer",
    "nearest": "nearest generator",
    "example_path": "nearest image",
    "score": "similarity",
}


def matches(found: "Matches", run: Path) -> None:
    """How many images are whose, how right that is where a manifest knows, and the first images."""
    lines = [_title(found)]
    if found.threshold is not None:
        lines.append(_summary(found.table))
    for place, line in enumerate(lines):
        output.stdout().print(output.printable(line), style="" if place else "bold", markup=False, soft_wrap=True)
    if found.truth:
        _truth(found.truth)
    if len(found.table):
        output.blank_line()
        tables.print_table(_images(found))
    if len(found.table) > SHOWN:
        output.remark(f"… and {len(found.table) - SHOWN:,} more: {run / 'tables' / 'matches.csv'}")
    said = f", recall@10 {found.recall:.3f} on a sample" if found.recall is not None else ""
    searched = "exactly" if found.engine == "flat" else f"by {found.engine}{said}"
    record = found.record
    output.remark(f"searched {searched}: {output.count(record.examples, 'example')}, version {record.version}")
    output.remark(f"tables: {run}")


def _images(found: "Matches") -> "pd.DataFrame":
    """The first images; with `top`, a row for each example, the image named once."""
    table = found.table.head(SHOWN)
    if found.settings.top > 1:
        nearest = found.nearest[found.nearest["path"].isin(table["path"])]
        nearest = nearest.rename(columns={"generator": "nearest", "similarity": "score"})
        given = [name for name in ("path", "generator", "truth") if name in table]
        table = nearest.merge(table[given].drop_duplicates(), on="path")
        table.loc[table["place"] > 1, given] = ""
    columns = ["path", "generator", "truth", "place", "nearest", "score", "example_path"]
    left_out = {"example_path"} if output.stdout().width < WIDE else set()
    left_out |= {"generator"} if found.threshold is None else set()
    kept = [name for name in columns if name in table and name not in left_out]
    scores = [f"{value:.{DIGITS}f}" for value in table["score"]]
    return table.assign(score=scores)[kept].rename(columns=NAMES)


def _summary(table: "pd.DataFrame") -> str:
    counts = table["generator"].value_counts()
    named = [f"{n:,} {name}" for name, n in counts.items() if name != "unknown"]
    unknown = int(counts.get("unknown", 0))
    said = f" ({', '.join(named)})" if named else ""
    return (
        f"{output.count(len(table), 'image')}: {len(table) - unknown:,} of registered generators{said}, "
        f"{unknown:,} unknown"
    )


def _truth(truth: "Truth") -> None:
    """Answers by truth, the measured FPIR of each pool beside the expected one, and DIR by generator."""
    import pandas as pd

    output.blank_line()
    tables.print_table(truth.answers, title="Answers by what made the images", corner="truth ↓  answer →")
    pools = [
        {
            "images of": "nobody (real)" if pool.pool == "real" else "unregistered generators",
            "n": pool.n,
            "named": pool.named,
            "FPIR": pool.fpir,
            "expected": "not known" if pool.expected_fpir is None else f"{pool.expected_fpir:g}",
        }
        for pool in truth.pools
    ]
    if pools:
        output.blank_line()
        tables.print_table(pd.DataFrame(pools), title="Named falsely")
    if truth.generators:
        output.blank_line()
        rows = [{"generator": each.generator, "n": each.n, "DIR": each.dir} for each in truth.generators]
        tables.print_table(pd.DataFrame(rows), title="Named rightly")


def _title(found: "Matches") -> str:
    said = f"{found.record.name} · {found.record.references}"
    if found.threshold is None:
        return f"{said} · no threshold"
    expected = "not known" if found.expected_fpir is None else f"{found.expected_fpir:g}"
    return f"{said} · threshold {found.threshold:.{DIGITS}f} · expected FPIR {expected}"


def pools(found: "Calibrated", name: str) -> None:
    """The threshold of each pool, and which is set; or why none is."""
    import pandas as pd

    rows = [
        {
            "pool": pool.name,
            "searches": pool.searches,
            "of photographs": found.groups[pool.name],
            "threshold": "unresolvable" if pool.threshold is None else f"{pool.threshold:.{DIGITS}f}",
        }
        for pool in found.pools
    ]
    fpir = found.settings.fpir
    tables.print_table(pd.DataFrame(rows), title=f"{name} · threshold for FPIR {fpir:g}")
    if found.calibration is None:
        enough = [pool.name for pool in found.pools if pool.threshold is not None]
        instead = f", or let the pool that has enough set it alone: --pool {enough[0]}" if enough else ""
        output.remark(
            f"unresolvable: FPIR {fpir:g} needs {found.needed:,} searches in each pool that sets it. Nothing was set: "
            f"give more real images, register more examples, or ask a larger --fpir{instead}."
        )
    else:
        output.remark(f"set: {found.calibration.threshold:.{DIGITS}f}, from the pool {found.calibration.pool}")
