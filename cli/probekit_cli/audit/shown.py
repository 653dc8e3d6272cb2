"""What `probekit audit` prints and records: the verdict first, then the tables behind it."""

from typing import TYPE_CHECKING

from probekit_cli import output, tables

if TYPE_CHECKING:
    import pandas as pd

    from probekit.audit import AuditResult
    from probekit_cli.questions import Session

LOOKS = {"bad": ("✗ bad ", "bold red"), "warn": ("! warn", "yellow"), "good": ("✓ good", "green")}
MOST_PAIRS = 10


def record(session: "Session", result: "AuditResult") -> None:
    """Every table of the audit into the run's folder, and the answer."""
    import pandas as pd

    files, run = result.files, session.run
    hashes = [perceptual.hex() for perceptual in files.hashes]
    findings = [[each.severity, each.topic, each.sentence] for each in result.findings]
    run.table("findings", pd.DataFrame(findings, columns=["severity", "topic", "sentence"]))
    run.table("properties", files.table.assign(key=[key.tobytes().hex() for key in files.keys], phash=hashes))
    for name, table in (("pairs", result.pairs), ("divided_groups", result.groups), ("classes", result.classes)):
        run.table(name, table)
    if result.shortcuts:
        for name in ("pairs", "attribution", "alone", "matching"):
            run.table(f"shortcuts_{name}", getattr(result.shortcuts, name))
    if result.noise:
        run.table("label_noise", pd.concat([one.candidates.assign(features=one.features) for one in result.noise]))
    session.answers.append(result.to_json())


def answer(session: "Session", result: "AuditResult") -> None:
    """The verdict in words, and what stands behind it."""
    session.show(lambda: _verdict(session.where.manifest.name, result))
    session.show(lambda: _classes(result))
    if result.shortcuts:
        session.show(lambda: _shortcuts(result))
        if len(result.shortcuts.alone):
            session.show(lambda: _alone(result))
    if len(result.pairs):
        session.show(lambda: _pairs(result))
    if result.noise:
        session.show(lambda: _noise(result))
    for note in result.notes:
        session.remark(f"note: {note}")


def _verdict(name: str, result: "AuditResult") -> None:
    from rich.table import Table
    from rich.text import Text

    from probekit.audit import VERDICTS

    console = output.stdout()
    title = f"Audit of {name}, {output.count(len(result.files.table), 'image')}: {VERDICTS[result.verdict]}"
    console.print(Text(output.printable(title), style="bold"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(width=6, no_wrap=True)
    table.add_column(overflow="fold")
    for finding in result.findings:
        mark, style = LOOKS[finding.severity]
        table.add_row(Text(mark, style=style), Text(output.printable(finding.sentence)))
    console.print(table)


def _classes(result: "AuditResult") -> None:
    shown = result.classes.drop(columns=["label"] + ["domain"] * (result.classes["domain"].nunique() == 1))
    tables.print_table(shown.set_index("generator"), title="Classes and their files", corner="generator")


def _shortcuts(result: "AuditResult") -> None:
    import pandas as pd

    assert result.shortcuts is not None
    found = result.shortcuts.pairs
    for place, ((over, by), own) in enumerate(found.groupby(["over", "by"], sort=False)):
        if place:
            output.blank_line()
        wide = own.pivot(index="train", columns="test", values="auc")
        names = [name for name in own["train"].unique() if name in wide.columns]
        matched = ", samples matched by file properties" if over == "matched" else ""
        wide = wide.loc[own["train"].unique(), names]
        tables.print_matrix(wide, "train ↓  test →", title=f"AUC · {by}{matched}", styles=tables.score_style)
    attribution = result.shortcuts.attribution
    if len(attribution):
        output.blank_line()
        shown = attribution[
            ["by", "over", "n_test", "acc", "balanced_acc", "balanced_acc_lo", "balanced_acc_hi", "chance"]
        ]
        shown = shown.rename(columns={"balanced_acc_lo": "from", "balanced_acc_hi": "to"})
        tables.print_table(pd.DataFrame(shown), title=f"Which of {attribution['n_classes'].iloc[0]} classes is it?")


def _alone(result: "AuditResult") -> None:
    assert result.shortcuts is not None
    alone = result.shortcuts.alone
    wide = alone.pivot(index="properties", columns="question", values="value")
    wide = wide.loc[alone["properties"].unique(), alone["question"].unique()]
    title = "What single properties, and some together, give away: AUC (attribution: balanced accuracy)"
    tables.print_matrix(wide, "properties", title=title, styles=tables.score_style)


def _pairs(result: "AuditResult") -> None:
    from probekit.audit import each_once

    pairs = each_once(result.pairs).sort_values("across", ascending=False, kind="stable")
    shown = pairs.head(MOST_PAIRS)[["kind", "value", "side_a", "path_a", "side_b", "path_b"]]
    short = _shortened(shown)
    more = f" (the first {MOST_PAIRS} of {len(pairs):,})" if len(pairs) > MOST_PAIRS else ""
    tables.print_table(short, title=f"Pairs{more}")


def _shortened(pairs: "pd.DataFrame") -> "pd.DataFrame":
    """The paths without the folders that all of them share."""
    folders = [path.split("/")[:-1] for path in (*pairs["path_a"], *pairs["path_b"])]
    shared = next((i for i, names in enumerate(zip(*folders, strict=False)) if len(set(names)) > 1), None)
    depth = min(map(len, folders)) if shared is None else shared
    cut = sum(len(name) + 1 for name in folders[0][: max(depth - 1, 0)])  # the last shared folder stays
    return pairs.assign(path_a=pairs["path_a"].str[cut:], path_b=pairs["path_b"].str[cut:])


def _noise(result: "AuditResult") -> None:
    for place, one in enumerate(result.noise):
        if place:
            output.blank_line()
        title = f"Candidates for wrong labels · {one.features} · 5 folds by group"
        tables.print_table(one.classes, title=title)
