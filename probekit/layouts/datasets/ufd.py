"""The test sets of UniversalFakeDetect (Ojha et al., CVPR 2023, arXiv:2302.10174).

The diffusion sets share two pools of real images: `guided` is compared with ImageNet, the seven others with LAION; a
pool is a domain, so that each of its images stands in the manifest once. Folders of ForenSynths beside them are read
like it.
"""

from pathlib import Path

import pandas as pd

from probekit.layouts import layouts
from probekit.layouts.datasets.forensynths import RULES, own_domains
from probekit.layouts.files import Files
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.trees import ANYWHERE, Rule, Tree, read_tree

_OF_LAION = ("ldm_200", "ldm_200_cfg", "ldm_100", "glide_100_27", "glide_50_27", "glide_100_10", "dalle")
_GENERATORS = ("ADM", "LDM-200", "LDM-200-CFG", "LDM-100", "GLIDE-100-27", "GLIDE-50-27", "GLIDE-100-10", "DALL-E-mini")
_FILE = "/(?:.*/)?(?P<stem>[^/]+)"


def _finish(table: pd.DataFrame, files: Files, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    """The diffusion sets are tested on, where there is something else to learn from."""
    if (table["split"] != "").any():
        table = table.assign(split=table["split"].mask(table["split"] == "", "test"))
    return own_domains(table, files, options)


TREE = Tree(
    "ufd",
    rules=(
        Rule(ANYWHERE + "(?P<domain>imagenet|laion)/(?P<label>0_real)" + _FILE, {"class": "real"}),
        Rule(ANYWHERE + "(?P<class>guided)/(?P<label>1_fake)" + _FILE, {"domain": "imagenet"}),
        Rule(ANYWHERE + f"(?P<class>{'|'.join(_OF_LAION)})/(?P<label>1_fake)" + _FILE, {"domain": "laion"}),
        *RULES,
    ),
    complete=_GENERATORS,
    published={("real", ""): 2000, **{(name, ""): 1000 for name in _GENERATORS}},
    finish=_finish,
)


@layouts.add("ufd")
def ufd(root: Path, options: ImportOptions) -> Listing:
    """`{imagenet,laion}/0_real` and `GENERATOR/1_fake`; ForenSynths' `test/GENERATOR/…` may lie beside them."""
    return read_tree(root, options, TREE)
