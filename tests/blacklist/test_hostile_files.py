"""Files that pretend to be an exported blacklist: sealed rightly, and still refused in one line, leaving nothing."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probekit import blacklist
from probekit.blacklist.record import FILE
from probekit.blacklist.segments import COLUMNS
from probekit.errors import ProbekitError
from probekit.fingerprint import canonical_json, hash_bytes
from tests.blacklist.material import BLOCKS, image_set


@pytest.fixture
def good(tmp_path):
    """The members of an export of six examples."""
    path = tmp_path / "lists" / "watch"
    blacklist.create(path, BLOCKS)
    blacklist.register(path, "lama", image_set(range(6)))
    file = blacklist.export_file(blacklist.Blacklist.open(path), tmp_path / "good.zip")
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sealed(members, edit=None, compression=zipfile.ZIP_STORED):
    """An archive whose record fits its members to the byte, after an edit of the record."""
    record = json.loads(members[FILE])["blacklist"]
    for segment in record["segments"]:
        segment["files"] = {name: hashlib.sha256(members[name]).hexdigest() for name in segment["files"]}
    if edit:
        edit(record)
    seal = {"blacklist": record, "sha256": hash_bytes(canonical_json(record).encode())}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, data in {**members, FILE: json.dumps(seal).encode()}.items():
            archive.writestr(name, data)
    return packed.getvalue()


def refused(tmp_path, data, match):
    (tmp_path / "bad.zip").write_bytes(data)
    there = tmp_path / "deep" / "down" / "blacklists"
    before = sorted(path for path in tmp_path.rglob("*") if there not in path.parents)
    there.mkdir(parents=True)
    with pytest.raises(ProbekitError, match=match) as error:
        blacklist.import_file(tmp_path / "bad.zip", there)
    assert "\n" not in str(error.value)
    assert ".import." not in str(error.value)
    assert not list(there.iterdir())
    assert set(before) <= set(tmp_path.rglob("*"))
    assert not any(path.name.startswith("planted") for path in tmp_path.rglob("*"))


def array(values):
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def table(members, change, **options):
    found = change(pq.read_table(io.BytesIO(members["examples.parquet"])))
    file = io.BytesIO()
    pq.write_table(found, file, **options)
    return file.getvalue()


def test_what_was_not_edited_is_imported(tmp_path, good):
    (tmp_path / "same.zip").write_bytes(sealed(good))
    assert len(blacklist.import_file(tmp_path / "same.zip", tmp_path, "theirs")) == 6


@pytest.mark.parametrize("name", ["../../planted", "/planted", "planted/inner", ".hidden", "", "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, good, name):
    name = str(tmp_path / "planted") if name == "/planted" else name
    refused(tmp_path, sealed(good, lambda record: record.update(name=name)), "cannot name a blacklist")


def test_a_given_name_that_leads_elsewhere_is_refused(tmp_path, good):
    (tmp_path / "same.zip").write_bytes(sealed(good))
    with pytest.raises(ProbekitError, match="cannot name a blacklist"):
        blacklist.import_file(tmp_path / "same.zip", tmp_path / "lists", "../planted")
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record.update(name=5),
        lambda record: record.update(generators=3),
        lambda record: record.update(added=-1),
        lambda record: record.update(version="x"),
        lambda record: record.update(segments=[5]),
        lambda record: record["segments"][0].update(files=[]),
        lambda record: record["segments"][0].update(rows=True),
        lambda record: record["blocks"][0].update(width="6"),
        lambda record: record.update(calibrations=[{"fpir": 0.1, "threshold": "x"}]),
        lambda record: record.update(calibrations=None),
    ],
)
def test_a_record_of_other_types_is_refused(tmp_path, good, edit):
    refused(tmp_path, sealed(good, edit), "damaged|holds")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: {"vectors.npy": m["vectors.npy"] + b"\0" * 10_000}, "has not the size"),
        (lambda m: {"vectors.npy": array(np.full((6, 3), np.nan, np.float32))}, "size|malformed|length 1"),
        (lambda m: {"vectors.npy": m["vectors.npy"][:128] + b"\xff" * (len(m["vectors.npy"]) - 128)}, "length 1"),
        (lambda m: {"keys.npy": array(np.zeros((6, 32), np.uint8))}, "one id"),
        (lambda m: {"keys.npy": array(np.zeros((6, 4), np.int64))}, "malformed"),
        (lambda m: {"examples.parquet": table(m, lambda t: t.drop(["path"]))}, "columns"),
        (lambda m: {"examples.parquet": table(m, lambda t: t.slice(0, 5))}, "malformed"),
        (lambda m: {"examples.parquet": table(m, lambda t: t, row_group_size=2)}, "divided"),
        (lambda m: {"examples.parquet": table(m, with_nulls)}, "empty cells"),
        (lambda m: {"examples.parquet": b"PAR1 no table PAR1"}, "malformed"),
    ],
)
def test_examples_that_no_export_writes_are_refused(tmp_path, good, change, match):
    refused(tmp_path, sealed({**good, **change(good)}), match)


def with_nulls(found):
    return found.set_column(COLUMNS.index("group"), "group", pa.array([None] * len(found), pa.string()))


@pytest.mark.parametrize("generator", ["real", "Unknown", " lama"])
def test_a_generator_that_could_not_be_registered_cannot_be_imported(tmp_path, good, generator):
    def renamed(found):
        return found.set_column(0, "generator", pa.array([generator] * len(found), pa.string()))

    members = {**good, "examples.parquet": table(good, renamed)}
    refused(tmp_path, sealed(members, lambda record: record.update(generators={generator: 6})), "cannot be registered")


def test_compressed_members_are_refused_before_they_are_unpacked(tmp_path, good):
    refused(tmp_path, sealed(good, compression=zipfile.ZIP_DEFLATED), "compressed")


def test_what_a_killed_import_left_behind_is_cleared_away_later(tmp_path, good):
    import os

    (tmp_path / "same.zip").write_bytes(sealed(good))
    old, new = tmp_path / ".import.old", tmp_path / ".import.new"
    for folder in (old, new):
        (folder / "segments").mkdir(parents=True)
    os.utime(old, (0, 0))
    blacklist.import_file(tmp_path / "same.zip", tmp_path, "theirs")
    assert not old.exists()
    assert new.exists()
