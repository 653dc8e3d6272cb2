"""COCO-Attr (arXiv:2607.12052): images of ten generators after COCO's captions, to attribute queries to references.

References are for the gallery (`train`), queries are `test`. There are no real images: it is for attribution and
retrieval.
"""

from pathlib import Path

from probekit.layouts import layouts
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.trees import ANYWHERE, Rule, Tree, read_tree

_GENERATORS = (*("FLUX.2", "Freepik", "Lumina", "Photon", "PixArt", "Playground", "SD-3", "SD-3.5", "SDXL", "Hunyuan"),)
_FILE = "(?P<class>[^/]+)/(?:.*/)?(?P<stem>[^/]+)"
_FAKE = {"label": "1", "domain": "coco", "group": "coco/{stem}"}

TREE = Tree(
    "coco-attr",
    rules=(
        Rule(ANYWHERE + "query/" + _FILE, {"split": "test", **_FAKE}),
        Rule(ANYWHERE + "references/pre_generated/" + _FILE, {"split": "train", **_FAKE}),
        Rule(ANYWHERE + "references/.+", use="none", reason="a reference for one query alone: no gallery for all"),
    ),
    complete=_GENERATORS,
    published={(name, "test"): 100 for name in _GENERATORS},
)


@layouts.add("coco-attr")
def coco_attr(root: Path, options: ImportOptions) -> Listing:
    """`query/GENERATOR` and `references/pre_generated/GENERATOR`."""
    return read_tree(root, options, TREE)
