"""ForenSynths (Wang et al., CVPR 2020, arXiv:1912.11035): CNN-made images beside real ones of their own.

Folders of generators have classes of objects below them or not. The training set's folders are the classes themselves:
all of ProGAN.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from probekit.layouts import layouts
from probekit.layouts.files import Files
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.names import find_generator
from probekit.layouts.trees import Rule, Tree, read_tree

_LSUN = (
    *("airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_LABEL = "(?P<label>0_real|1_fake)/(?:.*/)?(?P<stem>[^/]+)"
_CATEGORY = f"(?P<category>{'|'.join(_LSUN)})/"
RULES: Sequence[Rule] = (
    Rule("(?:.*/)?progan_(?P<split>train|val)/" + _CATEGORY + _LABEL, {"class": "ProGAN"}),
    Rule("(?:.*/)?(?P<split>train|val)/" + _CATEGORY + _LABEL, {"class": "ProGAN"}),
    Rule(
        "(?:(?:.*/)?(?P<split>train|val|test)/)?(?P<class>[^/]+)/(?:(?P<category>[^/]+(?:/[^/]+)*?)/)?" + _LABEL,
    ),
)
"""Of folders 0_real and 1_fake at any depth."""


def own_domains(table: pd.DataFrame, files: Files, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    """Each generator is a domain of its own, with the real images of its folder, where no other is said."""
    del files, options
    canonical = {}
    for name in table["class"].unique():
        known = find_generator(name)
        canonical[name] = known.name if known else name
    domains = table["domain"] if "domain" in table else pd.Series("", table.index)
    return table.assign(domain=domains.where(domains != "", table["class"].map(canonical))), []


TREE = Tree(
    "forensynths",
    rules=RULES,
    complete=(
        *("progan", "stylegan", "stylegan2", "biggan", "cyclegan", "stargan", "gaugan", "crn", "imle", "seeingdark"),
        *("san", "deepfake", "whichfaceisreal"),
    ),
    finish=own_domains,
)


@layouts.add("forensynths")
def forensynths(root: Path, options: ImportOptions) -> Listing:
    """`SPLIT/GENERATOR/[class/]{0_real,1_fake}`, or the same without SPLIT; `train/CLASS/{0_real,1_fake}` is ProGAN."""
    return read_tree(root, options, TREE)
