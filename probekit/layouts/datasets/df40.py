"""DF40 (Yan et al., NeurIPS 2024, arXiv:2406.13495): 31 methods on FaceForensics++ and Celeb-DF, and 9 others.

Fakes of the 31 are compared with the real images of FaceForensics++ (`ff`) and Celeb-DF (`cdf`), which are no part of
it: they are looked for below the root, and in the folders of `--reals ff=DIR` and `--reals cdf=DIR`.
"""

from pathlib import Path

import pandas as pd

from probekit.errors import UsageError
from probekit.layouts import layouts
from probekit.layouts.datasets import ffpp
from probekit.layouts.files import Files
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.trees import ANYWHERE, Rule, Tree, read_tree

_VIDEO = "(?P<video>[^/]+)/(?P<stem>[^/]+)"
_PLACE = "(?:(?:.*/)?(?P<split>DF40_train|DF40_test|DF40|train|test)/)?(?:.*?/)??(?P<class>[^/]+)/"
_FAKE = {"label": "1"}
_CDF_REALS = Rule(
    ANYWHERE + "(?:Celeb|YouTube)-real/(?:frames/)?(?P<video>[^/]+)(?:/(?P<stem>[^/]+))?",
    {"class": "real", "label": "0", "domain": "cdf"},
)


def _finish(table: pd.DataFrame, files: Files, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    table, notes = ffpp.link_videos(_own_groups(table), files, options)
    for domain in ("ff", "cdf"):
        labels = set(table.loc[table["domain"] == domain, "label"])
        if labels == {"1"}:
            notes.append(f"{domain}: its real images are not here: give their folder with --reals {domain}=DIR")
    return table, notes


def _own_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Files that lie in no folder of a video are videos of one image."""
    alone = table["video"] == ""
    return table.assign(video=table["video"].mask(alone, table["key"]))


TREE = Tree(
    "df40",
    rules=(
        ffpp.REALS,
        _CDF_REALS,
        Rule(_PLACE + "(?P<domain>ff|cdf)/(?:frames/|Fake_from_[^/]+/)?" + _VIDEO, _FAKE),
        Rule(_PLACE + "(?P<domain>ff|cdf)/(?:videos/)?(?P<video>[^/]+)", _FAKE),
        Rule(
            _PLACE + "(?P<label>fake|real)/(?:(?:fake|real|frames|videos)/)?(?:(?P<video>[^/]+)/)?(?P<stem>[^/]+)",
            {"domain": "{class}"},
        ),
        Rule(
            "(?:.*/)?DF40_train/(?P<class>[^/]+)/(?:frames/)?" + _VIDEO,
            {"label": "1", "domain": "ff", "split": "train"},
        ),
    ),
    complete=(
        *("fsgan", "faceswap", "simswap", "inswap", "blendface", "uniface", "mobileswap", "e4s", "facedancer"),
        *("deepfacelab", "fomm", "facevid2vid", "wav2lip", "MRAA", "one_shot_free", "pirender", "tpsm", "lia"),
        *("danet", "sadtalker", "mcnet", "hyperreenact", "heygen", "VQGAN", "StyleGAN2", "StyleGAN3"),
        *("StyleGANXL", "sd2.1", "ddim", "RDDM", "pixart", "DiT", "SiT", "MidJourney", "whichisreal"),
        *("CollabDiff", "e4e", "stargan", "starganv2", "styleclip"),
    ),
    splits={"df40_train": "train", "df40_test": "test", "df40": "test"},
    reads=ffpp.SPLIT_LISTS,
    finish=_finish,
)
_REALS = {"ff": Tree("df40", (ffpp.REALS,), reads=ffpp.SPLIT_LISTS), "cdf": Tree("df40", (_CDF_REALS,))}


@layouts.add("df40")
def df40(root: Path, options: ImportOptions) -> Listing:
    """`METHOD/{ff,cdf}/[frames/]VIDEO`, `METHOD/{fake,real}/…`, and `DF40_train/METHOD/[frames/]VIDEO`."""
    for domain in options.reals:
        if domain not in _REALS:
            raise UsageError(f"--reals {domain}=…: df40 borrows real images for ff and cdf alone.")
    elsewhere = {
        domain: place
        for domain, place in options.reals.items()
        if not place.resolve().is_relative_to(root.resolve())  # else they are found with the fakes
    }
    return read_tree(root, options, TREE, [(place, _REALS[domain]) for domain, place in elsewhere.items()])
