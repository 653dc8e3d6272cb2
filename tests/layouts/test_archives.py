"""Importing archives and videos: an archive is a folder of its members, a video a few of its frames."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from probekit.errors import ManifestError, UsageError
from probekit.layouts import ImportOptions, import_manifest, scan
from probekit.manifest import check, summarise
from tests.sources.conftest import make_tar, make_video, make_zip


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256, 99)).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(*names: str) -> dict[str, bytes]:
    return {name: picture(sum(name.encode())) for name in names}


def unpack(members: dict[str, bytes], root: Path) -> Path:
    for name, data in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


TREES = {
    "class-folders": (["real/a.png", "fake/b.png", "fake/deep/c.PNG"], ImportOptions()),
    "zero-one": (["train/gan/0_real/a.png", "test/gan/1_fake/b.png"], ImportOptions()),
    "template": (
        ["real/train/g1_a.png", "lama/test/g2_b.png"],
        ImportOptions(template="{generator}/{split}/{group}_*"),
    ),
}


@pytest.mark.parametrize("layout", TREES)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_an_archive_imports_as_the_folder_that_it_holds(tmp_path, layout, make):
    names, options = TREES[layout]
    others = {"notes.txt": b"text", "__MACOSX/real/x.png": b"x", ".hidden/y.png": b"y"}
    archive = make(tmp_path / "faces.pack", pictures(*names) | others)
    archive = archive.rename(tmp_path / ("faces.zip" if make is make_zip else "faces.tar"))
    folder = scan(unpack(pictures(*names) | others, tmp_path / "folder" / "faces"), layout, options)
    packed = scan(archive, layout, options)
    assert packed.root == tmp_path
    assert set(packed.table["path"]) == {archive.name}
    assert packed.table["member"].tolist() == folder.table["path"].tolist()
    same = [column for column in folder.table if column not in ("path", "group")]
    pd.testing.assert_frame_equal(packed.table[same], folder.table[same])
    assert packed.table["group"].nunique() == folder.table["group"].nunique()
    assert {path.removeprefix(f"{archive.name}/") for path in packed.ignored["path"]} >= {"notes.txt"}
    report = check(import_manifest(archive, layout, "m", options)[0])
    assert (report.files, report.counts.get("unreadable", 0)) == (len(names), 0)


def test_archives_in_a_folder_are_folders_of_their_name(tmp_path):
    make_zip(tmp_path / "real.zip", pictures("1.png", "x/2.png"))
    (tmp_path / "lama").mkdir()
    make_tar(tmp_path / "lama" / "000.tar", pictures("./3.png"))
    (tmp_path / "lama" / "4.png").write_bytes(picture(4))
    table = scan(tmp_path, "class-folders").table
    assert list(table[["path", "member", "generator"]].itertuples(index=False, name=None)) == [
        ("lama/000.tar", "3.png", "lama"),
        ("lama/4.png", "", "lama"),
        ("real.zip", "1.png", "real"),
        ("real.zip", "x/2.png", "real"),
    ]
    stems = scan(tmp_path, "class-folders", ImportOptions(group="stem")).table
    assert stems["group"].tolist() == ["3", "4", "1", "2"]


def test_archives_that_cannot_be_read_whole_are_reported(tmp_path):
    unpack(pictures("real/a.png", "lama/b.png"), tmp_path)
    make_tar(tmp_path / "real" / "packed.tar.gz", pictures("c.png"), "w:gz")
    cut = make_tar(tmp_path / "lama" / "cut.tar", pictures("d.png", "e.png"))
    cut.write_bytes(cut.read_bytes()[:1560])
    found = scan(tmp_path, "class-folders")
    assert sorted(found.table["path"]) == ["lama/b.png", "lama/cut.tar", "real/a.png"]
    reasons = dict(found.ignored.itertuples(index=False, name=None))
    assert "compressed as a whole" in reasons["real/packed.tar.gz"]
    assert "may hold more: the archive is cut off" in reasons["lama/cut.tar"]


def test_a_root_that_is_an_unreadable_archive_says_why(tmp_path):
    packed = make_tar(tmp_path / "packed.tgz", pictures("real/c.png"), "w:gz")
    with pytest.raises(UsageError, match=r"packed\.tgz is an archive that cannot be read: .*decompress it"):
        scan(packed, "class-folders")


def test_masks_inside_archives_are_reported(tmp_path):
    found = scan(
        make_zip(tmp_path / "a.zip", pictures("real/a.png", "lama/b.png", "masks/lama/b.png")), "class-folders"
    )
    assert "mask" not in found.table
    assert found.ignored["reason"].tolist() == ["a mask inside an archive is not read: unpack it"]


def test_shards_of_webdataset_bring_their_labels(tmp_path):
    make_tar(
        tmp_path / "000.tar",
        {
            "a/1.png": picture(1), "a/1.cls": b"0\n", "a/1.txt": b"a caption",
            "a/2.png": picture(2), "a/2.cls": b"1",
            "3.png": picture(3), "3.json": json.dumps({"label": 1, "maker": "lama", "domain": "web"}).encode(),
            "4.png": picture(4),
        },
    )  # fmt: skip
    found = scan(tmp_path, "webdataset")
    assert list(found.table[["member", "label", "generator"]].itertuples(index=False, name=None)) == [
        ("3.png", 1, "fake"),
        ("a/1.png", 0, "real"),
        ("a/2.png", 1, "fake"),
    ]
    assert found.ignored["path"].tolist() == ["000.tar/4.png"]
    assert any("1 members are not used: *.txt" in note for note in found.notes)


def test_columns_of_json_may_have_other_names_and_classes_may_be_numbers(tmp_path):
    shard = make_tar(
        tmp_path / "000.tar",
        {
            f"{n}.{ending}": data
            for n, maker in enumerate(["none", "lama", "ldm"])
            for ending, data in (("png", picture(n)), ("json", json.dumps({"made_by": maker, "x": [1]}).encode()))
        },
    )
    options = ImportOptions(columns={"generator": "made_by"}, labels={"none": 0})
    assert scan(shard, "webdataset", options).table["generator"].tolist() == ["real", "lama", "ldm"]
    numbers = make_tar(
        tmp_path / "001.tar",
        {name: data for n in (5, 7) for name, data in ((f"{n}.png", picture(n)), (f"{n}.cls", str(n).encode()))},
    )
    found = scan(numbers, "webdataset", ImportOptions(labels={"5": 0, "7": 1}))
    assert found.table["generator"].tolist() == ["real", "7"]
    with pytest.raises(ManifestError, match=r"label is '5'.*--label 5=1"):
        scan(numbers, "webdataset")
    make_tar(tmp_path / "bad.tar", {"1.png": picture(1), "1.json": b"[1]"})
    with pytest.raises(ManifestError, match=r"bad\.tar/1\.json holds no JSON object"):
        scan(tmp_path / "bad.tar", "webdataset")


def test_a_listing_may_name_members_and_frames(tmp_path):
    make_zip(tmp_path / "a.zip", pictures("x/1.png", "2.png"))
    (tmp_path / "list.csv").write_text("path,member,generator\na.zip,x/1.png,real\na.zip,2.png,lama\n")
    table = scan(tmp_path / "list.csv", "table").table
    assert table["member"].tolist() == ["x/1.png", "2.png"]
    (tmp_path / "list.csv").write_text("path,frame,generator\nv.mp4,3,real\nv.mp4,x,lama\n")
    with pytest.raises(ManifestError, match=r"row 3: frame is 'x', expected a whole number from 0"):
        scan(tmp_path / "list.csv", "table")


@pytest.fixture
def videos(tmp_path):
    pytest.importorskip("av", reason="frames of videos are read by PyAV, which is not installed")
    for number, name in enumerate(["real/one.mp4", "real/two.mkv", "swap/three.mp4"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make_video(tmp_path / name, frames=20 + number, qp=str(20 + number))
    return tmp_path


def test_videos_become_evenly_spaced_frames_grouped_by_video(videos):
    (videos / "swap" / "text.mp4").write_text("no video")
    manifest, found = import_manifest(videos, "class-folders", "m", ImportOptions(frames=4))
    table = manifest.table
    assert table.groupby("path", sort=True)["frame"].apply(list).to_dict() == {
        "real/one.mp4": [2, 7, 12, 17],
        "real/two.mkv": [2, 7, 13, 18],
        "swap/three.mp4": [2, 8, 13, 19],
    }
    assert (table["group"] == table["path"]).all()
    assert found.ignored["path"].tolist() == ["swap/text.mp4"]
    assert "a video that cannot be read" in found.ignored["reason"].iloc[0]
    report = check(manifest)
    assert (report.samples, report.files) == (12, 3)
    assert "unreadable" not in report.counts
    assert summarise(manifest)["images"].tolist() == [8, 4]


def test_no_frames_leave_videos_out_and_a_template_may_name_their_ending(videos):
    (videos / "real" / "a.png").write_bytes(picture(1))
    found = scan(videos, "class-folders", ImportOptions(frames=0))
    assert found.table["path"].tolist() == ["real/a.png"]
    assert set(found.ignored["reason"]) == {"a video, and --frames is 0"}
    options = ImportOptions(template="{generator}/{group}.mp4", frames=1)
    table = scan(videos, "template", options).table
    assert list(zip(table["path"], table["group"], strict=True)) == [
        ("real/one.mp4", "one"),
        ("swap/three.mp4", "three"),
    ]


def test_without_pyav_importing_videos_says_how_to_get_it(tmp_path, monkeypatch):
    import sys

    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"pip install 'probekit\[video\]'"):
        scan(tmp_path, "class-folders")
