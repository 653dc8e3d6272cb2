"""Synthbuster (Bammey 2023, doi:10.1109/OJSP.2023.3337714): nine generators after the photographs of RAISE-1k.

A table `filename,typ` lists the images, or their folders do. Images after one photograph have its name.
"""

from pathlib import Path

import pandas as pd

from probekit.errors import UsageError
from probekit.layouts import layouts
from probekit.layouts.classes import means_real
from probekit.layouts.listed import list_rows
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.trees import ANYWHERE, Rule, Tree, read_tree
from probekit.manifest import read_table

_GENERATORS = (*("DALL-E-2", "DALL-E-3", "Firefly", "GLIDE", "Midjourney-v5", "SD-1.3", "SD-1.4", "SD-2", "SDXL"),)
_RAISE = {"domain": "raise", "group": "raise/{stem}"}

TREE = Tree(
    "synthbuster",
    rules=(
        Rule(
            ANYWHERE + "(?P<source_set>real[^/]*|RAISE[^/]*)/(?P<stem>[^/]+)", {"class": "real", "label": "0", **_RAISE}
        ),
        Rule(ANYWHERE + "(?P<class>[^/]+)/(?P<stem>[^/]+)", {"label": "1", **_RAISE}),
    ),
    complete=_GENERATORS,
    published={(name, ""): 1000 for name in _GENERATORS},
)


@layouts.add("synthbuster")
def synthbuster(root: Path, options: ImportOptions) -> Listing:
    """The lines of `--listing FILE` or of the one CSV file in ROOT; without one, `GENERATOR/*.png`."""
    if root.is_dir() and not options.listing and not list(root.glob("*.csv")):
        return read_tree(root, options, TREE)
    source = options.listing or _only_table(root)
    listed = read_table(source)
    lacking = {"filename", "typ"} - set(listed.columns)
    if lacking:
        raise UsageError(f"{source} has no column {sorted(lacking)[0]!r}: layout synthbuster needs filename and typ.")
    real = [means_real(name) or name.lower().startswith("raise") for name in listed["typ"].astype("str")]
    stems = [Path(name).stem for name in listed["filename"].astype("str")]
    table = pd.DataFrame(
        {
            "path": listed["filename"].astype("str"),
            "class": listed["typ"].astype("str"),
            "label": ["0" if is_real else "1" for is_real in real],
            "domain": "raise",
            "group": [f"raise/{stem}" for stem in stems],
        }
    )
    return list_rows(root if root.is_dir() else root.parent, table, [], TREE, str(source))


def _only_table(root: Path) -> Path:
    if root.is_file():
        return root
    found = sorted(root.glob("*.csv"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UsageError(f"{root} holds several tables ({names}): choose one with --listing FILE.")
    return found[0]
