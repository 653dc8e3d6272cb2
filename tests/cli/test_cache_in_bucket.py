"""`--cache URL`: every command, on stores in a bucket of this process."""

import json
import os
import sys

import pytest

from probekit.paths import path_of
from probekit.remote import buckets

obstore = pytest.importorskip("obstore", reason="the extra remote is not installed")
CACHE = "memory://lab/team/cache"


@pytest.fixture
def in_bucket(type_, faces, monkeypatch):
    """Types a command whose cache is a bucket with the features of `faces`; the disk has a cache of its own."""
    buckets._store.cache_clear()
    monkeypatch.setenv("PROBEKIT_CACHE", CACHE)
    done = type_("probekit extract --model srm --json")
    assert json.loads(done.out)["models"][0]["computed"] == 36
    yield type_
    buckets._store.cache_clear()


def test_the_features_are_those_of_a_disk_and_are_not_computed_again(in_bucket):
    again = in_bucket("probekit extract --model srm --json")
    assert json.loads(again.out)["models"][0]["computed"] == 0
    command = "probekit probe --train lama --test all --model srm --bootstrap 50 --json"
    there, here = in_bucket(command), in_bucket(f"{command} --cache cache")
    assert there.code == here.code == 0, there.err
    assert json.loads(there.out)["runs"][0]["pairs"] == json.loads(here.out)["runs"][0]["pairs"]


@pytest.mark.parametrize(
    "command",
    [
        "retrieve --model srm",
        "map --model srm --perplexity 5",
        "audit",
        "cache info srm",
        "cache failed",
        "cache export srm --to features.parquet",
    ],
)
def test_questions_and_upkeep_go_the_same_way(in_bucket, command):
    done = in_bucket(f"probekit {command}")
    assert done.code == 0, done.err


def test_its_stores_are_listed_checked_and_removed(in_bucket):
    (store,) = json.loads(in_bucket("probekit cache ls --json").out)["stores"]
    assert (store["model"], store["rows"]) == ("srm", 36)
    assert store["bytes"] > 36 * 135
    assert "every byte is as it was written" in in_bucket("probekit cache verify").err
    (shard,) = path_of(CACHE).glob("srm-*/blocks/c/0/0")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert in_bucket("probekit cache verify").code == 2
    removed = in_bucket("probekit cache rm srm --yes")
    assert (removed.code, f"deleted {CACHE}/srm-" in removed.err) == (0, True)
    assert f"{CACHE} has no stores yet" in in_bucket("probekit cache ls").err


def test_rows_are_not_pruned_there_and_it_says_why(in_bucket, tmp_path):
    table = tmp_path / "manifests" / "faces.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if "ldm" not in line))
    done = in_bucket("probekit cache gc --yes")
    assert done.code == 2
    assert f"left as it was: {CACHE}/srm-" in done.err
    assert "is in a bucket, where no store can take another's place" in done.err
    (store,) = json.loads(in_bucket("probekit cache ls --json").out)["stores"]
    assert store["rows"] == 36


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "finetune --model resnet18 --name net",
            f"{CACHE}: networks lie on a disk, the stores alone may be",
        ),
        ("demo", f"{CACHE}: the demo's images lie on a disk"),
        ("extract --model tuned:net", f"{CACHE}: networks lie on a disk"),
        ("cache ls --cache s3://lab", "s3://lab: write s3://BUCKET/KEY."),
        ("cache ls --cache ftp://lab/cache", "ftp:// is not read: it is one of s3://, gs://, az:// or a path."),
        ("cache ls --cache s3:/lab/cache", "probekit: s3:/lab/cache: write it with two slashes behind the colon."),
        ("cache ls --cache s3:/me:word@lab/cache", "probekit: s3:/lab/cache: write it with two slashes"),
        (
            "cache ls --cache s3://lab/team//cache",
            "s3://lab/team//cache: a key is taken as it stands: write it without",
        ),
        ("audit --runs s3://lab/runs", "s3://lab/runs: run records lie on a disk: name a folder with --runs."),
        ("manifest import s3://lab/faces --name f", "s3://lab/faces: images to import lie on a disk: write the"),
        ("cache ls --cache s3://me:word@lab/cache", "s3://lab/cache: it holds credentials or a query"),
    ],
)
def test_what_cannot_be_done_there_is_said_in_one_line(in_bucket, command, said):
    done = in_bucket(f"probekit {command}")
    assert done.code == 2, done.out
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert "word" not in done.err


@pytest.mark.parametrize("command", ["cache ls", "cache info srm", "extract --model srm", "probe --model srm"])
def test_without_obstore_every_command_names_the_extra(type_, faces, monkeypatch, command):
    buckets._store.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "probekit.remote.library", raising=False)
    done = type_(f"probekit {command} --cache s3://lab/x")
    assert (done.code, "Traceback" in done.err) == (2, False), done.err
    assert done.err.endswith("are reached by obstore: pip install 'probekit[remote]'.\n")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"AWS_ENDPOINT_URL": "127.0.0.1:5559"},
            "s3://lab: AWS_ENDPOINT_URL is no address of a server: write https://",
        ),
        (
            {"AWS_ACCESS_KEY_ID": "key"},
            "s3://lab: cannot be opened (Generic S3 error: Missing SecretAccessKey): correct",
        ),
    ],
)
def test_settings_of_a_bucket_that_are_wrong_end_in_one_line(type_, monkeypatch, settings, said):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    buckets._store.cache_clear()
    done = type_("probekit cache ls --cache s3://lab/x")
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert done.err.startswith(f"probekit: {said}")


def test_a_manifest_of_a_bucket_is_shown_with_the_place_of_its_images(type_):
    buckets._store.cache_clear()
    table = b"path,label,generator\nreal/a.png,0,real\nfake/a.png,1,gen\n"
    obstore.put(buckets.store_of("memory", "lab"), "faces/few.csv", table)
    command = "probekit manifest show memory://lab/faces/few.csv"
    assert "images in memory://lab/faces\n" in type_(command).out
    shown = json.loads(type_(f"{command} --json").out)
    assert (shown["images"], shown["path"]) == (["memory://lab/faces"], None)


def test_a_file_url_is_a_folder(type_, faces):
    done = type_(f"probekit cache ls --cache file://{faces.parent}/cache --json")
    assert len(json.loads(done.out)["stores"]) == 1
