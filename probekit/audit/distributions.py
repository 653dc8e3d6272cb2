"""Distributions: how many samples each class has, and what its files are like."""

import pandas as pd

from probekit.manifest import SPLITS

RAW = {"width": "width, pixels", "height": "height, pixels", "quality": "JPEG quality factor", "bytes": "size, bytes"}
"""Properties that are drawn, and what stands at the axis."""
BALANCE = 10
"""Times as many samples as the rarest class from which on the largest one is said to outweigh it."""


def classes(table: pd.DataFrame) -> pd.DataFrame:
    """One row a domain and generator: samples in each split, groups, commonest format and size, quality and bytes."""
    found = []
    for (domain, label, generator), own in table.groupby(["domain", "label", "generator"]):
        quality = own["quality"].dropna()
        found.append(
            {
                "generator": generator,
                "domain": domain,
                "label": label,
                "n": len(own),
                "groups": own["group"].nunique(),
                **{split: int((own["split"] == split).sum()) for split in SPLITS},
                "format": _commonest(own["format"]),
                "size": _commonest(own["width"].astype("str") + " × " + own["height"].astype("str")),
                "quality": f"{quality.min():.0f}–{quality.max():.0f}" if len(quality) else "",
                "subsampling": _commonest(own["subsampling"].where(own["subsampling"] != "", "none")),
                "bytes": int(own["bytes"].median()),
            }
        )
    return pd.DataFrame(found)


def _commonest(values: pd.Series) -> str:
    """`JPEG`, or `JPEG (62 %)` where there are others."""
    counts = values.value_counts()
    share = counts.iloc[0] / counts.sum()
    return str(counts.index[0]) + ("" if share == 1 else f" ({100 * share:.0f} %)")
