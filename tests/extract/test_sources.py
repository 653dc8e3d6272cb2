"""Extraction from archives and videos: the same bytes are the same row, wherever they lie."""

import numpy as np
import pandas as pd
import pytest

from probekit.errors import MissingFeaturesError
from probekit.extract import ExtractSettings, extract
from probekit.features import load_features
from probekit.keys import KeyIndex
from probekit.manifest import Manifest, validate
from probekit.samples import Samples, known_keys
from probekit.sources import Sample
from probekit.store import list_stores
from tests.extract.conftest import write_image
from tests.sources.conftest import make_tar, make_video, make_zip

SRM = ExtractSettings(("srm",))
NAMES = [f"{n}.png" for n in range(4)]


def manifest_of(root, **columns) -> Manifest:
    n = len(columns["path"])
    labels = [row % 2 for row in range(n)]
    table = pd.DataFrame({"label": labels, "generator": [("real", "gen")[label] for label in labels], "split": "train"})
    return Manifest("test", None, root, validate(table.assign(**columns), "test"))


@pytest.fixture
def pictures(tmp_path) -> dict[str, bytes]:
    return {name: write_image(tmp_path / name, seed).read_bytes() for seed, name in enumerate(NAMES)}


def features_of(manifest, cache):
    return load_features(manifest, "srm", cache=cache).matrix


def test_a_folder_a_zip_and_a_tar_of_the_same_bytes_are_the_same_rows(tmp_path, pictures):
    make_zip(tmp_path / "a.zip", pictures)
    make_tar(tmp_path / "a.tar", pictures)
    together = manifest_of(tmp_path, path=[*NAMES, *["a.zip"] * 4, *["a.tar"] * 4], member=[*[""] * 4, *NAMES, *NAMES])
    assert extract(together, SRM, cache=tmp_path / "cache", device="cpu").models[0].computed == 4
    assert next(iter(list_stores(tmp_path / "cache"))).rows == 4
    found = features_of(together, tmp_path / "cache").reshape(3, 4, -1)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    again = extract(together, SRM, cache=tmp_path / "cache", device="cpu")
    assert (again.models[0].computed, again.models[0].done) == (0, 12)


def test_running_again_opens_no_archive_and_a_changed_one_is_read_anew(tmp_path, pictures, monkeypatch):
    make_zip(tmp_path / "a.zip", pictures)
    manifest = manifest_of(tmp_path, path=["a.zip"] * 4, member=NAMES)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    before = features_of(manifest, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr("probekit.sources.read", lambda _: pytest.fail("an archive was read"))
        extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    changed = pictures | {NAMES[2]: write_image(tmp_path / "new.png", 99).read_bytes()}
    make_zip(tmp_path / "a.zip", changed)
    with pytest.raises(MissingFeaturesError):
        features_of(manifest, tmp_path / "cache")
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].computed == 1
    after = features_of(manifest, tmp_path / "cache")
    assert [np.array_equal(*rows) for rows in zip(before, after, strict=True)] == [True, True, False, True]


def test_members_that_cannot_be_read_are_listed_and_the_rest_is_done(tmp_path, pictures):
    make_zip(tmp_path / "a.zip", pictures | {"text.png": b"this is a text"})
    manifest = manifest_of(
        tmp_path,
        path=["a.zip", "a.zip", "a.zip", "gone.zip", "a.zip"],
        member=[NAMES[0], "missing.png", "text.png", NAMES[0], ""],
    )
    for _ in range(2):
        result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
        reasons = {path.removeprefix(f"{tmp_path}/"): why for path, why in result.failed[["path", "reason"]].to_numpy()}
        assert reasons.keys() == {"a.zip member=missing.png", "a.zip member=text.png", "gone.zip member=0.png", "a.zip"}
        assert "no such member" in reasons["a.zip member=missing.png"]
        assert "no image" in reasons["a.zip member=text.png"]
        assert "no such file" in reasons["gone.zip member=0.png"]
        assert "column 'member'" in reasons["a.zip"]
    excluded = load_features(manifest, "srm", cache=tmp_path / "cache").excluded
    assert set(excluded["path"]) == reasons.keys()


def test_a_million_members_need_one_look_at_their_archive(tmp_path, monkeypatch):
    make_zip(tmp_path / "a.zip", {"0.png": b"x"})
    manifest = manifest_of(tmp_path, path=["a.zip"] * 1000, member=[f"{n}.png" for n in range(1000)])
    looked = []
    import os

    original = os.stat
    monkeypatch.setattr("probekit.keys.index.os.stat", lambda path, **_: looked.append(path) or original(path))
    found = known_keys(Samples.of_rows(manifest), KeyIndex.open(tmp_path))
    monkeypatch.undo()
    assert looked.count(str(tmp_path / "a.zip")) == 1
    assert (found.readable.all(), found.known.any()) == (True, False)


def test_samples_are_distinct_by_path_member_frame_and_box(tmp_path):
    manifest = manifest_of(
        tmp_path,
        path=["a.zip", "a.zip", "v.mp4", "v.mp4", "v.mp4", str(tmp_path / "a.zip"), "p.png"],
        member=["1", "2", "", "", "", "1", ""],
        frame=["", "", "3", "4", "3", "", ""],
        **{name: ["", "", "", "", value, "", ""] for name, value in (("x0", 0), ("y0", 0), ("x1", 8), ("y1", 9))},
    )
    path = str(tmp_path / "v.mp4")
    assert list(Samples.distinct(manifest)) == [
        Sample(str(tmp_path / "a.zip"), "1"),
        Sample(str(tmp_path / "a.zip"), "2"),
        Sample(path, frame=3),
        Sample(path, frame=4),
        Sample(path, frame=3, box=(0, 0, 8, 9)),
        Sample(str(tmp_path / "p.png")),
    ]
    assert Samples.distinct(manifest)[4].name == f"{path} frame=3 x0=0 y0=0 x1=8 y1=9"
    assert manifest.table["group"].tolist()[:4] == ["a.zip/1", "a.zip/2", "v.mp4", "v.mp4"]


def test_frames_of_a_video_are_rows_whose_keys_are_known_afterwards(tmp_path):
    pytest.importorskip("av", reason="frames of videos are read by PyAV, which is not installed")
    make_video(tmp_path / "a.mp4", frames=12)
    manifest = manifest_of(tmp_path, path=["a.mp4"] * 5, frame=["0", "3", "11", "4", "12"])
    result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", workers=3)
    assert (result.models[0].done, result.models[0].failed) == (4, 1)
    assert result.failed["reason"].tolist() == ["it has 12 frames, from 0 to 11: there is no frame 12."]
    found = known_keys(Samples.of_rows(manifest), KeyIndex.open(tmp_path / "cache"))
    assert found.known.all()
    assert len(np.unique(found.keys, axis=0)) == 5
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].computed == 0
    assert len(np.unique(features_of(manifest, tmp_path / "cache"), axis=0)) == 4
