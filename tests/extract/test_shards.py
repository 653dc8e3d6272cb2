"""Shards: disjoint, complete, independent of order and place; and sixteen real processes at one store."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probekit.errors import StoreError, UsageError
from probekit.extract import ExtractSettings, Shard, extract
from probekit.features import load_features
from probekit.fingerprint import hash_bytes
from probekit.manifest import Manifest, validate
from probekit.samples import full_names, place_hashes
from probekit.store import list_stores, writers
from tests.extract.conftest import manifest_of, write_image

SRM = ExtractSettings(("srm",))
ROOT = Path(__file__).parents[2]


def listed(rows: int, **columns: object) -> Manifest:
    """A manifest over files that nobody reads."""
    return manifest_of(Path("nowhere"), [f"folder/{row:05d}.png" for row in range(rows)], **columns)


def names_in(manifest: Manifest, of: int) -> list[list[str]]:
    return [full_names(Shard(number, of).samples_of(manifest).table) for number in range(1, of + 1)]


@pytest.mark.parametrize("of", [1, 2, 16, 97])
def test_every_sample_is_in_exactly_one_shard(of):
    manifest = listed(1000)
    shards = names_in(manifest, of)
    assert sorted(name for shard in shards for name in shard) == full_names(manifest.table)
    assert max(map(len, shards)) < 2 * 1000 / of + 30, "the hash spreads unevenly"


def test_shards_do_not_depend_on_the_order_the_root_or_the_rest_of_the_manifest():
    manifest = listed(400)
    mixed = replace(manifest, table=manifest.table.sample(frac=0.5, random_state=0), root=Path("/mnt/elsewhere"))
    there = set(full_names(mixed.table))
    for whole, part in zip(names_in(manifest, 8), names_in(mixed, 8), strict=True):
        assert set(part) == set(whole) & there


def test_two_spellings_of_one_path_are_in_one_shard():
    tidy, untidy = listed(100), manifest_of(Path("nowhere"), [f"folder/./x/..//{row:05d}.png" for row in range(100)])
    untidy_rows = [set(shard) for shard in names_in(untidy, 4)]
    for rows, shard in zip(untidy_rows, names_in(tidy, 4), strict=True):
        assert {os.path.normpath(name) for name in rows} == set(shard)


def test_keys_of_a_bucket_are_taken_as_they_stand():
    urls = [f"s3://bucket/a{before}{row}.png" for row in range(50) for before in ("/", "/%2F", "/..")]
    manifest = manifest_of(Path("/"), urls)
    assert sorted(name for shard in names_in(manifest, 4) for name in shard) == sorted(urls)
    assert len(np.unique(place_hashes(manifest))) == len(urls)


def test_members_frames_and_boxes_of_one_file_are_divided_too():
    members = manifest_of(Path("x"), ["a.zip"] * 200, member=[f"{row}.png" for row in range(200)])
    frames = manifest_of(Path("x"), ["a.mp4"] * 200, frame=list(range(200)))
    boxes = manifest_of(Path("x"), ["a.png"] * 200, x0=list(range(200)), y0=[0] * 200, x1=[500] * 200, y1=[9] * 200)
    for manifest in (members, frames, boxes):
        shards = names_in(manifest, 4)
        assert sorted(name for shard in shards for name in shard) == sorted(full_names(manifest.table))
        assert min(map(len, shards)) > 20


def test_the_shard_of_a_path_is_the_remainder_of_its_blake2b_hash():
    def number(path: str) -> int:
        return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=16).digest()[:8], "little") % 3

    paths = [f"folder/{row:05d}.png" for row in range(12)]
    assert names_in(listed(12), 3) == [[path for path in paths if number(path) == shard] for shard in range(3)]


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "3/", "/4", "a/b", "-1/4", "1/0", "1.5/4", ""])
def test_what_is_no_shard_is_refused_in_one_line(text):
    with pytest.raises(UsageError, match="--shard"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("1/0", "cannot be divided into 0 parts"), ("5/4", "there are 4, counted from 1/4 to 4/4"), ("3", "as 3/16")],
)
def test_the_message_says_which_shards_there_are(text, said):
    with pytest.raises(UsageError, match=said):
        Shard.parse(text)


def test_how_many_samples_a_shard_has_is_told_in_one_line():
    assert Shard(3, 16).told(1234, of=20000) == "shard 3 of 16: 1,234 samples"
    assert Shard(3, 16).told(1, of=20) == "shard 3 of 16: 1 sample"
    assert Shard(1, 5000).told(0, of=1135) == ("shard 1 of 5000: none of the 1,135 samples, so there is nothing to do")


def test_shards_one_after_another_make_the_store_of_a_whole_run(make_manifest, tmp_path):
    manifest = make_manifest(12)
    extract(manifest, SRM, cache=tmp_path / "whole", device="cpu")
    said: list[str] = []
    results = [
        extract(manifest, SRM, cache=tmp_path / "parts", device="cpu", shard=Shard(number, 3), on_remark=said.append)
        for number in (3, 1, 2)
    ]
    assert sum(result.models[0].rows for result in results) == 12
    assert all(result.models[0].computed == result.models[0].rows for result in results)
    assert said == [f"shard {n} of 3: {r.models[0].rows} samples" for n, r in zip((3, 1, 2), results, strict=True)]
    last = extract(manifest, SRM, cache=tmp_path / "parts", device="cpu")
    assert (last.models[0].computed, last.models[0].done) == (0, 12)
    whole, parts = (load_features(manifest, "srm", cache=tmp_path / name).matrix for name in ("whole", "parts"))
    assert whole.tobytes() == parts.tobytes()


def test_a_shard_without_samples_ends_well(make_manifest, tmp_path):
    manifest = make_manifest(1)
    results = [extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", shard=Shard(n, 4)) for n in range(1, 5)]
    assert sorted(result.models[0].computed for result in results) == [0, 0, 0, 1]


def test_identical_bytes_in_two_shards_are_one_row(tmp_path):
    write_image(tmp_path / "0.png", 0)
    names = [f"{number}.png" for number in range(8)]
    for name in names[1:]:
        shutil.copy(tmp_path / "0.png", tmp_path / name)
    manifest = manifest_of(tmp_path, names)
    for number in (1, 2):
        extract(manifest, SRM, cache=tmp_path / "cache", device="cpu", shard=Shard(number, 2))
    (store,) = list_stores(tmp_path / "cache")
    assert store.rows == 1


def pretend(monkeypatch, **found: str) -> None:
    """Let this process have other versions of some libraries."""
    ours = dict(writers.versions())
    monkeypatch.setattr(writers, "versions", lambda: ours | found)


def test_a_store_of_other_versions_is_refused_with_one_line_that_names_both(make_manifest, tmp_path, monkeypatch):
    extract(make_manifest(2), SRM, cache=tmp_path / "cache", device="cpu")
    here = writers.versions()["torch"].partition("+")[0]
    pretend(monkeypatch, torch="1.13.1+cu117")
    with pytest.raises(StoreError, match=rf"torch {here} there, 1\.13\.1 here.*--mixed-versions") as error:
        extract(make_manifest(4), SRM, cache=tmp_path / "cache", device="cpu")
    assert "\n" not in str(error.value)
    assert list_stores(tmp_path / "cache")[0].rows == 2


def test_a_finished_store_of_other_versions_is_still_looked_at_and_read(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(2)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    pretend(monkeypatch, torch="1.13.1", probekit="9.9")
    assert extract(manifest, SRM, cache=tmp_path / "cache", device="cpu").models[0].done == 2
    assert len(load_features(manifest, "srm", cache=tmp_path / "cache").matrix) == 2


def test_mixed_versions_are_accepted_by_name_recorded_and_then_known(make_manifest, tmp_path, monkeypatch):
    extract(make_manifest(2), SRM, cache=tmp_path / "cache", device="cpu")
    pretend(monkeypatch, torch="1.13.1+cu117")
    result = extract(make_manifest(3), SRM, cache=tmp_path / "cache", device="cpu", mixed_versions=True)
    assert "1.13.1 here" in result.notes[0]
    (store,) = list_stores(tmp_path / "cache")
    assert [writer["torch"] for writer in store.writers][1:] == ["1.13.1+cu117"]
    assert list(store.verify()) == []
    again = extract(make_manifest(4), SRM, cache=tmp_path / "cache", device="cpu")  # known by now
    assert (again.models[0].computed, again.notes) == (1, ())
    keep = store.identities()[0][:1]
    store.prune(store.surplus(keep))
    assert len(store.writers) == 2, "pruning lost who wrote"


def test_builds_of_one_version_and_libraries_that_do_not_matter_are_no_difference(make_manifest, tmp_path, monkeypatch):
    extract(make_manifest(1), SRM, cache=tmp_path / "cache", device="cpu")
    torch = writers.versions()["torch"].partition("+")[0]
    pretend(monkeypatch, torch=f"{torch}+cu999", timm="0.0.1", numpy="0.1", pandas="0.1")
    assert extract(make_manifest(2), SRM, cache=tmp_path / "cache", device="cpu").models[0].computed == 1


def test_a_damaged_record_of_a_writer_is_found(make_manifest, tmp_path, monkeypatch):
    extract(make_manifest(1), SRM, cache=tmp_path / "cache", device="cpu")
    pretend(monkeypatch, torch="1.13.1")
    extract(make_manifest(2), SRM, cache=tmp_path / "cache", device="cpu", mixed_versions=True)
    (store,) = list_stores(tmp_path / "cache")
    (file,) = store.path.glob(writers.FILES)
    file.write_bytes(file.read_bytes().replace(b"1.13.1", b"1.13.2"))
    assert any(file.name in line for line in store.verify())


IMAGES, SHARDS = 96, 16


@pytest.fixture
def sixteen(tmp_path):
    """A folder with a manifest in which every fourth image is a copy of another."""
    root = tmp_path / "images"
    names = [f"{number:03d}.png" for number in range(IMAGES)]
    for number, name in enumerate(names):
        write_image(root / name, number - number % 4 if number % 4 == 3 else number)
    table = pd.DataFrame({"path": names, "label": 1, "generator": "gen", "split": "train"})
    manifest = Manifest("copies", None, root, validate(table, "copies")).write(tmp_path / "manifests")
    return tmp_path, manifest


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    code = "import sys; sys.argv[0] = 'probekit'; from probekit_cli.app import main; main()"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, "extract", "--model", "srm", "--device", "cpu", "--unit-size", "2", *options]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # sixteen interpreters on few cores
def test_sixteen_concurrent_shards_leave_the_store_of_a_local_run(sixteen):
    folder, manifest = sixteen
    running = [start(folder, "--shard", f"{number}/{SHARDS}") for number in range(1, SHARDS + 1)]
    said = [process.communicate()[1].decode() for process in running]
    assert [process.returncode for process in running] == [0] * SHARDS, said
    assert all(f"shard {number} of {SHARDS}: " in text for number, text in enumerate(said, 1))

    last = start(folder)
    problem = last.communicate()[1]
    assert last.returncode == 0, problem
    extract(manifest, SRM, cache=folder / "local", device="cpu")
    shared, local = (load_features(manifest, "srm", cache=folder / name).matrix for name in ("cache", "local"))
    assert np.array_equal(shared, local)
    distinct = len({hash_bytes(file.read_bytes()) for file in (folder / "images").iterdir()})
    (store,) = list_stores(folder / "cache")
    assert store.rows == distinct
    assert list(store.verify()) == []
    assert not list((store.path / "journal" / "parts").glob("*.safetensors")), "the last step folds"

    records = [json.loads(file.read_text()) for file in folder.glob("runs/*/run.json")]
    shards = sorted(record["shard"]["number"] for record in records if "shard" in record)
    assert shards == list(range(1, SHARDS + 1))
    for record in records:
        (model,) = record["result"]["models"]
        assert (model["device"], model["precision"]) == ("cpu", "float32")
        assert record["versions"]["torch"]
    assert sum(record["result"]["models"][0]["rows"] for record in records if "shard" in record) == IMAGES
