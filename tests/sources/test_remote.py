"""Images, masks and manifests in buckets: read as from a disk, remembered by what they are, secrets kept out."""

import asyncio
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from zarr.core.buffer import default_buffer_prototype

from probekit import records, remote, sources
from probekit.errors import ImageError, ManifestError, RemoteError, UsageError
from probekit.extract import ExtractSettings, extract
from probekit.features import load_features
from probekit.keys import KeyIndex, file_digest
from probekit.manifest import Manifest, validate
from probekit.manifest.check import check
from probekit.manifest.masks import read_mask
from probekit.manifest.urls import places
from probekit.normalise import NormaliseSettings, normalise
from probekit.remote import buckets, objects, settings
from probekit.sources import Sample
from probekit.store.bucket_store import PatientStore
from tests.extract.conftest import write_image

obstore = pytest.importorskip("obstore", reason="the extra remote is not installed")
SRM = ExtractSettings(("srm",))


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of this process, empty, and how often each kind of request reached it."""
    buckets._store.cache_clear()
    store, asked = buckets.store_of("memory", "bucket"), {"get": 0, "head": 0}
    for name in asked:
        original = getattr(objects, f"_{name}")

        def counted(store, key, name=name, original=original):
            asked[name] += 1
            return original(store, key)

        monkeypatch.setattr(objects, f"_{name}", counted)
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


def test_however_many_objects_are_asked_for_few_wait(monkeypatch):
    submit, waiting = ThreadPoolExecutor.submit, []
    monkeypatch.setattr(ThreadPoolExecutor, "submit", lambda *asked: waiting.append(1) or submit(*asked))
    monkeypatch.setattr(objects, "_status", str.upper)
    monkeypatch.setattr(objects, "QUEUE", 10)
    answers = remote.statuses([f"s3://b/{number}" for number in range(25)])
    first = next(answers)
    assert len(waiting) == 10
    assert [first, *answers] == [f"S3://B/{number}" for number in range(25)]


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
        ("s3://bucket/real//a.png", "a key is taken as it stands: write it without //, /./, /../ and a slash"),
        ("s3://bucket//a.png", "a key is taken as it stands"),
        ("s3://bucket/real/", "a key is taken as it stands"),
        ("s3://bucket/./a.png", "a key is taken as it stands"),
        ("s3://bucket/real/../a.png", "a key is taken as it stands"),
        ("s3://my bucket/a.png", "the name of a bucket is letters, digits"),
        ("s3://../a.png", "the name of a bucket is letters, digits"),
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


@pytest.mark.parametrize("odd", ["real//a.png", "./a.png", "real/./a.png", "real/../a.png", "../a.png", "real/"])
def test_relative_paths_below_a_bucket_are_keys_as_they_stand(bucket, tmp_path, odd):
    store, _ = bucket
    header = "path,label,generator,split,mask\n"
    (tmp_path / "few.json").write_text(json.dumps({"root": "memory://bucket/faces"}))
    below = ((f"other.png,1,gen,train,\n\n{odd},1,gen,train,\n", 4, "path"), (f"a,1,g,test,{odd}\n", 2, "mask"))
    for row, number, column in below:
        text = f"{header}{row}"
        (tmp_path / "few.csv").write_text(text)
        obstore.put(store, "faces/few.csv", text.encode())
        for file in (str(tmp_path / "few.csv"), "memory://bucket/faces/few.csv"):
            with pytest.raises(ManifestError, match="a key is taken as it stands: write it without //") as error:
                Manifest.read(file)
            assert str(error.value).startswith(f"{file} row {number}: {column} is {odd!r} below memory://bucket/faces:")
    (tmp_path / "few.json").unlink()
    (tmp_path / "few.csv").write_text(f"path,label,generator,split\n{odd},1,gen,train\n")
    assert Manifest.read(tmp_path / "few.csv").table["path"].tolist() == [odd], "paths of a disk are free to have them"


@pytest.mark.parametrize(
    ("root", "why"),
    [
        ("s3://me:hidden@lab/faces", "it holds credentials or a query"),
        ("s3://lab/faces?sig=hidden", "it holds credentials or a query"),
        ("https://lab/faces", "https:// is not read"),
        ("s3://lab/a//b", "a key is taken as it stands"),
    ],
)
def test_a_root_that_is_not_read_is_told_by_the_file_that_names_it(bucket, tmp_path, root, why):
    store, _ = bucket
    files = {"few.csv": "path,label,generator,split\na.png,1,gen,train\n", "few.json": json.dumps({"root": root})}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        obstore.put(store, name, text.encode())
    for place in (str(tmp_path), "memory://bucket"):
        with pytest.raises(ManifestError, match=why) as error:
            Manifest.read(f"{place}/few.csv")
        assert str(error.value).startswith(f"{place}/few.json: root is a URL that is not read: ")
        assert "hidden" not in str(error.value)


def test_facts_in_a_bucket_that_cannot_be_read_are_told_by_their_url(bucket):
    store, _ = bucket
    obstore.put(store, "few.csv", b"path,label,generator\na.png,1,gen\n")
    obstore.put(store, "few.json", b"{")
    with pytest.raises(ManifestError, match=r"^memory://bucket/few\.json cannot be read"):
        Manifest.read("memory://bucket/few.csv")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/0.png", "b/1.png"], ["/home/faces"]),
        (["s3://lab/a/0.png", "s3://lab/b/1.png"], ["s3://lab"]),
        (["s3://lab/faces/a/10.png", "s3://lab/faces/a/12.png"], ["s3://lab/faces/a"]),
        (["s3://lab/a/0.png", "a.png", "s3://lob/b/1.png"], ["/home/faces", "s3://lab/a", "s3://lob/b"]),
        (["/disk/faces/a/0.png", "/disk/faces/b/1.png"], ["/disk/faces"]),
        (["/a/0.png", "/b/1.png"], ["/"]),
    ],
)
def test_it_is_told_where_images_lie(paths, expected):
    assert places(pd.Series(paths, dtype="str"), Path("/home/faces")) == expected


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
    buckets._store.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "probekit.remote.library", raising=False)
    with pytest.raises(UsageError, match=r"pip install 'probekit\[remote\]'"):
        remote.read("s3://bucket/a.png")


@pytest.fixture
def no_settings(monkeypatch):
    """An environment that says nothing of buckets; nothing is sent anywhere."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    buckets._store.cache_clear()
    yield monkeypatch
    buckets._store.cache_clear()


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("s3://lab/x", "AWS_ENDPOINT_URL", "me:hidden@127.0.0.1:5559"),
        ("s3://lab/x", "AWS_ENDPOINT_URL", ""),
        ("s3://lab/x", "AWS_ENDPOINT_URL", "http:/127.0.0.1"),
        ("s3://lab/x", "AWS_ENDPOINT_URL", "http://"),
        ("s3://lab/x", "AWS_ENDPOINT_URL", "http://127.0.0.1:99999"),
        ("s3://lab/x", "AWS_ENDPOINT_URL", "ftp://127.0.0.1"),
        ("s3://lab/x", "AWS_ENDPOINT_URL", "http://127.0.0.1:5559 "),
        ("s3://lab/x", "AWS_ENDPOINT_URL_S3", "127.0.0.1"),
        ("gs://lab/x", "GOOGLE_BASE_URL", "127.0.0.1"),
        ("az://lab/x", "AZURE_STORAGE_ENDPOINT", "127.0.0.1"),
    ],
)
def test_an_endpoint_that_is_no_address_is_named_before_obstore_sees_it(no_settings, capfd, url, name, value):
    no_settings.setenv(name, value)
    no_settings.setenv("AWS_SKIP_SIGNATURE", "true")
    no_settings.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    said = f"^{url[:8]}: {name} is no address of a server: write https://HOST or http://HOST:PORT, or unset it.$"
    with pytest.raises(UsageError, match=said):
        remote.read(url)
    assert capfd.readouterr().err == "", "obstore panicked"


def test_an_endpoint_may_be_plain_or_not(no_settings):
    for address in ("http://127.0.0.1:5559", "https://host", "HTTP://host/path", "http://[::1]:80"):
        no_settings.setenv("AWS_ENDPOINT_URL", address)
        assert settings.fault("s3") == ""
        assert settings.is_plain("s3") == (not address.startswith("https"))
        assert not settings.is_plain("gs")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"])
def test_a_line_break_behind_a_setting_is_named_and_the_setting_is_not_quoted(no_settings, name):
    no_settings.setenv(name, "hidden\n")
    with pytest.raises(UsageError, match=f"^s3://lab: {name} holds a blank or a line break: set it without.$"):
        remote.read("s3://lab/x")


@pytest.mark.parametrize(
    ("url", "given", "why", "needs"),
    [
        ("s3://lab/x", {"AWS_ACCESS_KEY_ID": "key"}, "Missing SecretAccessKey", "AWS_SECRET_ACCESS_KEY"),
        ("s3://lab/x", {"AWS_SKIP_SIGNATURE": "hidden"}, "failed to parse … as boolean", "AWS_SKIP_SIGNATURE=true"),
        ("az://lab/x", {}, "Account must be specified", "AZURE_STORAGE_ACCOUNT_NAME"),
        ("gs://lab/x", {"GOOGLE_SERVICE_ACCOUNT": "/none.json"}, "Unable to open service", "GOOGLE_SERVICE_ACCOUNT"),
        ("gs://lab/x", {"GOOGLE_SERVICE_ACCOUNT_KEY": '"hidden"'}, "Unable to decode", "GOOGLE_SERVICE_ACCOUNT"),
    ],
)
def test_a_bucket_that_cannot_be_opened_ends_in_a_line_that_names_what_to_set(no_settings, url, given, why, needs):
    for name, value in given.items():
        no_settings.setenv(name, value)
    for ask in (lambda: remote.read(url), remote.BucketPath.parse(url).exists):
        with pytest.raises(UsageError, match=why) as error:
            ask()
        line = str(error.value)
        assert line.startswith(f"{url[:8]}: cannot be opened (")
        assert needs in line.partition("in the environment. It needs ")[2]
        assert "\n" not in line
        assert "hidden" not in line


@pytest.mark.parametrize(
    ("error", "there"),
    [
        (FileNotFoundError("k not found: 404 Not Found: <?xml?>\n<Error><Code>NoSuchBucket</Code>"), False),
        (FileNotFoundError("k not found: 404 Not Found: <?xml?>\n<Error><Code>NoSuchKey</Code>"), True),
        (OSError("performing list request: status code: 404 Not Found: <?xml?>"), False),
    ],
)
def test_a_bucket_that_is_not_there_is_told_from_an_object_that_is_not(error, there):
    said = "^s3://lab/x: there is no such bucket, or not for us: correct its name, or AWS_… in the environment.$"
    expected = pytest.raises(FileNotFoundError) if there else pytest.raises(RemoteError, match=said)
    with expected, buckets.answering("s3://lab/x"):
        raise error


def test_without_credentials_it_says_so_and_not_how_a_role_was_sought():
    sought = OSError("Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1ms")
    assert buckets._first_line(sought).startswith(
        "may not be read or written: there are no credentials in the environment"
    )


def test_what_is_read_has_the_key_of_its_bytes(bucket):
    store, _ = bucket
    obstore.put(store, "x/ü #?.png", b"bytes")
    content = sources.read(Sample("memory://bucket/x/ü #?.png"))
    assert content.digest == file_digest(b"bytes")
    assert content.stat.st_size == 5
    with pytest.raises(ImageError, match="there is no such object"):
        sources.read(Sample("memory://bucket/y"))


class Broken(BaseHTTPRequestHandler):
    """Answers every request with 500."""

    def do_GET(self):
        self.server.requests += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_error(500)

    do_HEAD = do_PUT = do_GET

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def broken_server(monkeypatch):
    """An S3 server that is out of order, and counts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        server.requests = 0
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        for name, value in (("ENDPOINT_URL", url), ("SKIP_SIGNATURE", "true"), ("REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        for name in ("FIRST_PAUSE", "LONGEST_PAUSE"):
            monkeypatch.setattr(buckets, name, timedelta(milliseconds=1))
        buckets._store.cache_clear()
        yield server
        buckets._store.cache_clear()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: remote.read("s3://bucket/a.png"),
        lambda: list(remote.statuses(["s3://bucket/a.png"])),
        lambda: remote.BucketPath("s3", "bucket", "a").read_bytes(),
        lambda: remote.BucketPath("s3", "bucket", "a").write_bytes(b"x"),
        lambda: remote.BucketPath("s3", "bucket", "a").create(b"x"),
        lambda: list(remote.BucketPath("s3", "bucket", "a").files()),
        lambda: store_request("get", default_buffer_prototype()),
        lambda: store_request("set", default_buffer_prototype().buffer.from_bytes(b"x")),
    ],
)
def test_a_request_that_fails_is_sent_again_eight_times_and_no_more(broken_server, ask):
    with pytest.raises((RemoteError, obstore.exceptions.GenericError)):
        ask()
    assert broken_server.requests == 1 + buckets.RETRIES == 9


def store_request(name, *arguments):
    store = PatientStore(buckets.store_of("s3", "bucket"))
    return asyncio.run(getattr(store, name)("key", *arguments))


def test_an_answer_that_breaks_off_is_asked_for_again(monkeypatch):
    monkeypatch.setattr(buckets, "_pause", lambda attempt: 0)
    answers = [obstore.exceptions.GenericError("HTTP error: request or response body error")] * 3

    def ask():
        with buckets.answering("s3://bucket/a"):
            if answers:
                raise answers.pop()
            return "all of it"

    assert buckets.repeated(ask) == "all of it"
