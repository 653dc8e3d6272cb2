"""DFFD (Dang et al., CVPR 2020, arXiv:1910.01717): faces swapped, edited and synthesised."""

from pathlib import Path

from probekit.layouts import layouts
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.trees import ANYWHERE, Rule, Tree, read_tree

_SPLIT = "(?P<split>train|training|val|valid|validation|test)"
_BY_LABEL = ANYWHERE + _SPLIT + "/{}/(?:(?P<{}>[^/]+)/)?(?P<stem>[^/]+)"
_PAIR = {"domain": "dffd", "pair": "{split}/{stem}"}

TREE = Tree(
    "dffd",
    rules=(
        Rule(_BY_LABEL.format("Real", "source_set"), {"class": "real", "label": "0", "domain": "dffd"}),
        Rule(_BY_LABEL.format("Fake", "class"), {"label": "1", **_PAIR}),
        Rule(_BY_LABEL.format("Mask", "_folder"), _PAIR, use="mask"),
        Rule(
            ANYWHERE + "(?P<source_set>youtube|ffhq|celeba[^/]*)/" + _SPLIT + "/(?P<stem>[^/]+)",
            {"class": "real", "label": "0", "domain": "dffd"},
        ),
        Rule(ANYWHERE + "(?P<class>[^/]+)/" + _SPLIT + "/(?P<stem>[^/]+)", {"label": "1", "domain": "dffd"}),
    ),
    complete=("FaceApp", "StarGAN", "ProGAN", "StyleGAN"),
)


@layouts.add("dffd")
def dffd(root: Path, options: ImportOptions) -> Listing:
    """`SPLIT/{Real,Fake,Mask}`, and the folders of the download: `SOURCE/SPLIT`."""
    return read_tree(root, options, TREE)
