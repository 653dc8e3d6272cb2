"""The demo's pictures under the names that published data sets give theirs."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image, ImageChops

from probekit import inpainting

DOLOS = {"telea": "lama", "biharmonic": "ldm", "navier-stokes": "repaint-p2-9k", "shiftmap": "pluralistic"}
DOLOS_SPLITS = {"train": 30, "valid": 12, "test": 24}
"""Photographs of each."""
FF = {"telea": "FF-DF", "biharmonic": "FF-F2F", "navier-stokes": "FF-FS", "shiftmap": "FF-NT"}
BOTH = {"telea": "simswap", "shiftmap": "facedancer"}
CDF = {"biharmonic": "DiT", "navier-stokes": "StyleGAN2"}
SPLITS = ("train",) * 10 + ("val",) * 6 + ("test",) * 12


def pictures(root: Path) -> pd.DataFrame:
    """Crops of photographs and what four inpainters made of each: name, generator, path and mask, as absolute paths."""
    table = inpainting.build(root, inpainting.InpaintingSettings(size=96, crops=6))
    table["name"] = [Path(path).stem for path in table["path"]]
    for column in ("path", "mask"):
        table[column] = [str(root / name) if name else "" for name in table[column].fillna("")]
    return table


def dolos(table: pd.DataFrame, root: Path) -> Path:
    """Dolos: `celebahq/real/SPLIT`, `celebahq/fake/GENERATOR/{images,masks}/SPLIT`; masks black where manipulated."""
    names = sorted(table["name"].unique())
    split_of = dict(zip(names, [split for split, n in DOLOS_SPLITS.items() for _ in range(n)], strict=False))
    for row in table[table["name"].isin(split_of)].itertuples():
        split = split_of[row.name]
        if row.generator == "real":
            _copy(row.path, root / "celebahq" / "real" / split / f"{row.name}.png")
            continue
        folder = root / "celebahq" / "fake" / DOLOS[row.generator]
        _copy(row.path, folder / "images" / split / f"{row.name}.png")
        mask = folder / "masks" / split / f"{row.name}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        ImageChops.invert(Image.open(row.mask).convert("L")).save(mask)
    return root


def deepfake_genome(table: pd.DataFrame, root: Path) -> Path:
    """DeepfakeBench's JSON: FF++ and two newer algorithms in its domain; those and two others in Celeb-DF's."""
    names = sorted(table["name"].unique())
    ff, cdf = names[: len(SPLITS)], names[len(SPLITS) : 2 * len(SPLITS)]
    paths = {(row.name, row.generator): row.path for row in table.itertuples()}
    found = {
        "FaceForensics++": {
            "FF-real": _videos(root, "ff/real", paths, "real", ff, "FF-real"),
            **{label: _videos(root, f"ff/{label}", paths, own, ff, label) for own, label in FF.items()},
        },
        "Celeb-DF-v2": {"CelebDFv2_real": _videos(root, "cdf/real", paths, "real", cdf, "CelebDFv2_real")},
    }
    for domain, ids in (("ff", ff), ("cdf", cdf)):
        for own, name in {**BOTH, **(CDF if domain == "cdf" else {})}.items():
            label = f"{name}_Fake"
            found[f"{name}_{domain}"] = {label: _videos(root, f"{domain}/{name}", paths, own, ids, label)}
    for name, content in found.items():
        path = root / "dataset_json" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({name: content}))
    return root


def _videos(
    root: Path, folder: str, paths: dict[tuple[str, str], str], generator: str, ids: Sequence[str], label: str
) -> dict[str, object]:
    """Split → compression → video → label and frames; the frames are copied to where the lists say they are."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for number, (name, split) in enumerate(zip(ids, SPLITS, strict=True)):
        video = f"{number:03d}" if folder.startswith("ff") else f"id{number}_0000"
        place = f"{folder}/frames/{video}/000.png"
        _copy(paths[name, generator], root / place)
        found.setdefault(split, {"c23": {}})["c23"][video] = {"label": label, "frames": [place]}
    return found


def _copy(source: str, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)
