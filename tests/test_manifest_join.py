"""One manifest of several: an image once, groups apart unless images link them, contradictions refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probekit.errors import ManifestError, UnknownNameError, UsageError
from probekit.manifest import JoinSettings, Manifest, join, linked_groups, validate
from probekit.manifest.shared_names import alike_names


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def made(root: Path, name: str, rows, write=True, start=0, **columns) -> Manifest:
    """A manifest of rows (path, generator, split, group), and its pictures, each of its own."""
    table = pd.DataFrame(rows, columns=["path", "generator", "split", "group"])
    table["label"] = (table["generator"] != "real").astype(int)
    table = validate(table.assign(**columns), name)
    for place, path in enumerate(table["path"]):
        if write:
            picture(root / path, start + place)
    return Manifest(name, None, root, table)


@pytest.fixture
def faces(tmp_path):
    rows = [("real/0.png", "real", "train", "p0"), ("real/1.png", "real", "test", "p1"),
            ("lama/0.png", "lama", "train", "p0"), ("lama/1.png", "lama", "test", "p1")]  # fmt: skip
    return made(tmp_path / "a", "faces", rows)


@pytest.fixture
def rooms(tmp_path):
    rows = [("real/0.png", "real", "train", "p0"), ("lama/0.png", "lama", "train", "p0"),
            ("ldm/1.png", "ldm", "test", "p1")]  # fmt: skip
    return made(tmp_path / "b", "rooms", rows, start=100)


def rows_of(joined, **values):
    table = joined.manifest.table
    for name, value in values.items():
        table = table[table[name] == value]
    return table


def test_rows_keep_everything_and_take_the_manifests_names_as_domains(faces, rooms):
    joined = join([faces, rooms], "both")
    table = joined.manifest.table
    assert len(table) == 7
    assert table["domain"].tolist() == ["faces"] * 4 + ["rooms"] * 3
    assert table["split"].tolist() == [*faces.table["split"], *rooms.table["split"]]
    assert [path.is_file() for path in joined.manifest.absolute_paths()] == [True] * 7
    assert joined.manifest.root == faces.root.parent
    assert table["path"][0] == "a/real/0.png"
    assert joined.counts.set_index(["domain", "generator"]).loc[("rooms", "ldm"), "test"] == 1


def test_groups_of_one_name_stay_apart_unless_asked(faces, rooms):
    joined = join([faces, rooms], "both")
    assert set(joined.manifest.table["group"]) == {"faces/p0", "faces/p1", "rooms/p0", "rooms/p1"}
    assert any("groups of equal names: 2 (first: 'p0' in faces and rooms)" in note for note in joined.notes)
    one = join([faces, rooms], "both", JoinSettings(same_groups=True))
    assert set(one.manifest.table["group"]) == {"p0", "p1"}
    assert not any("equal names" in note for note in one.notes)


def test_a_shared_file_is_one_row_that_links_the_groups_of_both(faces, tmp_path):
    shared = [("real/0.png", "real", "train", "q7"), ("sd/0.png", "sd", "train", "q7")]
    other = made(tmp_path / "a", "more", shared, start=50)
    picture(tmp_path / "a" / "real" / "0.png", 0)
    same = JoinSettings(domains={"faces": "photos", "more": "photos"})
    joined = join([faces, replace(other, table=other.table.assign(family=["", "EFS"]))], "both", same)
    assert (len(joined.manifest.table), joined.merged) == (5, 1)
    assert rows_of(joined, generator="sd")["group"].tolist() == ["faces/p0"]
    assert rows_of(joined, generator="lama")["group"].tolist() == ["faces/p0", "faces/p1"]
    assert rows_of(joined, generator="sd")["family"].tolist() == ["EFS"]
    assert rows_of(joined, generator="real")["family"].tolist() == ["", ""]
    assert "images that several manifests have: 1, each as one row." in joined.notes
    assert any("domain 'photos' is in faces, more" in note for note in joined.notes)


def test_a_shared_row_is_completed_by_what_the_other_manifest_knows(faces, tmp_path):
    photos = JoinSettings(domains={"faces": "photos", "more": "photos"})
    family = faces.table.assign(family="", camera=["x", "", "", ""])
    more = replace(faces, name="more", table=faces.table.assign(family="FE", camera=["y", "z", "", ""]))
    joined = join([replace(faces, table=family), more], "both", photos)
    assert joined.manifest.table["family"].tolist() == ["FE"] * 4
    assert joined.manifest.table["camera"].tolist() == ["x", "z", "", ""]
    assert "column 'camera' differs in shared images: 1; that of the manifest named first is kept." in joined.notes
    assert joined.manifest.table["group"].tolist() == ["faces/p0", "faces/p1", "faces/p0", "faces/p1"]


def test_a_copy_elsewhere_keeps_its_row_and_shares_the_group(faces, rooms):
    shutil.copy(faces.root / "real" / "0.png", rooms.root / "real" / "0.png")
    joined = join([faces, rooms], "both")
    assert (len(joined.manifest.table), joined.merged) == (7, 0)
    assert rows_of(joined, domain="rooms")["group"].tolist() == ["faces/p0", "faces/p0", "rooms/p1"]
    assert any(note.startswith("images with copies elsewhere: 2;") for note in joined.notes)
    apart = join([faces, rooms], "both", JoinSettings(contents=False))
    assert rows_of(apart, domain="rooms")["group"].tolist() == ["rooms/p0", "rooms/p0", "rooms/p1"]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("generator", "ldm", "generator is 'ldm' in more and 'lama' in faces"),
        ("split", "test", r"split is 'test' in more and 'train' in faces.*--resplit"),
        ("domain", "else", r"domain is 'else' in more and 'faces' in faces.*--domain-of"),
    ],
)
def test_one_image_that_two_manifests_describe_otherwise_is_refused_by_both_names(faces, column, value, said):
    other = faces.table.assign(domain="faces")
    other.loc[2, column] = value
    with pytest.raises(ManifestError, match=rf"lama/0.png: {said}"):
        join([faces, replace(faces, name="more", table=other)], "both")


def test_one_image_called_real_and_fake_is_refused_even_as_a_copy(faces, rooms):
    shutil.copy(faces.root / "real" / "0.png", rooms.root / "lama" / "0.png")
    with pytest.raises(ManifestError, match=r"label is '1' in rooms and '0' in faces, where its copy is .*real/0.png"):
        join([faces, rooms], "both")


def test_contradicting_splits_are_settled_by_dividing_anew(tmp_path):
    rows = [(f"{name}/{i}.png", name, "train", f"p{i}") for name in ("real", "lama") for i in range(20)]
    faces = made(tmp_path / "a", "faces", rows)
    other = replace(faces, name="more", table=faces.table.assign(split="test", domain="faces"))
    joined = join([faces, other], "both", JoinSettings(resplit=True))
    assert set(joined.manifest.table["split"]) == {"train", "val", "test"}
    assert (joined.manifest.table.groupby("group")["split"].nunique() == 1).all()


def test_groups_that_a_link_spreads_over_splits_are_told(faces, tmp_path):
    link = [("real/0.png", "real", "train", "q"), ("sd/0.png", "sd", "test", "q")]
    other = made(tmp_path / "a", "more", link, write=False, domain="faces")
    picture(tmp_path / "a" / "sd" / "0.png", 9)
    joined = join([faces, other], "both")
    assert any("groups in several splits: 1 (first: 'faces/p0' in train and test)" in note for note in joined.notes)


def test_archives_frames_and_boxes_tell_samples_apart(tmp_path):
    rows = [("v.mp4", "real", "train", "v"), ("v.mp4", "real", "train", "v")]
    table = pd.DataFrame(rows, columns=["path", "generator", "split", "group"]).assign(label=0, frame=[1, 5])
    one = Manifest("one", None, tmp_path, validate(table, "one"))
    boxed = table.assign(frame=[5, 5], x0=[0, 1], y0=0, x1=4, y1=4, domain="one").iloc[[1, 0]]
    two = Manifest("two", None, tmp_path, validate(boxed.reset_index(drop=True), "two"))
    joined = join([one, two], "both", JoinSettings(contents=False))
    assert joined.merged == 0
    assert joined.manifest.table["frame"].tolist() == [1, 5, 5, 5]
    assert joined.manifest.table["x0"].isna().tolist() == [True, True, False, False]
    again = join([one, replace(one, name="three")], "both", JoinSettings({"three": "one"}, contents=False))
    assert (again.merged, again.manifest.table["frame"].tolist()) == (2, [1, 5])


def test_files_that_cannot_be_read_are_counted(faces, rooms):
    (rooms.root / "ldm" / "1.png").unlink()
    joined = join([faces, rooms], "both")
    assert "files that cannot be read: 1; whether they are copies is not known." in joined.notes


def test_paths_and_masks_are_absolute_where_there_is_no_common_root(faces, tmp_path):
    far = made(Path("/far"), "far", [("real/0.png", "real", "train", "g")], write=False, mask="m/0.png")
    joined = join([faces, far], "both", JoinSettings(contents=False))
    assert joined.manifest.table["path"].tolist()[-1] == "/far/real/0.png"
    assert joined.manifest.table["mask"].tolist() == [""] * 4 + ["/far/m/0.png"]
    assert joined.manifest.absolute_paths()[0] == faces.root / "real" / "0.png"


def test_objects_keep_their_urls_and_images_of_two_manifests_are_one_row(faces, tmp_path):
    urls = [("s3://bucket/real/0.png", "real", "train", "p0"), ("s3://bucket/lama/0.png", "lama", "train", "p0")]
    bucket = made(Path("/"), "bucket", urls, write=False, mask=["", "s3://bucket/masks/0.png"])
    twice = made(tmp_path / "c", "twice", [*urls[:1], (f"file://{faces.root}/real/1.png", "real", "test", "p1")], False)
    one_domain = dict.fromkeys(("faces", "bucket", "twice"), "one")
    joined = join([faces, bucket, twice], "all", JoinSettings(domains=one_domain, contents=False))
    table = joined.manifest.table
    files = [str(faces.root / path) for path in faces.table["path"]]
    assert table["path"].tolist() == [*files, *(row[0] for row in urls)]
    assert sorted(table["mask"].unique()) == ["", "s3://bucket/masks/0.png"]
    assert joined.merged == 2


def test_the_new_manifest_can_be_written_read_and_joined_again(faces, rooms, tmp_path):
    made_file = join([faces, rooms], "both").manifest.write(tmp_path / "manifests")
    back = Manifest.read(made_file.path)
    assert back.absolute_paths() == made_file.absolute_paths()
    assert [part["name"] for part in back.facts["joined"]] == ["faces", "rooms"]
    third = made(tmp_path / "c", "third", [("sd/0.png", "sd", "test", "g")], start=300)
    assert len(join([back, third], "three").manifest.table) == 8


def test_generators_that_domains_share_are_counted(faces, rooms):
    joined = join([faces, rooms], "both")
    assert joined.shared.to_dict(orient="index") == {"lama": {"faces": 2, "rooms": 1}}
    assert joined.to_json()["shared_generators"] == {"lama": {"faces": 2, "rooms": 1}}


@pytest.mark.parametrize(
    ("ours", "theirs", "alike"),
    [
        (["FaceSwap"], ["face_swap"], True),
        (["deepfakes"], ["Deepfake"], True),
        (["stylegan2"], ["stylegan3"], False),
        (["sd-1.4"], ["SD14"], True),
        (["lama"], ["lima"], False),
        (["lama"], ["lama"], False),
        (["repaint", "repaint-p2"], ["repaint-p2"], False),
        (["simswap"], ["faceshifter"], False),
    ],
)
def test_names_that_may_mean_one_generator_are_pointed_out(ours, theirs, alike):
    assert bool(alike_names({"a": ours, "b": theirs})) == alike


def test_names_that_one_manifest_has_both_of_are_two_generators():
    assert alike_names({"a": ["FaceSwap", "faceswap"], "b": ["faceswap"]}) == []


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda a, b: ([a], JoinSettings()), UsageError, "name two or more"),
        (lambda a, b: ([a, a], JoinSettings()), UsageError, "'faces' is named twice"),
        (lambda a, b: ([a, b], JoinSettings({"room": "x"})), UnknownNameError, "Did you mean 'rooms'"),
    ],
)
def test_what_cannot_be_joined_says_why(faces, rooms, change, error, said):
    manifests, settings = change(faces, rooms)
    with pytest.raises(error, match=said):
        join(manifests, "both", settings)


def test_links_carry_over_any_number_of_groups_and_take_the_first_name():
    groups = pd.Series(["d", "c", "c", "b", "b", "a", "e"])
    images = pd.Series([1, 1, 2, 2, 3, 3, 4])
    assert linked_groups(groups, images).tolist() == ["a"] * 6 + ["e"]
    contents = pd.Series([1, 2, 3, 4, 5, 6, 1])
    assert linked_groups(groups, images, contents).tolist() == ["a"] * 7
