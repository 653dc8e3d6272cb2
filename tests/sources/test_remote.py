"""Images, masks and manifests in buckets: read as from a disk, remembered by what they are, secrets kept out."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probekit import records, remote, sources
from probekit.errors import ImageError, ManifestError, UsageError
from probekit.extract import ExtractSettings, extract
from probekit.features import load_features
from probekit.keys import KeyIndex, file_digest
from probekit.manifest import Manifest, validate
from probekit.manifest.check import check
from probekit.manifest.masks import read_mask
from probekit.normalise import NormaliseSettings, normalise
from probekit.sources import Sample
from tests.extract.conftest import write_image

obstore = pytest.importorskip("obstore", reason="the extra remote is not installed")
SRM = ExtractSettings(("srm",))


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of this process, empty, and how often each kind of request reached it."""
    remote._store.cache_clear()
    store, asked = remote.store_of("memory", "bucket"), {"get": 0, "head": 0}
    for name in asked:
        original = getattr(remote, f"_{name}")

        def counted(store, key, name=name, original=original):
            asked[name] += 1
            return original(store, key)

        monkeypatch.setattr(remote, f"_{name}", counted)
    return store, asked


def fill(store, tmp_path, count=6):
    names = [f"faces/a b/{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        obstore.put(store, name, write_image(tmp_path / "images" / name, number).read_bytes())
    return names


def manifest_of(root, paths, **columns):
    table = pd.DataFrame({"path": list(paths), "label": 1, "generator": "gen", "split": "train"})
    return Manifest("test", None, Path(root), validate(table.assign(**columns), "test"))


def urls(names):
    return [f"memory://bucket/{name}" for name in names]


def test_images_in_a_bucket_give_the_features_that_they_give_on_a_disk(bucket, tmp_path):
    store, _ = bucket
    names = fill(store, tmp_path)
    there, here = manifest_of("/", urls(names)), manifest_of(tmp_path / "images", names)
    result = extract(there, SRM, cache=tmp_path / "there", device="cpu")
    assert (result.models[0].done, result.models[0].failed) == (6, 0)
    extract(here, SRM, cache=tmp_path / "here", device="cpu")
    found, expected = (load_features(m, "srm", cache=tmp_path / c) for m, c in ((there, "there"), (here, "here")))
    assert found.matrix.tobytes() == expected.matrix.tobytes()
    again = extract(here, SRM, cache=tmp_path / "there", device="cpu")
    assert again.models[0].computed == 0, "identity is the content's, wherever it lies"


def test_a_second_run_asks_whether_objects_have_changed_and_reads_none(bucket, tmp_path):
    store, asked = bucket
    manifest = manifest_of("/", urls(fill(store, tmp_path)))
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    assert asked == {"get": 6, "head": 0}
    again = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    assert (again.models[0].computed, asked) == (0, {"get": 6, "head": 6})
    obstore.put(store, "faces/a b/2.png", write_image(tmp_path / "other.png", 77).read_bytes())
    changed = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    assert (changed.models[0].computed, asked["get"]) == (1, 7)


def test_questions_ask_no_bucket(bucket, tmp_path):
    store, asked = bucket
    names = fill(store, tmp_path)
    manifest = manifest_of("/", urls(names))
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    asked.update(get=0, head=0)
    obstore.delete(store, names)
    assert len(load_features(manifest, "srm", cache=tmp_path / "cache").matrix) == 6
    assert asked == {"get": 0, "head": 0}


def test_objects_that_are_gone_damaged_or_no_images_are_recorded_with_their_reasons(bucket, tmp_path):
    store, _ = bucket
    names = fill(store, tmp_path, 2)
    obstore.put(store, "text.png", b"no image")
    obstore.put(store, "many.zip", b"PK")
    rows = [*names, "text.png", "nothing.png", "many.zip", "many.zip", "film.mp4"]
    manifest = manifest_of("/", urls(rows), member=["", "", "", "", "", "a.png", ""], frame=["", "", "", "", "", "", 3])
    result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    assert result.models[0].done == 2
    reasons = dict(zip(result.failed["path"], result.failed["reason"], strict=True))
    assert len(reasons) == 5
    assert reasons["memory://bucket/nothing.png"] == "there is no such object."
    assert "archives and videos are read from disks alone" in reasons["memory://bucket/many.zip member=a.png"]
    assert "archives and videos are read from disks alone" in reasons["memory://bucket/film.mp4 frame=3"]
    assert "name one of its images in column 'member'" in reasons["memory://bucket/many.zip"]


def test_an_object_that_vanished_is_not_what_is_remembered(bucket, tmp_path):
    store, _ = bucket
    obstore.put(store, "x", b"x")
    index = KeyIndex.open(tmp_path)
    data, status = remote.read("memory://bucket/x")
    index.add("memory://bucket/x", status, file_digest(data))
    index.flush()
    names = ["memory://bucket/x", "memory://bucket/never-seen"]
    believed = index.look_up(names)
    assert (believed.unchanged.tolist(), believed.readable.tolist()) == ([True, False], [True, True])
    assert index.gone(keep=()) == []
    obstore.delete(store, "x")
    looked_at = index.look_up(names, ask=True)
    assert (looked_at.unchanged.tolist(), looked_at.readable.tolist()) == ([False, False], [False, True])


def test_file_urls_are_paths(tmp_path):
    image = write_image(tmp_path / "a b.png", 1)
    manifest = manifest_of("/nowhere", [f"file://{image}"])
    result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    assert result.models[0].done == 1
    assert extract(manifest_of(tmp_path, ["a b.png"]), SRM, cache=tmp_path / "cache", device="cpu").images == 0


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("s3://key:hidden@bucket/a.png", "it holds credentials or a query"),
        ("az://container/a.png?sv=1&sig=hidden", "it holds credentials or a query"),
        ("ftp://host/a.png", "ftp:// is not read"),
        ("https://host/a.png", "https:// is not read"),
        ("s3://bucket", "write s3://BUCKET/KEY"),
        ("file://host/a.png", "write file:///PATH"),
    ],
)
def test_urls_that_are_not_read_are_refused_without_quoting_them(url, why):
    with pytest.raises(ManifestError, match=why) as error:
        manifest_of("/", ["s3://bucket/a#b?.png", url])
    assert "test row 1: path" in str(error.value)
    assert "hidden" not in str(error.value)
    with pytest.raises(UsageError, match=why):
        sources.read(Sample(url))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("s3://key:hidden@bucket/a.csv", "s3://bucket/a.csv"),
        ("--manifest=az://c/a.csv?sig=hidden&x=1", "--manifest=az://c/a.csv"),
        ("timm:vit_tiny", "timm:vit_tiny"),
        ("a@b?c=d", "a@b?c=d"),
    ],
)
def test_a_run_record_keeps_no_secret_of_a_url(typed, kept, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["probekit", "extract", typed])
    with records.start("extract", {}, runs=tmp_path) as run:
        assert json.loads((run.path / "run.json").read_text())["command"] == ["probekit", "extract", kept]


def test_a_manifest_in_a_bucket_has_its_images_below_its_root(bucket, tmp_path):
    store, _ = bucket
    names = fill(store, tmp_path, 3)
    mask = np.zeros((40, 48, 3), np.uint8)
    mask[:10] = 255
    from PIL import Image

    Image.fromarray(mask).save(tmp_path / "mask.png")
    obstore.put(store, "faces/mask.png", (tmp_path / "mask.png").read_bytes())
    rows = "".join(f"{name.removeprefix('faces/')},1,gen,train,mask.png\n" for name in names)
    obstore.put(store, "faces/lists/few.csv", f"path,label,generator,split,mask\n{rows}".encode())
    obstore.put(store, "faces/lists/few.json", json.dumps({"schema": 1, "root": ".."}).encode())
    manifest = Manifest.read("memory://bucket/faces/lists/few.csv")
    assert manifest.name == "few"
    assert manifest.table["path"].tolist() == urls(names)
    marked = read_mask(manifest, 0)
    assert marked is not None
    assert marked[:10].all()
    assert not marked[10:].any()
    assert check(manifest).counts.keys() <= {"one class", "generator in one split", "too few groups", "no real images"}
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].done == 3
    with pytest.raises(ManifestError, match="few has images or masks in buckets: copy them to a disk"):
        normalise(manifest, "copy", tmp_path / "copy", NormaliseSettings())


def test_a_manifest_on_a_disk_may_have_its_root_in_a_bucket(bucket, tmp_path):
    store, _ = bucket
    names = fill(store, tmp_path, 2)
    (tmp_path / "few.csv").write_text("path,label,generator,split\n" + "".join(f"{n},1,gen,train\n" for n in names))
    (tmp_path / "few.json").write_text(json.dumps({"schema": 1, "root": "memory://bucket/"}))
    assert Manifest.read(tmp_path / "few.csv").table["path"].tolist() == urls(names)


def test_what_is_wrong_with_a_manifest_in_a_bucket_is_told_by_its_url(bucket):
    store, _ = bucket
    obstore.put(store, "bad.csv", b"path,label,generator\nx.png,5,gen\n")
    obstore.put(store, "empty.csv", b"")
    for name, why in (
        ("bad.csv", "row 2: label is '5'"),
        ("empty.csv", "is empty"),
        ("none.csv", "there is no such object"),
        ("faces", "name a file that ends on .csv or .parquet"),
    ):
        with pytest.raises(ManifestError, match=why) as error:
            Manifest.read(f"memory://bucket/{name}")
        assert f"memory://bucket/{name}" in str(error.value)


def test_without_obstore_the_extra_is_named(monkeypatch):
    remote._store.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UsageError, match=r"pip install 'probekit\[remote\]'"):
        remote.read("s3://bucket/a.png")


def test_without_credentials_it_says_so_and_not_how_a_role_was_sought():
    sought = OSError("Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1ms")
    assert remote._first_line(sought).startswith("may not be read: there are no credentials in the environment")


def test_what_is_read_has_the_key_of_its_bytes(bucket):
    store, _ = bucket
    obstore.put(store, "x/ü #?.png", b"bytes")
    content = sources.read(Sample("memory://bucket/x/ü #?.png"))
    assert content.digest == file_digest(b"bytes")
    assert content.stat.st_size == 5
    with pytest.raises(ImageError, match="there is no such object"):
        sources.read(Sample("memory://bucket/y"))
