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
        found.append(
            {
                "generator": generator,
                "domain": domain,
                "label": label,
                "n": len(own),
                "groups": own["group"].nunique(),
                **{split: int((own["split"] == split).sum()) for split in SPLITS},
                "format": _commonest(own["format"]),
                "size": _sizes(own["width"].astype("str") + " × " + own["height"].astype("str")),
                "quality": _range(own["quality"].dropna()),
                "subsampling": _commonest(own["subsampling"].where(own["subsampling"] != "", "none")),
                "bytes": int(own["bytes"].median()),
            }
        )
    return pd.DataFrame(found)


def _range(quality: pd.Series) -> str:
    """`75–95`, `90`, or nothing without a JPEG."""
    return "–".join(f"{value:.0f}" for value in sorted({quality.min(), quality.max()})) if len(quality) else ""


def _sizes(sizes: pd.Series) -> str:
    """The commonest if it is that of every second file; else how many there are."""
    counts = sizes.value_counts()
    return _commonest(sizes) if counts.iloc[0] > len(sizes) / 2 else f"{len(counts):,} sizes"


def _commonest(values: pd.Series) -> str:
    """`JPEG`, or `JPEG (62 %)` where there are others."""
    counts = values.value_counts()
    share = counts.iloc[0] / counts.sum()
    return str(counts.index[0]) + ("" if share == 1 else f" ({100 * share:.0f} %)")
