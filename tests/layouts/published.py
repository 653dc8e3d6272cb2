"""One small tree of each published data set, with what their authors' lists say, as `docs/datasets.md` imports them."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.layouts.trees import plant

STEMS = ("a.b", "0002", "0003", "0004")
FF = ("000", "003", "010", "011", "020", "021")


def _json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _lines(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def _pairs(root: Path) -> None:
    for split, pair in {"train": ["000", "003"], "val": ["010", "011"], "test": ["020", "021"]}.items():
        _json(root / "splits" / f"{split}.json", [pair])


def dolos(root: Path) -> None:
    fakes = [
        f"{name}/{kind}" for name in ("lama", "ldm", "pluralistic", "repaint-p2-9k") for kind in ("images", "masks")
    ]
    folders = ["real", *(f"fake/{fake}" for fake in fakes), "fake/p2"]
    splits = {"train": ("a.b", "01", "02"), "valid": ("11", "12"), "test": ("21", "22")}
    plant(root, *(f"celebahq/{f}/{split}/{stem}.PNG" for f in folders for split, own in splits.items() for stem in own))


def ffpp(root: Path) -> None:
    for quality in ("c23", "c40"):
        plant(root, *(f"original_sequences/youtube/{quality}/frames/{video}/{n}.png" for video in FF for n in range(2)))
        for method in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"):
            folder = f"manipulated_sequences/{method}/{quality}"
            pairs = [f"{one}_{other}" for one, other in zip(FF[::2], FF[1::2], strict=True)]
            plant(root, *(f"{folder}/frames/{pair}/a.b.PNG" for pair in pairs))
    _pairs(root)


def df40(root: Path) -> None:
    plant(root.parent / "FaceForensics++", *(f"original_sequences/youtube/c23/frames/{video}/1.png" for video in FF))
    _pairs(root.parent / "FaceForensics++")
    plant(root.parent / "Celeb-DF-v2", *(f"Celeb-real/frames/id{n}_0000/1.png" for n in range(3)))
    for method in ("simswap", "wav2lip"):
        plant(root, f"DF40_train/{method}/frames/000_003/a.b.PNG", f"DF40/{method}/ff/frames/020_021/a.b.PNG")
        plant(root, *(f"DF40/{method}/cdf/frames/id{n}_id9_0000/1.png" for n in range(3)))
    plant(root, *(f"DF40/MidJourney/{label}/{n}.png" for label in ("fake", "real") for n in range(3)))


def dffd(root: Path) -> None:
    folders = ("ffhq", "faceapp", "pggan_v1", "stylegan_ffhq")
    plant(
        root,
        *(f"{f}/{split}/{stem}.PNG" for f in folders for split in ("train", "validation", "test") for stem in STEMS),
    )


def genimage(root: Path) -> None:
    folders = ("BigGAN/imagenet_ai_0419_biggan", "stable_diffusion_v_1_4/imagenet_ai_0419_sdv4")
    places = [f"{f}/{split}" for f in folders for split in ("train", "val")]
    plant(
        root,
        *(f"{place}/{kind}/{place[-3:]}{stem}.PNG" for place in places for kind in ("ai", "nature") for stem in STEMS),
    )


def zero_one(*folders: str) -> Callable[[Path], None]:
    names = [f"{f}/{label}/{stem}.PNG" for f in folders for label in ("0_real", "1_fake") for stem in STEMS]
    return lambda root: plant(root, *names) and None


def ufd(root: Path) -> None:
    fakes = [f"{name}/1_fake" for name in ("guided", "ldm_200", "glide_100_27", "dalle")]
    plant(root, *(f"{folder}/{stem}.PNG" for folder in ("imagenet/0_real", "laion/0_real", *fakes) for stem in STEMS))


def annotations(experiment: str) -> Callable[[Path], None]:
    def grow(root: Path) -> None:
        folders = {"real/celeba": 0, "GANs/ProGAN/celeba_seed_v0": 1, "GANs/SNGAN/celeba": 2}
        plant(root, *(f"{folder}/{n}.png" for folder in folders for n in range(6)), "real/celeba/a.b.PNG")
        plant(root, *(f"GANs/ProGAN/celeba_seed_v1/{n}.png" for n in range(2)))
        for split, numbers in {"train": (0, 1), "val": (2, 3), "test": (4, 5)}.items():
            lines = [f"./dataset/{folder}/{n}.png\t{label}" for folder, label in folders.items() for n in numbers]
            lines += ["./dataset/real/celeba/a.b.PNG\t0"] * (split == "train")
            _lines(root / f"{experiment}_{split}" / "annotations" / f"{experiment}_{split}.txt", *lines)
        unseen = root / f"{experiment}_test" / "annotations" / f"{experiment}_test_out_seed.txt"
        _lines(unseen, *(f"./dataset/GANs/ProGAN/celeba_seed_v1/{n}.png\t0" for n in range(2)))

    return grow


def synthbuster(root: Path) -> None:
    plant(root, *(f"{f}/{stem}.PNG" for f in ("dalle3", "firefly", "midjourney-v5", "real_RAISE_1k") for stem in STEMS))


def deepfakebench(root: Path) -> None:
    ffpp(root / "FaceForensics++")
    front = "deepfakes_detection_datasets/FaceForensics++"
    splits = dict(zip(("train", "val", "test"), zip(FF[::2], FF[1::2], strict=True), strict=True))

    def real(videos: tuple[str, str]) -> dict[str, object]:
        base = f"{front}/original_sequences/youtube/c23/frames"
        return {v: {"label": "FF-real", "frames": [f"{base}/{v}/{n}.png" for n in range(2)]} for v in videos}

    def fake(pair: str) -> dict[str, object]:
        frame = f"{front}/manipulated_sequences/FaceSwap/c23/frames/{pair}/a.b.PNG"
        return {pair: {"label": "FF-FS", "frames": [frame]}}

    reals = {split: {"c23": real(videos)} for split, videos in splits.items()}
    fakes = {split: {"c23": fake("_".join(videos))} for split, videos in splits.items()}
    _json(root / "dataset_json" / "FF-FS.json", {"FF-FS": {"FF-real": reals, "FF-FS": fakes}})


def forgerynet(root: Path) -> None:
    for folder, first in (("Training", "train_release"), ("Validation", "val_perturb_release")):
        names = {f"{first}/{label}/v{n}/a.b.PNG": label for label in (0, 1, 11) for n in range(4)}
        plant(root, *(f"{folder}/images/{name}" for name in names))
        _lines(root / folder / "image_list.txt", *(f"{name} {min(c, 1)} {min(c, 1)} {c}" for name, c in names.items()))


def coco_attr(root: Path) -> None:
    folders = ("query/SD35", "query/Flux2", "references/pre_generated/SD35", "references/pre_generated/Flux2")
    plant(root, *(f"{folder}/{folder[0]}{stem}.PNG" for folder in folders for stem in STEMS))


PUBLISHED: dict[str, Callable[[Path], None]] = {
    "aigibench": zero_one("train/car", "train/sdv1.4", "val/car", "test/R3GAN", "test/SocialRF"),
    "coco-attr": coco_attr,
    "deepfakebench": deepfakebench,
    "df40": df40,
    "dffd": dffd,
    "dnadet": annotations("celeba"),
    "dolos": dolos,
    "ffpp": ffpp,
    "forensynths": zero_one("train/horse", "val/horse", "test/progan/cat", "test/stylegan2/car", "test/biggan"),
    "forgerynet": forgerynet,
    "genimage": genimage,
    "osma": annotations("split1"),
    "synthbuster": synthbuster,
    "ufd": ufd,
}
"""Layout → what grows its tree in a folder."""
