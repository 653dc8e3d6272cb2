"""Importers of data sets that come with lists: text, CSV and JSON, written where the data lay once."""

from pathlib import Path

import pytest

from probekit.errors import ManifestError, UsageError
from probekit.layouts import ImportOptions, import_manifest, scan
from probekit.layouts.files import which_exist
from probekit.layouts.listed import rebase
from tests.layouts.test_datasets import REAL, write_json
from tests.layouts.trees import by_path, counts, plant
from tests.sources.conftest import make_video


def write_lines(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


# Where listed files lie


@pytest.mark.parametrize("front", ["", "./", "datasets/", "/old/place/", "D:\\data\\"])
def test_listed_paths_are_found_wherever_the_list_was_written(tmp_path, front):
    names = [f"lama/{n}.png" for n in range(5)]
    plant(tmp_path, *names[:4])  # one is not there
    listed = [front + name.replace("/", "\\" if "\\" in front else "/") for name in names]
    paths, notes = rebase(tmp_path, listed)
    assert paths == names
    assert bool(notes) == (front not in ("", "./"))


def test_absolute_paths_that_exist_stay(tmp_path):
    plant(tmp_path, "a/1.png")
    assert rebase(tmp_path / "elsewhere", [f"{tmp_path}/a/1.png"])[0] == [f"{tmp_path}/a/1.png"]


@pytest.mark.parametrize("many", [3, 100])
def test_files_are_told_from_folders_broken_links_and_nothing(tmp_path, many):
    plant(tmp_path, *(f"a/{n}.png" for n in range(many)))
    (tmp_path / "a" / "folder.png").mkdir()
    (tmp_path / "a" / "link.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a" / "good.png").symlink_to(tmp_path / "a" / "0.png")
    (tmp_path / "top.png").touch()
    asked = [*(f"a/{n}.png" for n in range(many)), "a/folder.png", "a/link.png", "a/good.png", "b/1.png", "top.png"]
    asked += [f"{tmp_path}/top.png", "A/0.png"]
    assert which_exist(tmp_path, asked) == [True] * many + [False, False, True, False, True, True, False]


# OSMA and DNA-Det


def osma_tree(root: Path) -> Path:
    images = (
        *("real/celeba/1.png", "GANs/ProGAN/celeba_seed_v0/1.png", "GANs/ProGAN/celeba_seed_v1/1.png"),
        *("GANs/InfoMax-GAN/lsun/1.png", "real/celeba/2.png", "GANs/ProGAN/celeba_seed_v0/with space.png"),
    )
    plant(root, *images)
    front = "./dataset/"
    write_lines(root / "split1_train/annotations/split1_train.txt", f"{front}{images[0]}\t0", f"{front}{images[1]}\t1")
    write_lines(root / "split1_val/annotations/split1_val.txt", f"{front}{images[4]}\t0")
    write_lines(
        root / "split1_test/annotations/split1_test.txt", f"{front}{images[5]}\t1", f"{front}GANs/gone/1.png\t1"
    )
    write_lines(
        root / "split1_test/annotations/split1_test_out.txt", f"{front}{images[2]}\t0", f"{front}{images[3]}\t1"
    )
    write_lines(root / "split1_test/annotations/split1_test_out_seed.txt", f"{front}{images[2]}\t0")
    return root


def test_osma_attributes_models_and_keeps_the_unseen_sets_apart(tmp_path):
    found = scan(osma_tree(tmp_path), "osma", ImportOptions(skip_missing=True))
    rows = by_path(found.table, "generator", "label", "split")
    assert rows["real/celeba/1.png"] == (REAL, 0, "train")
    assert rows["real/celeba/2.png"][2] == "val"
    assert rows["GANs/ProGAN/celeba_seed_v0/1.png"] == ("ProGAN/celeba_seed_v0", 1, "train")
    assert rows["GANs/ProGAN/celeba_seed_v0/with space.png"][2] == "test"
    assert rows["GANs/ProGAN/celeba_seed_v1/1.png"] == ("ProGAN/celeba_seed_v1", 1, "test"), (
        "0 is no label of unseen sets"
    )
    assert by_path(found.table, "family")["GANs/ProGAN/celeba_seed_v1/1.png"] == "EFS"
    of_set = by_path(found.table, "set")
    assert of_set["GANs/ProGAN/celeba_seed_v1/1.png"] == "out_seed"
    assert of_set["GANs/InfoMax-GAN/lsun/1.png"] == "out"
    assert counts(found.expected)["gone", "test"] == (1, 0)
    assert by_path(found.ignored, "reason")["GANs/gone/1.png"] == "listed, but does not exist"


def test_dnadet_attributes_architectures(tmp_path):
    root = osma_tree(tmp_path)
    for file in sorted(root.glob("*/annotations/*.txt")):
        file.rename(file.with_name(file.name.replace("split1", "celeba")))
    found = scan(root, "dnadet")
    rows = by_path(found.table, "generator", "family", "architecture")
    assert rows["GANs/ProGAN/celeba_seed_v1/1.png"] == ("ProGAN", "EFS", "GAN")
    assert rows["GANs/InfoMax-GAN/lsun/1.png"] == ("InfoMaxGAN", "EFS", "GAN")
    assert "1 listed file does not exist (GANs/gone/1.png): --skip-missing leaves it out" in found.notes


def test_of_several_experiments_one_is_chosen(tmp_path):
    root = osma_tree(tmp_path)
    write_lines(
        root / "split2_train/annotations/split2_train.txt", "real/celeba/1.png 0", "GANs/ProGAN/celeba_seed_v1/1.png 1"
    )
    with pytest.raises(
        UsageError, match="has the experiments split1, split2: choose one with --only experiment=split1"
    ):
        scan(root, "osma")
    found = scan(root, "osma", ImportOptions(only={"experiment": "split2"}))
    assert by_path(found.table, "split") == {"real/celeba/1.png": "train", "GANs/ProGAN/celeba_seed_v1/1.png": "train"}
    with pytest.raises(UsageError, match="has no experiment split3: there are split1, split2"):
        scan(root, "osma", ImportOptions(only={"experiment": "split3"}))


def test_lines_that_are_no_annotation_name_file_and_line(tmp_path):
    write_lines(tmp_path / "annotations/x_train.txt", "real/1.png 0", "", "real/2.png fake")
    with pytest.raises(ManifestError, match=r"x_train\.txt line 3: 'real/2\.png fake' is no 'path number'"):
        scan(tmp_path, "osma")
    with pytest.raises(UsageError, match=r"has no annotations/NAME_train\.txt or the like"):
        scan(plant(tmp_path / "empty", "a.png"), "dnadet")


# Synthbuster


def test_synthbuster_by_its_table_and_by_its_folders_is_the_same(tmp_path):
    names = ["dalle2/r000.png", "midjourney-v5/r000.png", "stable-diffusion-1-4/r001.png", "real_RAISE_1k/r000.png"]
    plant(tmp_path, *names)
    folders = scan(tmp_path, "synthbuster")
    rows = by_path(folders.table, "generator", "domain", "group", "label")
    assert rows["dalle2/r000.png"] == ("DALL-E-2", "raise", "raise/r000", 1)
    assert rows["midjourney-v5/r000.png"][0] == "Midjourney-v5"
    assert rows["real_RAISE_1k/r000.png"] == (REAL, "raise", "raise/r000", 0)
    assert counts(folders.expected)["SD-1.4", ""] == (1000, 1)
    lines = [f"synthbuster/{name},{'real' if 'RAISE' in name else name.split('/')[0]}" for name in names]
    write_lines(tmp_path / "list.csv", "filename,typ", *lines, "synthbuster/dalle2/gone.png,dalle2")
    listed = scan(tmp_path, "synthbuster", ImportOptions(skip_missing=True))
    assert by_path(listed.table, "generator", "domain", "group", "label") == rows
    assert any("listed paths lose their front, as in synthbuster/" in note for note in listed.notes)


def test_synthbuster_needs_its_two_columns_and_one_table(tmp_path):
    write_lines(tmp_path / "a.csv", "file,kind", "1.png,dalle2")
    with pytest.raises(UsageError, match=r"has no column 'filename': layout synthbuster needs filename and typ"):
        scan(tmp_path, "synthbuster")
    write_lines(tmp_path / "b.csv", "filename,typ", "1.png,dalle2")
    with pytest.raises(UsageError, match=r"holds several tables \(a\.csv, b\.csv\): choose one with --listing FILE"):
        scan(tmp_path, "synthbuster")


# DeepfakeBench


def bench_tree(root: Path) -> Path:
    plant(
        root,
        *(
            f"FaceForensics++/original_sequences/youtube/c23/frames/{video}/{f}.png"
            for video in ("000", "003")
            for f in "12"
        ),
        "FaceForensics++/manipulated_sequences/FaceSwap/c23/frames/000_003/1.png",
        "FaceForensics++/manipulated_sequences/FaceSwap/c23/masks/000_003/1.png",
        *("DF40/whichisreal/fake/1.png", "DF40/whichisreal/real/1.png", "DF40/simswap/cdf/frames/id0_id1_0000/1.png"),
    )
    front = "deepfakes_detection_datasets\\FaceForensics++\\"
    real = {
        video: {
            "label": "FF-real",
            "frames": [f"{front}original_sequences/youtube/c23/frames/{video}/{f}.png" for f in "12"],
        }
        for video in ("000", "003")
    }
    swapped = f"{front}manipulated_sequences/FaceSwap/c23"
    fake = {
        "label": "FF-FS",
        "frames": [f"{swapped}/frames/000_003/1.png"],
        "masks": [f"{swapped}/masks/000_003/1.png"],
    }
    content = {"FF-real": {"train": {"c23": real}}, "FF-FS": {"train": {"c23": {"000_003": fake}}}}
    write_json(root / "dataset_json" / "FF-FS.json", {"FF-FS": content})
    df40 = "deepfakes_detection_datasets/DF40"
    held_out = {"v": {"label": "whichisreal_Fake", "frames": [f"{df40}/whichisreal/fake/1.png"]}}
    genuine = {"v": {"label": "whichisreal_Real", "frames": [f"{df40}/whichisreal/real/1.png"]}}
    both = {"whichisreal_Fake": {"val": held_out, "test": held_out}, "whichisreal_Real": {"test": genuine}}
    write_json(root / "dataset_json" / "whichisreal.json", {"whichisreal": both})
    video = {"id0_id1_0000": {"label": "simswap_Fake", "frames": [f"{df40}/simswap/cdf/frames/id0_id1_0000/1.png"]}}
    write_json(root / "dataset_json" / "simswap_cdf.json", {"simswap_cdf": {"simswap_Fake": {"test": video}}})
    return root


def test_deepfakebench_json_gives_names_domains_groups_and_masks(tmp_path):
    found = scan(bench_tree(tmp_path), "deepfakebench")
    rows = by_path(found.table, "generator", "domain", "split", "group")
    base = "FaceForensics++/original_sequences/youtube/c23/frames"
    assert rows[f"{base}/003/2.png"] == (REAL, "ff", "train", "ff/000")
    swapped = "FaceForensics++/manipulated_sequences/FaceSwap/c23/frames/000_003/1.png"
    assert rows[swapped] == ("FaceSwap", "ff", "train", "ff/000")
    assert by_path(found.table, "mask", "mask_white", "compression")[swapped] == (
        swapped.replace("frames", "masks"), "fake", "c23",
    )  # fmt: skip
    assert rows["DF40/whichisreal/fake/1.png"][:3] == ("WhichFaceIsReal", "whichisreal", "test")
    assert rows["DF40/whichisreal/real/1.png"][0] == REAL
    assert rows["DF40/simswap/cdf/frames/id0_id1_0000/1.png"] == ("SimSwap", "cdf", "test", "cdf/id0_0000")
    assert "1 files are listed in several splits: they count in the latest of train, val and test" in found.notes


def test_real_frames_that_several_json_files_repeat_are_rows_once(tmp_path):
    root = bench_tree(tmp_path)
    content = (root / "dataset_json" / "FF-FS.json").read_text()
    (root / "dataset_json" / "FF-NT.json").write_text(
        content.replace("FF-FS", "FF-NT").replace("FaceSwap", "NeuralTextures")
    )
    found = scan(root, "deepfakebench", ImportOptions(skip_missing=True))
    assert (found.table["label"] == 0).sum() == 5
    assert counts(found.expected)["NeuralTextures", "train"] == (1, 0)


def test_a_frame_that_is_both_real_and_fake_is_an_error(tmp_path):
    root = bench_tree(tmp_path)
    path = root / "dataset_json" / "whichisreal.json"
    path.write_text(path.read_text().replace("whichisreal/fake/1.png", "whichisreal/real/1.png"))
    with pytest.raises(ManifestError, match=r"DF40/whichisreal/real/1\.png is listed as real and as fake"):
        scan(root, "deepfakebench")


def test_json_that_holds_no_frames_or_is_broken_is_refused(tmp_path):
    write_json(tmp_path / "a.json", {"a": {"b": {}}})
    with pytest.raises(UsageError, match=r"a\.json names no frames"):
        scan(tmp_path, "deepfakebench")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ManifestError, match=r"a\.json cannot be read"):
        scan(tmp_path, "deepfakebench")
    with pytest.raises(UsageError, match="holds no JSON file: give those of DeepfakeBench with --listing"):
        scan(plant(tmp_path / "none", "1.png"), "deepfakebench")


# ForgeryNet


def test_forgerynet_lists_give_approaches_splits_and_masks(tmp_path):
    plant(
        tmp_path,
        *("Training/images/train_release/5/a/1.png", "Training/images/train_release/0/b/2.png"),
        "Training/spatial_localize/train_mask_release/5/a/1.png",
        *("Validation/image2/val_perturb_release/c/3.png", "Validation/spatial_localize/c/3.png"),
    )
    write_lines(
        tmp_path / "Training/image_list_train.txt", "train_release/5/a/1.png 1 2 4", "train_release/0/b/2.png 0 0 0"
    )
    write_lines(
        tmp_path / "Validation/image_list.txt",
        "val_perturb_release/c/3.png 1 1 8",
        "val_perturb_release/c/4.png 1 1 13",
    )
    found = scan(tmp_path, "forgerynet", ImportOptions(skip_missing=True))
    rows = by_path(found.table, "generator", "split", "mask")
    assert rows == {
        "Training/images/train_release/5/a/1.png": (
            "ForgeryNet-BlendFace", "train", "Training/spatial_localize/train_mask_release/5/a/1.png",
        ),
        "Training/images/train_release/0/b/2.png": (REAL, "train", ""),
        "Validation/image2/val_perturb_release/c/3.png": ("ATVG-Net", "val", "Validation/spatial_localize/c/3.png"),
    }  # fmt: skip
    assert counts(found.expected)["StarGANv2", "val"] == (1, 0)
    assert any(note.startswith("generators of the whole data set that are not here: Deepfakes") for note in found.notes)


def test_frames_of_forgerynets_fake_videos_come_from_manipulated_segments_alone(tmp_path):
    pytest.importorskip("av")
    for name in ("fake", "real"):
        path = tmp_path / f"Training/videos/{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_video(path, frames=40)
    lines = ("2 fake.mp4 0 20 0 20 20 1 1 2 1", "1 real.mp4 0 40 0 0 0 0", "1 gone.mp4 0 9 1 1 2 1")
    write_lines(tmp_path / "Training/video_list.txt", *lines)
    found = scan(tmp_path, "forgerynet", ImportOptions(frames=4, skip_missing=True))
    frames = found.table.groupby("path")["frame"].apply(list).to_dict()
    assert frames == {"Training/videos/fake.mp4": [25, 35], "Training/videos/real.mp4": [5, 15, 25, 35]}
    assert "video_list.txt: 2 frames of fake videos lie outside the manipulated segments: left out" in found.notes
    made, _ = import_manifest(tmp_path, "forgerynet", "f", ImportOptions(frames=4, skip_missing=True))
    assert set(made.table["split"]) == {"train"}


def test_a_line_of_forgerynet_with_a_strange_class_or_too_few_fields_is_named(tmp_path):
    write_lines(tmp_path / "Training/image_list.txt", "a.png 1 1")
    with pytest.raises(ManifestError, match=r"image_list\.txt line 1: 3 fields, at least 4 are needed"):
        scan(tmp_path, "forgerynet")
    write_lines(tmp_path / "Training/image_list.txt", "a.png 1 1 16")
    with pytest.raises(ManifestError, match=r"a\.png is of class '16', expected 0 to 15"):
        scan(tmp_path, "forgerynet")
    write_lines(tmp_path / "Training/image_list.txt", "a.png 0 1 4")
    with pytest.raises(ManifestError, match=r"a\.png is of class 4, but its first label is '0'"):
        scan(tmp_path, "forgerynet")
    (tmp_path / "Training/image_list.txt").write_text("")
    write_lines(tmp_path / "Training/video_list.txt", "two a.mp4 0 20 0 1 1 4")
    with pytest.raises(ManifestError, match=r"a\.mp4 has 3 numbers for two segments: correct the line"):
        scan(tmp_path, "forgerynet")
    with pytest.raises(UsageError, match=r"has no Training/image_list….txt or the like"):
        scan(plant(tmp_path / "none", "1.png"), "forgerynet")
