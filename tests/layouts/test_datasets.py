"""Importers of published trees: names, labels, groups, splits, masks and domains as their authors mean them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from probekit.errors import ManifestError, UnknownNameError, UsageError
from probekit.layouts import ImportOptions, import_manifest, scan
from probekit.manifest import Manifest, check, read_mask
from tests.layouts.trees import by_path, counts, plant
from tests.sources.conftest import make_video

REAL = "real"


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


# Dolos


DOLOS = (
    *(f"celebahq/real/{split}/{n}.jpg" for split, n in (("train", "0001"), ("valid", "0002"), ("test", "0003"))),
    "celebahq/real/test/a.b.PNG",
    *(f"celebahq/fake/{name}/images/test/0003.png" for name in ("lama", "ldm", "pluralistic", "repaint-p2-9k")),
    "celebahq/fake/lama/masks/test/0003.png",
    "celebahq/fake/lama/images/test/a.b.PNG",
    "celebahq/fake/repaint-p2/images/train/0001.png",
    "celebahq/fake/p2/train/0001.png",
    "ffhq/real/test/0003.png",
    "ffhq/fake/p2/test/0003.png",
)


def test_dolos_gives_photographs_and_their_fakes_one_group_and_repaint_its_usual_name(tmp_path):
    found = scan(plant(tmp_path, *DOLOS), "dolos")
    rows = by_path(found.table, "generator", "domain", "split", "group")
    assert rows["celebahq/real/valid/0002.jpg"] == (REAL, "celebahq", "val", "celebahq/0002")
    assert rows["celebahq/fake/repaint-p2-9k/images/test/0003.png"] == ("repaint", "celebahq", "test", "celebahq/0003")
    assert rows["celebahq/fake/lama/images/test/0003.png"] == ("lama", "celebahq", "test", "celebahq/0003")
    assert rows["celebahq/real/test/0003.jpg"][3] == "celebahq/0003"
    assert rows["celebahq/real/test/a.b.PNG"][3] == rows["celebahq/fake/lama/images/test/a.b.PNG"][3] == "celebahq/a.b"
    assert rows["celebahq/fake/repaint-p2/images/train/0001.png"][0] == "repaint-p2"
    assert rows["ffhq/real/test/0003.png"][3] == "ffhq/0003"
    assert rows["celebahq/fake/p2/train/0001.png"][3] == "celebahq/p2/0001", "a generated face shows no photograph"
    assert len(rows) == len(DOLOS) - 1
    assert dict(zip(found.table["generator"], found.table["family"], strict=True)) == {
        REAL: "", "lama": "LOCAL", "ldm": "LOCAL", "pluralistic": "LOCAL", "repaint": "LOCAL", "repaint-p2": "LOCAL",
        "p2": "EFS",
    }  # fmt: skip
    assert found.ignored.empty
    assert counts(found.expected)["lama", "test"] == (2, 2)


def test_masks_of_dolos_mean_manipulated_where_they_are_black(tmp_path):
    root = plant(tmp_path / "dolos", *DOLOS)
    mask = np.full((16, 16), 255, np.uint8)
    mask[2:5, 3:7] = 0
    Image.fromarray(mask).save(root / "celebahq/fake/lama/masks/test/0003.png")
    made, _ = import_manifest(root, "dolos", "d")
    made.write(tmp_path / "manifests")
    read = Manifest.read("d", tmp_path / "manifests")
    row = read.table.index[read.table["mask"] != ""]
    assert len(row) == 1
    assert (read_mask(read, row[0]) == (mask == 0)).all()
    assert "images with a mask: lama 1 of 2" in read.facts["notes"]
    assert read_mask(read, len(read.table) - 1) is None, "a real image"


def test_a_mask_that_is_turned_round_by_mistake_is_found_when_pixels_are_checked(tmp_path):
    plant(tmp_path, "a.png", "b.png")
    Image.new("L", (16, 16), 255).save(tmp_path / "white.png")
    (tmp_path / "m.csv").write_text(
        "path,label,generator,mask,mask_white\na.png,1,lama,white.png,real\nb.png,1,lama,white.png,\n"
    )
    made = Manifest.read(tmp_path / "m.csv")
    assert "blank mask" not in check(made).counts
    found = check(made, pixels=True).problems
    assert found.loc[found["kind"] == "blank mask", "path"].tolist() == ["a.png"]


def test_white_means_manipulated_unless_the_manifest_says_otherwise(tmp_path):
    plant(tmp_path, "a.png", "b.png")
    mask = np.zeros((16, 16), np.uint8)
    mask[4:, :8] = 200
    Image.fromarray(mask).save(tmp_path / "mask.png")
    table = "path,label,generator,mask\na.png,0,real,\nb.png,1,lama,mask.png\n"
    (tmp_path / "m.csv").write_text(table)
    assert (read_mask(Manifest.read(tmp_path / "m.csv"), 1) == (mask > 0)).all()
    (tmp_path / "m.csv").write_text("path,label,generator,mask,mask_white\na.png,1,lama,mask.png,black\n")
    with pytest.raises(ManifestError, match="row 2: mask_white is 'black', expected one of fake, real"):
        Manifest.read(tmp_path / "m.csv")


def test_a_class_is_renamed_and_a_part_imported_on_demand(tmp_path):
    root = plant(tmp_path, *DOLOS)
    options = ImportOptions(only={"domain": "celebahq"}, rename={"repaint-p2": "repaint"})
    found = scan(root, "dolos", options)
    assert set(found.table["domain"]) == {"celebahq"}
    assert by_path(found.table, "generator")["celebahq/fake/repaint-p2/images/train/0001.png"] == "repaint"
    families = by_path(scan(root, "dolos", ImportOptions(rename={"lama": "p2", "ldm": "mine"})).table, "family")
    assert families["celebahq/fake/lama/images/test/0003.png"] == "EFS", "what is known of the new name"
    assert families["celebahq/fake/ldm/images/test/0003.png"] == "LOCAL", "nothing is known of it"
    assert "--only domain=celebahq: 2 of 13 samples are left out" in found.notes
    with pytest.raises(UnknownNameError, match=r"unknown class in --rename 'repent'. Did you mean 'repaint'"):
        scan(root, "dolos", ImportOptions(rename={"repent": "x"}))
    with pytest.raises(UnknownNameError, match="unknown column in --only 'compression'"):
        scan(root, "dolos", ImportOptions(only={"compression": "c23"}))
    with pytest.raises(UnknownNameError, match=r"unknown generator in --only 'lamo'. Did you mean 'lama'"):
        scan(root, "dolos", ImportOptions(only={"generator": "lamo"}))


def test_what_lies_outside_the_tree_is_reported_with_its_reason(tmp_path):
    fake = "celebahq/fake"
    others = (f"{fake}/lama/other/deep/test/1.png", "readme.txt", f"{fake}/ldm/masks/test/9.png")
    plant(tmp_path, *DOLOS, *others, f"{fake}/ldm/images/test/notes.txt")
    found = scan(tmp_path, "dolos")
    assert by_path(found.ignored, "reason") == {
        f"{fake}/lama/other/deep/test/1.png": "no place of the tree of dolos",
        f"{fake}/ldm/images/test/notes.txt": "not an image (.txt)",
        f"{fake}/ldm/masks/test/9.png": "a mask of no image",
        "readme.txt": "not an image (.txt)",
    }
    assert counts(found.expected)["ldm", "test"] == (1, 1), "a text among images is not expected to be one"


# FaceForensics++


def ffpp_tree(root: Path) -> Path:
    original, manipulated = "original_sequences/youtube/c23/frames", "manipulated_sequences"
    plant(
        root,
        *(
            f"{original}/{video}/{frame}.png"
            for video in ("000", "003", "010", "011", "500")
            for frame in ("001", "002")
        ),
        *(f"{manipulated}/{name}/c23/frames/000_003/001.png" for name in ("Deepfakes", "FaceSwap")),
        f"{manipulated}/Deepfakes/c23/frames/003_000/001.png",
        f"{manipulated}/Deepfakes/c40/frames/000_003/001.png",
        f"{manipulated}/Deepfakes/c23/masks/000_003/001.png",
        f"{manipulated}/NeuralTextures/c23/frames/010_011/001.png",
        "original_sequences/actors/c23/frames/01__walking/001.png",
        f"{manipulated}/DeepFakeDetection/c23/frames/01_02__walking__ABCDEFGH/001.png",
    )
    for split, pairs in {"train": [["000", "003"]], "val": [["010", "011"]], "test": []}.items():
        write_json(root / "splits" / f"{split}.json", pairs)
    return root


def test_pairs_of_ffpp_are_groups_with_the_authors_split(tmp_path):
    found = scan(ffpp_tree(tmp_path), "ffpp")
    rows = by_path(found.table, "generator", "domain", "split", "group", "video")
    original, fake = "original_sequences/youtube/c23/frames", "manipulated_sequences"
    assert rows[f"{original}/003/002.png"] == (REAL, "ff", "train", "ff/000", "003")
    assert rows[f"{fake}/Deepfakes/c23/frames/003_000/001.png"] == ("Deepfakes", "ff", "train", "ff/000", "003_000")
    assert rows[f"{fake}/NeuralTextures/c23/frames/010_011/001.png"][1:4] == ("ff", "val", "ff/010")
    assert rows[f"{original}/500/001.png"][3] == "ff/500"
    assert rows["original_sequences/actors/c23/frames/01__walking/001.png"][1] == "dfd"
    walking = rows[f"{fake}/DeepFakeDetection/c23/frames/01_02__walking__ABCDEFGH/001.png"]
    assert (walking[0], walking[3]) == ("DFD", "dfd/01__walking")
    assert all(len(set(own)) == 1 for _, own in found.table.groupby("group")["split"])
    assert any(note.startswith("4 samples have no split in the data: 0 follow their group, 4") for note in found.notes)
    assert found.ignored.empty, "the authors' lists are read"
    assert any("ff: 9 videos of 3 groups of recordings, at most 5 in one" in note for note in found.notes)


def test_one_compression_is_taken_and_masks_of_one_serve_all(tmp_path):
    root = ffpp_tree(tmp_path)
    table = scan(root, "ffpp").table
    masked = table[table["mask"] != ""]
    assert set(masked["compression"]) == {"c23", "c40"}
    assert set(masked["generator"]) == {"Deepfakes"}
    assert set(masked["mask_white"]) == {"fake"}
    some = scan(root, "ffpp", ImportOptions(only={"compression": "c40"}))
    assert by_path(some.table, "compression") == {"manipulated_sequences/Deepfakes/c40/frames/000_003/001.png": "c40"}


def test_ffpp_without_the_authors_lists_is_split_by_pairs(tmp_path):
    root = ffpp_tree(tmp_path)
    for file in (root / "splits").iterdir():
        file.unlink()
    made, found = import_manifest(root, "ffpp", "f")
    assert "no train.json, val.json and test.json here: the authors' split is not used" in found.notes
    assert made.facts["split"]["how"].startswith("assigned by group")
    assert made.table.groupby("group")["split"].nunique().max() == 1
    write_json(root / "splits" / "train.json", {"no": "pairs"})
    with pytest.raises(ManifestError, match=r"train\.json is no list of pairs such as"):
        scan(root, "ffpp")


def test_a_video_beside_its_extracted_frames_does_not_count_twice(tmp_path):
    pytest.importorskip("av")
    root = ffpp_tree(tmp_path)
    for name in ("000", "020"):
        path = root / "original_sequences/youtube/c23/videos" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        make_video(path)
    found = scan(root, "ffpp", ImportOptions(frames=2))
    videos = found.table[found.table["path"].str.endswith(".mp4")]
    assert videos["path"].str.endswith("020.mp4").tolist() == [True, True]
    assert set(videos["group"]) == {"ff/020"}
    assert counts(found.expected)["real", "train"] == (4, 4)
    assert (root / "original_sequences/youtube/c23/videos/020.mp4").write_bytes(b"no video") == 8
    broken = scan(root, "ffpp", ImportOptions(frames=2))
    lost = broken.expected[broken.expected["expected"] > broken.expected["found"]]
    assert lost[["class", "expected", "found"]].to_numpy().tolist() == [["real", 4, 3]]
    without = scan(root, "ffpp", ImportOptions(frames=0))
    assert (without.expected["expected"] == without.expected["found"]).all()
    reason = by_path(found.ignored, "reason")["original_sequences/youtube/c23/videos/000.mp4"]
    assert reason == "a video whose extracted frames are here"


# DF40


DF40 = (
    *("DF40/simswap/ff/frames/440_364/001.png", "DF40/simswap/cdf/frames/id0_id1_0000/001.png"),
    *("DF40/VQGAN/ff/440/001.png", "DF40/VQGAN/cdf/Fake_from_Celeb-real/id0_0000/1.png"),
    *("DF40/MidJourney/fake/1.png", "DF40/MidJourney/real/1.png"),
    *("DF40/heygen/fake/frames/v1/1.png", "DF40/heygen/real/v1/1.png", "DF40/stargan/fake/fake/7.png"),
    *("DF40_train/simswap/frames/001_870/000.png", "DF40_train/StyleGAN2/001/seed0188.png"),
)


def test_df40_tells_domains_and_methods_and_says_which_reals_it_lacks(tmp_path):
    found = scan(plant(tmp_path, *DF40), "df40")
    rows = by_path(found.table, "generator", "domain", "split", "group")
    assert rows["DF40/simswap/ff/frames/440_364/001.png"] == ("SimSwap", "ff", "test", "ff/364")
    assert rows["DF40/VQGAN/ff/440/001.png"] == ("VQGAN", "ff", "test", "ff/364")
    assert rows["DF40/VQGAN/cdf/Fake_from_Celeb-real/id0_0000/1.png"] == ("VQGAN", "cdf", "test", "cdf/id0_0000")
    assert rows["DF40/simswap/cdf/frames/id0_id1_0000/001.png"][3] == "cdf/id0_0000"
    assert rows["DF40/MidJourney/fake/1.png"][:2] == ("Midjourney-v6", "MidJourney")
    assert rows["DF40/MidJourney/real/1.png"][:2] == (REAL, "MidJourney")
    assert rows["DF40/heygen/fake/frames/v1/1.png"][3] == "heygen/v1"
    assert rows["DF40/stargan/fake/fake/7.png"][0] == "StarGAN"
    assert rows["DF40_train/simswap/frames/001_870/000.png"] == ("SimSwap", "ff", "train", "ff/001")
    assert rows["DF40_train/StyleGAN2/001/seed0188.png"][:3] == ("StyleGAN2", "ff", "train")
    assert len(rows) == len(DF40)
    assert "ff: its real images are not here: give their folder with --reals ff=DIR" in found.notes
    assert "cdf: its real images are not here: give their folder with --reals cdf=DIR" in found.notes
    assert any(note.startswith("generators of the whole data set that are not here: BlendFace") for note in found.notes)


def test_df40_borrows_real_images_and_their_split(tmp_path):
    root, ff, cdf = plant(tmp_path / "df40", *DF40), tmp_path / "FF", tmp_path / "cdf"
    plant(ff, *(f"original_sequences/youtube/c23/frames/{video}/1.png" for video in ("440", "364", "001", "999")))
    plant(cdf, "Celeb-real/frames/id0_0000/1.png", "YouTube-real/00001/1.png", "List_of_testing_videos.txt")
    write_json(ff / "splits" / "test.json", [["440", "364"]])
    write_json(ff / "splits" / "train.json", [["001", "870"]])
    found = scan(root, "df40", ImportOptions(reals={"ff": ff, "cdf": cdf}))
    rows = by_path(found.table, "generator", "domain", "split", "group")
    base = f"{ff}/original_sequences/youtube/c23/frames"
    assert rows[f"{base}/440/1.png"] == (REAL, "ff", "test", "ff/364")
    assert rows[f"{base}/001/1.png"] == (REAL, "ff", "train", "ff/001")
    assert rows[f"{cdf}/Celeb-real/frames/id0_0000/1.png"] == (REAL, "cdf", "test", "cdf/id0_0000")
    assert not any("--reals" in note for note in found.notes)
    assert f"{cdf}/List_of_testing_videos.txt" in by_path(found.ignored, "reason")
    again = scan(tmp_path, "df40", ImportOptions(reals={"ff": ff, "cdf": cdf}))
    assert len(again.table) == len(found.table), "folders below the root are read once"
    with pytest.raises(UsageError, match="--reals dfd=…: df40 borrows real images for ff and cdf alone"):
        scan(root, "df40", ImportOptions(reals={"dfd": ff}))


def test_equal_names_of_a_real_and_a_fake_video_are_two_videos(tmp_path):
    """DeepfakeBench averages scores by the folder's name alone, and so joins real 440 with VQGAN's 440."""
    from probekit.trials.units import unit_keys

    plant(tmp_path, *DF40, "FaceForensics++/original_sequences/youtube/c23/frames/440/1.png")
    table = scan(tmp_path, "df40").table
    keys = dict(zip(table["path"], unit_keys(table, "video"), strict=True))
    real = "FaceForensics++/original_sequences/youtube/c23/frames/440/1.png"
    assert keys[real] != keys["DF40/VQGAN/ff/440/001.png"]
    assert by_path(table, "group")[real] == by_path(table, "group")["DF40/VQGAN/ff/440/001.png"]


# DFFD, GenImage


def test_dffd_is_read_by_label_and_by_source(tmp_path):
    plant(
        tmp_path,
        *("train/Real/1.png", "train/Fake/2.png", "train/Mask/2.png", "validation/Fake/stargan/3.png"),
        *("ffhq/test/4.jpg", "faceapp/validation/5.jpg", "pggan_v1/train/6.png", "stylegan_celeba/test/7.png"),
    )
    table = scan(tmp_path, "dffd").table
    rows = by_path(table, "generator", "split", "family")
    assert rows["train/Real/1.png"] == (REAL, "train", "")
    assert rows["validation/Fake/stargan/3.png"] == ("StarGAN", "val", "FE")
    assert rows["ffhq/test/4.jpg"] == (REAL, "test", "")
    assert rows["faceapp/validation/5.jpg"] == ("FaceApp", "val", "FE")
    assert rows["pggan_v1/train/6.png"][0] == "ProGAN"
    assert rows["stylegan_celeba/test/7.png"][0] == "StyleGAN"
    assert by_path(table, "mask")["train/Fake/2.png"] == "train/Mask/2.png"
    assert set(table["domain"]) == {"dffd"}
    assert by_path(table, "source_set")["ffhq/test/4.jpg"] == "ffhq"


def test_genimage_tests_on_its_val_and_groups_shared_photographs(tmp_path):
    plant(
        tmp_path,
        *(
            f"ADM/imagenet_ai_0508_adm/{split}/{kind}.PNG"
            for split in ("train", "val")
            for kind in ("ai/1", "nature/n1_1")
        ),
        "BigGAN/imagenet_ai_0419_biggan/train/nature/n1_1.JPEG",
        "BigGAN/imagenet_ai_0419_biggan/train/ai/1.png",
        "stable_diffusion_v_1_4/imagenet_ai_0419_sdv4/val/ai/1.png",
        "glide/imagenet_glide/val/ai/GLIDE_1.png",
        "Wukong/train/ai/9.png",
    )
    found = scan(tmp_path, "genimage")
    rows = by_path(found.table, "generator", "domain", "split", "group")
    assert rows["ADM/imagenet_ai_0508_adm/train/ai/1.PNG"][:3] == ("ADM", "ADM", "train")
    assert rows["ADM/imagenet_ai_0508_adm/val/nature/n1_1.PNG"] == (REAL, "ADM", "test", "imagenet/n1_1")
    assert rows["BigGAN/imagenet_ai_0419_biggan/train/nature/n1_1.JPEG"] == (REAL, "BigGAN", "train", "imagenet/n1_1")
    assert rows["stable_diffusion_v_1_4/imagenet_ai_0419_sdv4/val/ai/1.png"][:3] == ("SD-1.4", "SD-1.4", "test")
    assert rows["glide/imagenet_glide/val/ai/GLIDE_1.png"][0] == "GLIDE"
    assert rows["Wukong/train/ai/9.png"][:3] == ("Wukong", "Wukong", "train")
    assert "1 of 1 real photographs are there for several generators: one group each" in found.notes
    path = "BigGAN/imagenet_ai_0419_biggan/train/ai/1.png"
    assert rows[path][3] == path, "numbers of generated images mean nothing"


# Folders 0_real and 1_fake


def test_forensynths_has_classes_of_objects_or_none(tmp_path):
    plant(
        tmp_path,
        *(f"test/progan/cat/{label}/1.png" for label in ("0_real", "1_fake")),
        *(f"test/whichfaceisreal/{label}/1.png" for label in ("0_real", "1_fake")),
        *(f"train/horse/{label}/1.png" for label in ("0_real", "1_fake")),
        "progan_val/car/1_fake/1.png",
        "test/deepfake/1_fake/deep/er/a.b.PNG",
        "test/stray.png",
    )
    found = scan(tmp_path, "forensynths")
    rows = by_path(found.table, "generator", "domain", "split", "category")
    assert rows["test/progan/cat/0_real/1.png"] == (REAL, "ProGAN", "test", "cat")
    assert rows["test/whichfaceisreal/1_fake/1.png"] == ("WhichFaceIsReal", "WhichFaceIsReal", "test", "")
    assert rows["train/horse/1_fake/1.png"] == ("ProGAN", "ProGAN", "train", "horse")
    assert rows["progan_val/car/1_fake/1.png"] == ("ProGAN", "ProGAN", "val", "car")
    assert rows["test/deepfake/1_fake/deep/er/a.b.PNG"][0] == "Deepfakes"
    assert found.table["group"].tolist() == found.table["path"].tolist()
    assert by_path(found.ignored, "reason") == {"test/stray.png": "no place of the tree of forensynths"}
    alone = by_path(scan(tmp_path / "test", "forensynths").table, "generator", "category")
    assert alone["progan/cat/1_fake/1.png"] == ("ProGAN", "cat")


def test_aigibench_learns_from_progan_and_sd_and_says_how_much_is_published(tmp_path):
    plant(
        tmp_path,
        *(
            f"{folder}/{label}/1.png"
            for folder in ("train/car", "train/sdv1.4", "val/cat")
            for label in ("0_real", "1_fake")
        ),
        *(f"test/{name}/{label}/1.png" for name in ("SocialRF", "InSwap", "DALLE-3") for label in ("0_real", "1_fake")),
    )
    found = scan(tmp_path, "aigibench")
    rows = by_path(found.table, "generator", "domain", "split")
    assert rows["train/car/1_fake/1.png"] == ("ProGAN", "ProGAN", "train")
    assert rows["train/sdv1.4/0_real/1.png"] == (REAL, "SD-1.4", "train")
    assert rows["val/cat/1_fake/1.png"] == ("ProGAN", "ProGAN", "val")
    assert rows["test/DALLE-3/1_fake/1.png"] == ("DALL-E-3", "DALL-E-3", "test")
    expected = counts(found.expected)
    assert expected["SocialRF", "test"] == (3000, 1)
    assert expected["InSwapper", "test"] == (4000, 1)
    assert expected["DALL-E-3", "test"] == (1, 1)
    assert expected["CommunityAI", "test"] == (6000, 0)


def test_pools_of_ufd_serve_several_generators_without_repeating_a_row(tmp_path):
    fakes = ("ldm_100", "ldm_200_cfg", "glide_50_27", "dalle")
    plant(
        tmp_path,
        *("diffusion_datasets/imagenet/0_real/1.png", "diffusion_datasets/laion/0_real/1.png"),
        *(f"diffusion_datasets/{name}/1_fake/1.png" for name in ("guided", *fakes)),
        *(f"test/progan/cat/{label}/1.png" for label in ("0_real", "1_fake")),
    )
    found = scan(tmp_path / "diffusion_datasets", "ufd")
    assert len(found.table) == 7
    domains = dict(zip(found.table["generator"], found.table["domain"], strict=True))
    assert domains["ADM"] == "imagenet"
    assert {domains[name] for name in ("LDM-100", "LDM-200-CFG", "GLIDE-50-27", "DALL-E-mini")} == {"laion"}
    reals = found.table[found.table["label"] == 0]
    assert sorted(reals["domain"]) == ["imagenet", "laion"]
    assert counts(found.expected)["LDM-200", ""] == (1000, 0)
    assert counts(found.expected)["real", ""] == (2000, 2)
    both = by_path(scan(tmp_path, "ufd").table, "generator", "domain")
    assert both["test/progan/cat/0_real/1.png"] == (REAL, "ProGAN")
    assert set(scan(tmp_path, "ufd").table["split"]) == {"test"}, "beside given splits, they are for testing"
    assert "split" not in found.table


def test_coco_attr_is_a_gallery_and_queries(tmp_path):
    plant(
        tmp_path,
        *("query/SD35/1.png", "references/pre_generated/SD35/2.png", "references/pre_generated/Tencent_Hunyuan/2.png"),
        "references/resynthesis/000/SD35/x.png",
    )
    found = scan(tmp_path, "coco-attr")
    rows = by_path(found.table, "generator", "split", "group")
    assert rows["query/SD35/1.png"] == ("SD-3.5", "test", "coco/1")
    assert rows["references/pre_generated/Tencent_Hunyuan/2.png"] == ("Hunyuan", "train", "coco/2")
    assert counts(found.expected)["SDXL", "test"] == (100, 0)
    assert "for one query alone" in by_path(found.ignored, "reason")["references/resynthesis/000/SD35/x.png"]


# What all have in common


def test_an_imported_tree_passes_the_check_of_its_images(tmp_path):
    made, _ = import_manifest(ffpp_tree(tmp_path / "ff"), "ffpp", "f", ImportOptions(only={"compression": "c23"}))
    made.write(tmp_path / "manifests")
    report = check(Manifest.read("f", tmp_path / "manifests"))
    assert not {"unreadable", "no mask", "mask size", "group in several splits"} & set(report.counts)
