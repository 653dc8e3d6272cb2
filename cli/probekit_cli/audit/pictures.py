"""What `probekit audit` draws: pairs and candidates as pictures, properties beside the model, and histograms."""

from typing import TYPE_CHECKING

from probekit_cli import thumbnails

if TYPE_CHECKING:
    from probekit.audit import AuditResult
    from probekit.figures import Thumbnail
    from probekit_cli.questions import Session

SIDE = 160  # pixels of a thumbnail: more would make reports heavy
MOST_PAIRS = 12
MOST_CANDIDATES = 12
TITLES = {
    "identical bytes": "Identical bytes",
    "near-duplicate": "Near-duplicates",
    "near in the features": "Near in the features",
}


def draw(session: "Session", result: "AuditResult", sheets: bool) -> None:
    """All pictures of an audit; with `sheets` those that need the images too."""
    if result.shortcuts:
        _bars(session, result)
    _histograms(session, result)
    if sheets:
        _pairs(session, result)
        _candidates(session, result)


def _bars(session: "Session", result: "AuditResult") -> None:
    from probekit import figures

    assert result.shortcuts is not None
    pairs = result.shortcuts.pairs
    own = pairs[(pairs["train"] == pairs["test"]) & (pairs["over"] == "all")]
    rows = own.rename(columns={"train": "question", "by": "series", "auc": "value", "auc_lo": "low", "auc_hi": "high"})
    rows = rows.assign(chance=0.5)[[*_BARS]].sort_values("question", kind="stable")
    title = f"AUC of each generator against real · {session.where.manifest.name}"
    drawn = figures.interval_bars(rows, title=title, value_name="AUC", grey=["file properties"])
    session.run.figure("shortcuts", drawn, "A forest on file properties alone, and probes of the features beside it.")
    alone = result.shortcuts.alone[result.shortcuts.alone["measure"] == "auc"]
    if len(alone):  # a balanced accuracy of many classes has another level of guessing: it stands in the tables
        alone = alone.assign(properties=alone["properties"].str.replace("_", " "))
        wide = alone.pivot(index="properties", columns="question", values="value")
        wide = wide.loc[alone["properties"].unique(), alone["question"].unique()].rename_axis(None, axis=1)
        title = f"What gives the classes away · {session.where.manifest.name}"
        drawn = figures.matrix(wide, title=title, train_axis="file properties", test_axis="told from real")
        session.run.figure("properties", drawn, "What single file properties, and some together, say.")


_BARS = ("question", "series", "value", "low", "high", "chance")


def _histograms(session: "Session", result: "AuditResult") -> None:
    from probekit import figures
    from probekit.audit import RAW

    table = result.files.table
    names = sorted(table["generator"].unique(), key=lambda name: (name != "real", name))
    for column, words in RAW.items():
        pools = {name: table.loc[table["generator"] == name, column].dropna().to_numpy(float) for name in names}
        if sum(len(pool) for pool in pools.values()):
            title = f"{_titled(words.partition(',')[0])} of the files · {session.where.manifest.name}"
            drawn = figures.histograms(pools, title=title, score_name=words)
            session.run.figure(f"histogram-{column}", drawn, f"{_titled(words)}, by generator.")


def _titled(words: str) -> str:
    return words[0].upper() + words[1:]


def _pairs(session: "Session", result: "AuditResult") -> None:
    from probekit import figures
    from probekit.audit import each_once

    across = each_once(result.pairs[result.pairs["across"]])
    for kind, own in across.groupby("kind", sort=False):
        sets = [
            [_thumbnail(result, row[side], row[f"generator_{side}"], note)
             for side, note in (("a", str(row["side_a"])), ("b", f"{row['side_b']} · {row['value']:.3f}"))]
            for row in own.head(MOST_PAIRS).to_dict("records")
        ]  # fmt: skip
        title = f"{TITLES[str(kind)]} on both sides · {session.where.manifest.name}"
        remark = f"{len(sets)} of {len(own):,} pairs; beneath each its side, at the right how alike the two are"
        drawn = figures.picture_sheet(sets, title=title, remark=remark)
        session.run.figure(f"pairs-{str(kind).replace(' ', '-')}", drawn, f"{title}: {remark}.")


def _candidates(session: "Session", result: "AuditResult") -> None:
    from probekit import figures

    for number, one in enumerate(result.noise):
        own = one.candidates.sort_values("trusted", ascending=False, kind="stable").head(MOST_CANDIDATES)
        if own.empty:
            continue
        sets = [
            [_thumbnail(result, row["row"], f"{row['generator']} → {row['predicted']}", f"{row['p_predicted']:.2f}")]
            for row in own.to_dict("records")
        ]
        title = f"Candidates for wrong labels · {one.features}"
        remark = f"{len(sets)} of {len(one.candidates):,}; beneath each its label → what the probe says, and how surely"
        drawn = figures.picture_sheet(sets, title=title, remark=remark)
        session.run.figure(f"label-noise-{number + 1}", drawn, f"{title}: {remark}.")


def _thumbnail(result: "AuditResult", row: int, name: str, note: str) -> "Thumbnail":
    from probekit.figures import Thumbnail

    return Thumbnail(thumbnails.pixels(result.files.sample(row), SIDE), name, note)
