"""`probekit cache`: stores are looked after from the command line."""

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from probekit.errors import ImageError
from probekit.store import Rows, Store, StoreSettings
from tests.extract.conftest import write_image


def one_line(answer, *parts):
    assert answer.code == 2
    lines = answer.err.strip().splitlines()
    assert lines[-1].startswith("probekit: ")
    assert all(part in lines[-1] for part in parts), lines
    assert "Traceback" not in answer.err


def test_imported_features_are_asked_like_all_others(type_, faces, tmp_path):
    assert type_("probekit cache export srm --to copy.parquet --manifest faces").code == 0
    done = type_("probekit cache import copy.parquet --model imported:srm --tap blocks --source mine --json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["stored"] == 36
    question = "probekit probe --train lama --test all --bootstrap 0 --json --model "
    mine, theirs = (json.loads(type_(question + name).out)["runs"][0] for name in ("srm", "imported:srm"))
    assert mine["pairs"] == theirs["pairs"]
    listed = json.loads(type_("probekit cache ls --json").out)["stores"]
    assert [store["model"] for store in listed] == ["imported:srm", "srm"]
    one_line(type_("probekit extract --model imported:srm"), "unknown model")
    again = type_("probekit cache export imported:srm --to again.safetensors")
    assert again.code == 0
    assert "36 rows of blocks as float16" in again.err


def test_rows_and_samples_that_do_not_fit_are_listed(type_, faces):
    paths = [f"real/{number:02d}.png" for number in range(12)] + ["real/99.png"]
    np.savez("theirs.npz", features=np.ones((13, 4), np.float32), path=paths)
    done = type_("probekit cache import theirs.npz --model imported:theirs")
    assert done.code == 1
    assert "1 row of theirs.npz fit no sample" in done.err
    assert "real/99.png" in done.err
    assert "24 samples of faces have no row" in done.err


def test_gc_asks_says_and_removes(type_, faces, monkeypatch):
    for picture in sorted(faces.glob("ldm/0[0-3].png")):
        picture.unlink()
    assert type_("probekit manifest import faces --name faces --force").code == 0
    told = type_("probekit cache gc --dry-run --json")
    (store,) = json.loads(told.out)["stores"]
    assert (store["rows"], store["dropped"]) == (36, 4)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    declined = type_("probekit cache gc")
    assert declined.code == 130
    assert declined.err.splitlines()[-1] == "probekit: stopped: nothing was removed."
    assert json.loads(type_("probekit cache gc --dry-run --json").out)["stores"][0]["dropped"] == 4
    done = type_("probekit cache gc --yes")
    assert done.code == 0
    assert "4 deleted files" in done.err
    assert "nothing to remove" in type_("probekit cache gc --yes").err
    assert type_("probekit cache verify").code == 0


def test_a_store_is_not_removed_unless_it_is_said_so(type_, faces, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    declined = type_("probekit cache rm srm")
    assert declined.code == 130
    assert declined.err.splitlines()[-1] == "probekit: stopped: nothing was removed."
    assert "Aborted" not in declined.err
    assert len(json.loads(type_("probekit cache ls --json").out)["stores"]) == 1


def test_gc_names_the_manifests_that_keep_rows(type_, faces):
    for name in ("few", "some"):
        for suffix in ("csv", "json"):
            shutil.copy(f"manifests/faces.{suffix}", f"manifests/{name}.{suffix}")
    assert "kept: what faces, few and some refer to\n" in type_("probekit cache gc --dry-run").err
    assert "kept: what faces and few refer to\n" in type_("probekit cache gc --dry-run -m faces -m few").err
    assert "kept: what faces refers to\n" in type_("probekit cache gc --dry-run -m faces").err


def test_what_is_recorded_of_a_store_is_shown_in_words(type_, faces):
    said = type_("probekit cache info srm").out
    lines = said.splitlines()
    assert {"model: srm", "rows: 36", "settings:", "  view:", "    policy: native"} <= set(lines)
    assert not set(said) & set("{}[]'")


def test_failed_images_are_listed_with_the_way_to_try_again(type_, faces):
    assert "no image has failed" in type_("probekit cache failed").err
    (faces / "real" / "00.png").write_bytes(b"no image")
    assert type_("probekit extract --model srm").code == 1
    listed = type_("probekit cache failed srm")
    assert "00.png" in listed.out
    (failure,) = json.loads(type_("probekit cache failed --json").out)["failed"]
    assert failure["path"].endswith("real/00.png")


def test_the_way_to_try_again_reaches_the_very_store_that_failed(type_, faces, monkeypatch):
    def refuse(*_, **__):
        raise ImageError("out of luck")

    with monkeypatch.context() as broken:
        broken.setattr("probekit.images.decode", refuse)
        settings = "--view texture:2 --perturb blur:k=9,sigma=3 --dtype float32"
        assert type_(f"probekit extract --model srm {settings}").code == 1
        assert type_("probekit extract --model npr --taps all").code == 1
    before = sorted(path.name for path in Path("cache").iterdir())
    said = type_("probekit cache failed").err.splitlines()
    commands = [line.partition(": ")[2] for line in said if line.startswith("to try 36 images again: ")]
    assert len(commands) == 2
    for command in commands:
        type_(command)
    assert sorted(path.name for path in Path("cache").iterdir()) == before
    assert "no image has failed" in type_("probekit cache failed").err


def test_of_a_failed_image_that_was_replaced_no_way_to_try_it_again_is_told(type_, faces):
    (faces / "real" / "00.png").write_bytes(b"no image")
    assert type_("probekit extract --model srm").code == 1
    (faces / "real" / "00.png").write_bytes(b"another content")
    assert "in none of the manifests, or were replaced" in type_("probekit cache failed").err


def test_stores_are_listed_whole_in_narrow_terminals(type_, monkeypatch):
    for model, view in (("clip:vit-l-14-openai", "resize224-crop224"), ("dinov2:vit-b-14-reg", "jpeg75-center224")):
        store = Store.create(Path("cache"), StoreSettings(model, "w", {}, view, "bfloat16"), {})
        features = {f"{stem}@{block}": np.zeros((1, 2), np.float32) for stem in ("cls", "mean") for block in range(24)}
        store.commit(Rows(np.zeros((1, 32), np.uint8), np.zeros(1, np.int16), features, {}), ["image"])
    for columns, shown in ((80, ["48"]), (120, ["cls@0-23 mean@0-23: 2", "bfloat16"])):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = type_("probekit cache ls").out.splitlines()
        assert len(lines) == 3
        assert all(len(line.rstrip()) <= columns for line in lines)
        for part in ("clip:vit-l-14-openai", "resize224-crop224", *shown):
            assert part in lines[1]


def test_a_newer_store_is_not_called_damaged(type_):
    store = Store.create(Path("cache"), StoreSettings("srm", None, {}, "native", "float32"), {})
    group = zarr.open_group(store.path, mode="r+")
    group.attrs["probekit"] = group.attrs["probekit"] | {"format": 99}
    for command, code in (("ls", 0), ("verify", 2)):
        answer = type_(f"probekit cache {command}")
        assert answer.code == code
        assert "is newer than this probekit" in answer.err
        assert "damaged" not in answer.err


@pytest.mark.parametrize(
    "command",
    ["extract --model srm", "probe --train lama --model srm", "cache ls", "cache verify", "cache info srm", "cache gc"],
)
def test_every_command_says_that_a_store_is_of_a_newer_probekit(type_, faces, command):
    (path,) = Path("cache").glob("srm-*")
    group = zarr.open_group(path, mode="r+")
    group.attrs["probekit"] = group.attrs["probekit"] | {"format": 99}
    answer = type_(f"probekit {command}")
    assert sum("update probekit" in line for line in answer.err.splitlines()) == (
        0 if command == "cache info srm" else 1
    )
    assert "Traceback" not in answer.err


def test_a_model_means_its_store_of_clean_images_where_there_is_one(type_, tmp_path):
    for number in range(2):
        write_image(tmp_path / "pictures" / ("real", "fake")[number] / "a.png", number)
    assert type_("probekit manifest import pictures --name pictures --label fake=1").code == 0
    assert type_("probekit extract --model npr --perturb none,jpeg:50 --manifest pictures").code == 0
    assert json.loads(type_("probekit cache info npr --json").out)["view"] == "native512"
    assert json.loads(type_("probekit cache info npr-jpeg50 --json").out)["view"] == "jpeg50-native512"
