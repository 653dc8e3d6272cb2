"""Dolos (Țânțaru et al., WACV 2024, arXiv:2311.04584): CelebA-HQ and FFHQ, refilled in part.

Its masks are 255 where the photograph was kept. `repaint` is `repaint-p2-9k`, which the cross-generator study is about;
`repaint-p2` stays apart. Images of one photograph have its name; those of `p2` show none.
"""

from pathlib import Path

from probekit.layouts import layouts
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.trees import ANYWHERE, Rule, Tree, read_tree

_REALS = ANYWHERE + "(?P<domain>celebahq|ffhq)/real/(?P<split>[^/]+)/(?P<stem>[^/]+)"
_FAKES = ANYWHERE + "(?P<domain>celebahq|ffhq)/fake/(?P<class>[^/]+)/{}(?P<split>[^/]+)/(?P<stem>[^/]+)"
_PAIR = {"pair": "{domain}/{class}/{split}/{stem}"}
_SHARED = {"group": "{domain}/{stem}"}

TREE = Tree(
    "dolos",
    rules=(
        Rule(_REALS, {"class": "real", "label": "0", **_SHARED}),
        Rule(_FAKES.format("images/"), {"label": "1", **_SHARED, **_PAIR}),
        Rule(_FAKES.format("masks/"), _PAIR, use="mask"),
        Rule(_FAKES.format(""), {"label": "1", "group": "{domain}/{class}/{stem}"}),
    ),
    complete=("lama", "ldm", "pluralistic", "repaint", "repaint-p2", "p2"),
    mask_white="real",
)


@layouts.add("dolos")
def dolos(root: Path, options: ImportOptions) -> Listing:
    """`{celebahq,ffhq}/real/SPLIT`, `…/fake/GENERATOR/{images,masks}/SPLIT` and `…/fake/p2/SPLIT`."""
    return read_tree(root, options, TREE)
