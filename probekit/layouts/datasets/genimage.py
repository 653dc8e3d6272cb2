"""GenImage (Zhu et al., NeurIPS 2023, arXiv:2306.08571): ImageNet's classes by eight generators.

What it calls `val` is what its tables test on: it becomes `test`. Generators' folders share real photographs: equal
names are one group.
"""

from pathlib import Path

import pandas as pd

from probekit.layouts import layouts
from probekit.layouts.datasets.forensynths import own_domains
from probekit.layouts.files import Files
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.trees import ANYWHERE, Rule, Tree, read_tree

_NATURE = "/(?P<split>train|val)/(?P<label>nature)/(?:.*/)?(?P<stem>[^/]+)"
_AI = "/(?P<split>train|val)/(?P<label>ai)/(?:.*/)?(?P<stem>[^/]+)"
_RELEASED, _UNPACKED = ANYWHERE + r"imagenet_(?:ai_\d+_)?(?P<class>[^/]+)", ANYWHERE + "(?P<class>[^/]+)"
_PHOTOGRAPH = {"group": "imagenet/{stem}"}


def _finish(table: pd.DataFrame, files: Files, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    table, notes = own_domains(table, files, options)
    folders = table[table["label"].str.lower() == "nature"].groupby("group")["domain"].nunique()
    shared = int((folders > 1).sum())
    if shared:
        notes.append(f"{shared} of {len(folders)} real photographs are there for several generators: one group each")
    return table, notes


TREE = Tree(
    "genimage",
    rules=(
        Rule(_RELEASED + _NATURE, _PHOTOGRAPH),
        Rule(_RELEASED + _AI),
        Rule(_UNPACKED + _NATURE, _PHOTOGRAPH),
        Rule(_UNPACKED + _AI),
    ),
    complete=("ADM", "BigGAN", "GLIDE", "Midjourney", "SD-1.4", "SD-1.5", "VQDM", "Wukong"),
    splits={"val": "test"},
    finish=_finish,
)


@layouts.add("genimage")
def genimage(root: Path, options: ImportOptions) -> Listing:
    """`GENERATOR/imagenet_ai_DATE_GENERATOR/{train,val}/{ai,nature}`, or `GENERATOR/{train,val}/{ai,nature}`."""
    return read_tree(root, options, TREE)
