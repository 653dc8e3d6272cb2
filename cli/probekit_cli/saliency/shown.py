"""What `probekit saliency` prints of its answers."""

import math
from typing import TYPE_CHECKING

from probekit_cli import tables

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.saliency import SaliencyResult
    from probekit_cli.questions import Session


def localisation(session: "Session", features: "FeatureSet", result: "SaliencyResult") -> None:
    """One row for each method and pair: average precision beside the centre prior, chance, and what to make of it."""
    title = f"Where it looks · {features.title}, {result.settings.probe}, {result.record['evaluation']}"
    found = result.localisation
    if len(found):
        table = found[["method", "train", "test", "n", "n_groups", "ap", "ap_centre", "ap_random"]].copy()
        table["gain over centre"] = [
            f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]" if math.isfinite(low) else f"{gain:+.3f}"
            for gain, low, high in zip(found["ap_gain"], found["ap_gain_lo"], found["ap_gain_hi"], strict=True)
        ]
        table["iou"], table["pointing"] = found["iou"], found["pointing"]
        table["verdict"] = found["verdict"]
        table = table.rename(columns={"n_groups": "groups", "ap_centre": "centre", "ap_random": "random"})
        session.show(lambda: tables.print_table(table, title=title))
        session.remark(
            "ap: average precision of the map against the mask. The verdict is of its interval, over groups."
        )
    else:
        counts = result.images.drop_duplicates("path").groupby("generator", sort=True).size()
        session.show(lambda: tables.print_table(counts.rename("images").reset_index(), title=title))
        session.remark("note: no image that was looked at has a mask: there are pictures, but no localisation scores.")
    for name, facts in result.facts.items():
        more = ", ".join(f"{key}: {value}" for key, value in facts.items() if key != "about")
        session.remark(f"{name}: {facts['about']}" + (f" ({more})" if more else ""))
    for note in result.notes:
        session.remark(f"note: {note}")
