"""Changes: whole or not at all, by one process at a time, of the right features; and damage is named."""

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from probekit import blacklist
from probekit.blacklist import changes
from probekit.blacklist.record import FILE
from probekit.errors import BlacklistError, UnknownNameError, UsageError
from probekit.heads.saved import Block
from tests.blacklist.material import BLOCKS, SETTINGS, TWINS, Death, Reaper, image_set, key_of

REAPER = Reaper()
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path) -> Path:
    """Ten examples of each of two generators."""
    blacklist.create(tmp_path / "watch", BLOCKS)
    blacklist.register(tmp_path / "watch", "lama", image_set(range(10)))
    blacklist.register(tmp_path / "watch", "ldm", image_set(range(10, 20)))
    return tmp_path / "watch"


def ids(path) -> list[str]:
    return list(blacklist.Blacklist.open(path).examples()["id"])


def segment_file(path, kind) -> Path:
    return next((path / "segments").glob(f"*-{kind}"))


@pytest.mark.parametrize(
    "act",
    [
        lambda path: blacklist.register(path, "sd", image_set(range(30, 35))),
        lambda path: blacklist.unregister(path, "lama"),
        lambda path: blacklist.unregister(path, ids=[key_of(3)]),
        lambda path: blacklist.unregister(path, ids=[key_of(n) for n in range(7)]),
    ],
    ids=["register", "drop a segment", "remove one", "write a segment anew"],
)
def test_a_death_at_any_write_leaves_the_old_version_or_the_new_one(tmp_path, path, act):
    import shutil

    shutil.copytree(path, tmp_path / "changed")
    act(tmp_path / "changed")
    before, after, deaths = ids(path), ids(tmp_path / "changed"), 0
    for writes in range(100):
        place = tmp_path / f"dying-{writes}"
        shutil.copytree(path, place)
        REAPER.within(place, writes)
        try:
            act(place)
        except Death:
            deaths += 1
        finally:
            REAPER.within(place, None)
        assert ids(place) in (before, after)
        assert blacklist.Blacklist.open(place).verify() == []
        if ids(place) == before:
            act(place)
        assert ids(place) == after
        if deaths <= writes:
            break
    else:
        pytest.fail("it never lived")
    assert deaths >= 4
    blacklist.register(place, "next", image_set([77]))
    record = blacklist.Blacklist.open(place).record
    needed = {name for segment in record.segments for name in segment.files}
    assert {file.name for file in (place / "segments").iterdir()} == needed


def test_a_reader_keeps_the_version_that_it_opened(path):
    opened = blacklist.Blacklist.open(path)
    blacklist.unregister(path, "lama")
    blacklist.register(path, "sd", image_set(range(30, 35)))
    found = blacklist.match(opened, image_set([3]), blacklist.MatchSettings(threshold=0.9))
    assert found.table["generator"].tolist() == ["lama"]
    assert len(opened.examples()) == 20
    again = blacklist.match(blacklist.Blacklist.open(path), image_set([30]), blacklist.MatchSettings(threshold=0.9))
    assert again.table["generator"].tolist() == ["sd"]


def test_the_same_bytes_are_one_example_and_of_one_generator(path):
    done = blacklist.register(path, "lama", image_set([5, 40, 40, 9]))
    assert (done.added, done.present, done.examples) == (1, 3, 11)
    version = blacklist.Blacklist.open(path).record.version
    assert blacklist.register(path, "lama", image_set([5])).version == version
    with pytest.raises(UsageError, match=r"15\.png is registered as an example of ldm .* \(1 such images\)"):
        blacklist.register(path, "lama", image_set([50, 15]))
    assert key_of(50) not in ids(path)


def test_ids_and_order_stay_whatever_is_removed_and_added(path):
    before = ids(path)
    blacklist.unregister(path, ids=[key_of(4), key_of(12)[:8].upper()])
    blacklist.register(path, "lama", image_set([4]))
    assert ids(path) == [key for key in before if key not in (key_of(4), key_of(12))] + [key_of(4)]


@pytest.mark.parametrize("wanted", ["abc", "f" * 64, ""])
def test_an_id_that_does_not_fit_one_example_is_refused(path, wanted):
    with pytest.raises(UsageError, match=r"fits (no|20) example"):
        blacklist.unregister(path, ids=[wanted])


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ((Block("blocks", 7, SETTINGS),), "of 7"),
        ((Block("other", 6, SETTINGS),), "npr#other"),
        ((*BLOCKS, *BLOCKS), r"npr#blocks\+npr#blocks"),
        ((Block("blocks", 6, replace(SETTINGS, weights_sha256="a" * 64)),), "weights aaaaaaaaaaaa, not none"),
        ((Block("blocks", 6, replace(SETTINGS, precision="bfloat16")),), "precision bfloat16, not float32"),
        ((Block("blocks", 6, replace(SETTINGS, view_name="center224")),), "view center224, not native512"),
        ((Block("blocks", 6, replace(SETTINGS, view={"policy": "native", "crop": 256})),), "view settings"),
        ((Block("blocks", 6, replace(SETTINGS, dtype="float32")),), "number format float32"),
        ((Block("blocks", 6, replace(SETTINGS, model_settings={"version": 2})),), "model settings"),
    ],
)
def test_other_features_are_refused_in_one_line(path, blocks, said):
    images = image_set([30], blocks=blocks)
    for act in (
        lambda: blacklist.register(path, "sd", images),
        lambda: blacklist.match(blacklist.Blacklist.open(path), images),
        lambda: blacklist.calibrate(blacklist.Blacklist.open(path), images),
    ):
        with pytest.raises(BlacklistError, match=said) as refused:
            act()
        assert "\n" not in str(refused.value)
    assert len(ids(path)) == 20


@pytest.mark.parametrize("kind", ["vectors.npy", "keys.npy", "examples.parquet"])
def test_a_flipped_byte_is_named_by_verify_and_never_sealed_anew(tmp_path, path, kind):
    file = segment_file(path, kind)
    data = bytearray(file.read_bytes())
    data[-9 if kind.endswith("npy") else 20] ^= 1
    file.write_bytes(data)
    opened = blacklist.Blacklist.open(path)
    assert opened.verify() == [f"{file}: its bytes are not those that were written"]
    with pytest.raises(BlacklistError, match=file.name):
        blacklist.export_file(opened, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()
    first = 0 if file.name.startswith(opened.record.segments[0].name) else 10
    with pytest.raises(BlacklistError, match=file.name):
        blacklist.unregister(path, ids=[bytes(key).hex() for key in opened.keys[first : first + 7]])


@pytest.mark.parametrize("kind", ["vectors.npy", "keys.npy", "examples.parquet"])
def test_a_file_that_is_cut_short_or_gone_is_named(path, kind):
    file = segment_file(path, kind)
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        file.write_bytes(damaged)
        with pytest.raises(BlacklistError, match=file.name):
            blacklist.Blacklist.open(path)
    file.unlink()
    with pytest.raises(BlacklistError, match=f"{file.name}: missing"):
        blacklist.Blacklist.open(path)


def test_a_changed_record_is_refused(path):
    written = json.loads((path / FILE).read_text())
    for change in ({"examples": 3}, {"name": "other"}):
        written["blacklist"] |= change
        (path / FILE).write_text(json.dumps(written))
        with pytest.raises(BlacklistError, match="changed since it was written"):
            blacklist.Blacklist.open(path)
    (path / FILE).write_text("{}")
    with pytest.raises(BlacklistError, match="damaged"):
        blacklist.Blacklist.open(path)


def test_a_busy_blacklist_is_refused_in_one_line_and_waited_for(path):
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with changes.alone(path):
            inside.set()
            leave.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(20)
    with pytest.raises(BlacklistError, match="is being changed by another process"):
        blacklist.register(path, "sd", image_set([30]), patience=0.05)
    threading.Timer(0.2, leave.set).start()
    began = time.monotonic()
    assert blacklist.register(path, "sd", image_set([30]), patience=20).added == 1
    assert time.monotonic() - began > 0.1
    holder.join()


WRITER = """
import sys
from pathlib import Path
from probekit import blacklist
from tests.blacklist.material import image_set
path, generator, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(first, first + 12):
    blacklist.register(path, generator, image_set([number]))
    if number % 3 == 2:
        blacklist.unregister(path, ids=[image_set([number]).keys[0].tobytes().hex()])
"""


def test_two_processes_that_write_at_once_lose_nothing(path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, first], env=environment, cwd=ROOT)
        for name, first in (("sd", "30"), ("glide", "60"))
    ]
    while any(writer.poll() is None for writer in started):  # readers are never disturbed
        opened = blacklist.Blacklist.open(path)
        assert len(opened.examples()) == len(opened) >= 20
    assert [writer.wait() for writer in started] == [0, 0]
    opened = blacklist.Blacklist.open(path)
    assert dict(opened.record.generators) == {"lama": 10, "ldm": 10, "sd": 8, "glide": 8}
    assert sorted(opened.examples("sd")["id"]) == sorted(key_of(n) for n in range(30, 42) if n % 3 != 2)
    assert opened.record.version == 3 + 24 + 8
    assert opened.verify() == []


def test_many_small_segments_become_few(path, monkeypatch):
    monkeypatch.setattr(changes, "MOST_SMALL", 5)
    before = ids(path)
    for number in range(30, 50):
        blacklist.register(path, "sd", image_set([number]))
    opened = blacklist.Blacklist.open(path)
    assert len(opened.segments) < 5
    assert ids(path) == before + [key_of(number) for number in range(30, 50)]


def test_an_export_is_the_same_blacklist_elsewhere(tmp_path, path):
    blacklist.unregister(path, ids=[key_of(3)])
    opened = blacklist.Blacklist.open(path)
    blacklist.export_file(opened, tmp_path / "a.zip")
    blacklist.export_file(blacklist.Blacklist.open(path), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    found = blacklist.import_file(tmp_path / "a.zip", tmp_path, "theirs")
    assert found.examples().equals(opened.examples())
    assert found.record.blocks == opened.record.blocks
    assert np.array_equal(np.load(segment_file(found.path, "vectors.npy")).shape, (19, 6))
    blacklist.register(found.path, "lama", image_set([3]))
    with pytest.raises(BlacklistError, match="exists already"):
        blacklist.import_file(tmp_path / "a.zip", tmp_path, "theirs")
    with pytest.raises(BlacklistError, match="--force"):
        blacklist.export_file(opened, tmp_path / "a.zip")


def test_an_empty_blacklist_travels_too(tmp_path):
    empty = blacklist.create(tmp_path / "empty", BLOCKS)
    blacklist.export_file(empty, tmp_path / "empty.zip")
    assert len(blacklist.import_file(tmp_path / "empty.zip", tmp_path, "other")) == 0
    with pytest.raises(UsageError, match="no examples yet"):
        blacklist.match(empty, image_set([1]))


def rewritten(file: Path, to: Path, changed) -> Path:
    """The archive with its members changed by a function of their names and bytes."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            for other, data in changed(name, old.read(name)):
                new.writestr(other, data)
    return to


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, data: [(name, data[:-4] + b"\0\0\0\0" if name == "vectors.npy" else data)], "vectors.npy is not"),
        (lambda name, data: [(name, data[::-1] if name == "keys.npy" else data)], "keys.npy is not"),
        (lambda name, data: [(name, data.replace(b'"lama"', b'"sora"'))], "changed since it was written|is not what"),
        (lambda name, data: [] if name == "keys.npy" else [(name, data)], "holds .* expected"),
        (lambda name, data: [(name, data), *([("../evil.npy", b"x")] if name == FILE else [])], "evil"),
        (lambda name, data: [] if name == FILE else [(name, data)], "holds no blacklist.json"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused(tmp_path, path, change, said):
    file = blacklist.export_file(blacklist.Blacklist.open(path), tmp_path / "good.zip")
    bad = rewritten(file, tmp_path / "bad.zip", change)
    with pytest.raises(BlacklistError, match=said):
        blacklist.import_file(bad, tmp_path / "there", "theirs")
    assert not list((tmp_path / "there").glob("*") if (tmp_path / "there").exists() else [])
    assert not (tmp_path / "evil.npy").exists()


def test_a_file_that_is_cut_short_or_no_blacklist_is_refused(tmp_path, path):
    data = blacklist.export_file(blacklist.Blacklist.open(path), tmp_path / "good.zip").read_bytes()
    for content in (data[:-30], data[:200], b"", b"no zip at all"):
        (tmp_path / "bad.zip").write_bytes(content)
        with pytest.raises(BlacklistError, match=r"bad\.zip"):
            blacklist.import_file(tmp_path / "bad.zip", tmp_path, "theirs")
    flipped = bytearray(data)
    flipped[400] ^= 4
    (tmp_path / "bad.zip").write_bytes(flipped)
    with pytest.raises(BlacklistError, match=r"bad\.zip"):
        blacklist.import_file(tmp_path / "bad.zip", tmp_path, "theirs")


@pytest.mark.parametrize("name", ["real", "unknown", " ", "a\nb", ""])
def test_names_that_mean_something_else_are_refused(path, name):
    with pytest.raises(UsageError, match="cannot be registered"):
        blacklist.register(path, name, image_set([30]))


@pytest.mark.parametrize("name", [".hidden", "a/b", "", "-x", "a b"])
def test_names_that_are_no_folder_s_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match="cannot name a blacklist"):
        blacklist.require_name(name)


def test_what_is_not_there_is_said(tmp_path, path):
    with pytest.raises(UnknownNameError, match="Did you mean 'lama'"):
        blacklist.unregister(path, "lamma")
    with pytest.raises(BlacklistError, match="there is no blacklist"):
        blacklist.register(tmp_path / "gone", "sd", image_set([1]))
    with pytest.raises(BlacklistError, match="exists already"):
        blacklist.create(path, BLOCKS)
    with pytest.raises(UnknownNameError, match="watch"):
        blacklist.find_blacklist("watsh", tmp_path)
    assert blacklist.find_blacklist(None, tmp_path) == blacklist.find_blacklist("watch", tmp_path) == path
    blacklist.create(tmp_path / "two", BLOCKS)
    with pytest.raises(BlacklistError, match="two, watch"):
        blacklist.find_blacklist(None, tmp_path)


def test_twins_of_other_bytes_are_two_examples(path):
    blacklist.register(path, "sd", image_set([TWINS + 1]))
    found = blacklist.match(
        blacklist.Blacklist.open(path), image_set([1]), blacklist.MatchSettings(top=2, threshold=0.5, index="flat")
    )
    assert found.nearest["generator"].tolist() == ["lama", "sd"]  # equal: the earlier one comes first
    assert found.nearest["similarity"].nunique() == 1
