"""AIGIBench (Li et al., NeurIPS 2025, arXiv:2505.12335): ProGAN and SD-1.4 to learn from, 25 sets to test on."""

from pathlib import Path

from probekit.layouts import layouts
from probekit.layouts.datasets.forensynths import RULES, own_domains
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.trees import Tree, read_tree

TREE = Tree(
    "aigibench",
    rules=RULES,
    complete=(
        *("ProGAN", "R3GAN", "StyleGAN-XL", "BlendFace", "FaceSwap", "InSwap", "FLUX1-dev", "Midjourney-V6"),
        *("SD3", "DALLE-3", "Imagen3", "BLIP", "Infinite-ID", "InstantID", "WFIR", "CommunityAI", "SocialRF"),
    ),
    published={
        ("CommunityAI", "test"): 6000,
        ("SocialRF", "test"): 3000,
        ("FaceSwap", "test"): 4000,
        ("InSwapper", "test"): 4000,
        ("WhichFaceIsReal", "test"): 1000,
    },
    finish=own_domains,
)


@layouts.add("aigibench")
def aigibench(root: Path, options: ImportOptions) -> Listing:
    """`test/GENERATOR/{0_real,1_fake}` and `{train,val}/{car,cat,chair,horse,sdv1.4}/{0_real,1_fake}`."""
    return read_tree(root, options, TREE)
