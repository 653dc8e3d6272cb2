"""Features leave a store for other programs and come back, bit for bit and never for the wrong image."""

import errno
import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from probekit.errors import FeatureOverflowError, StoreCorruptError, StoreError, UsageError
from probekit.exchange import FORMATS, Declared, ExportSettings, export, import_features
from probekit.exchange.readers import read
from probekit.features import load_features
from probekit.store import Rows, Store, StoreSettings, find_stores
from tests.extract.conftest import manifest_of, write_image

SETTINGS = StoreSettings("some", None, {"policy": "native"}, "native", "float32")
ENDINGS = {"npy": "out", "parquet": "out.parquet", "safetensors": "out.safetensors", "hdf5": "out.h5"}
DECLARED = Declared("imported:other", source="a paper")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def images(tmp_path):
    names = [f"{number}.png" for number in range(5)]
    for number, name in enumerate(names):
        write_image(tmp_path / "images" / name, number, size=(16, 16))
    return manifest_of(tmp_path / "images", names)


def keys_of(manifest):
    from hashlib import sha256

    digests = [sha256(path.read_bytes()).digest() for path in manifest.absolute_paths()]
    return np.stack([np.frombuffer(digest, np.uint8) for digest in digests])


def fill(cache, keys, *, crops=1, failed=(), dtype="float16", taps=("a",), seed=0):
    from dataclasses import replace

    rng = np.random.default_rng(seed)
    store = Store.create(cache, replace(SETTINGS, dtype=dtype), {"default_tap": "a", "batch_size": 1})
    many = np.repeat(keys, crops, axis=0)
    features = {tap: rng.normal(size=(len(many), 3 + number)).astype(np.float32) for number, tap in enumerate(taps)}
    reasons = {keys[row].tobytes(): "broken" for row in failed}
    numbers = np.tile(np.arange(crops, dtype=np.int16), len(keys))
    store.commit(Rows(many, numbers, features, reasons), ["image"] * len(many))
    store.refresh()
    return store


def load(path, written_as):
    """Features of tap `a`, key, crop, status and facts, as another program reads them."""
    if written_as == "npy":
        index = pd.read_csv(path / "index.csv")
        facts = json.loads((path / "probekit.json").read_text())
        arrays = [np.load(path / f"{name}.npy", mmap_mode="r") for name in ("a", "key", "crop", "status")]
        return *arrays, list(index.get("path", [])), facts
    if written_as == "parquet":
        import pyarrow.parquet as pq

        table = pd.read_parquet(path)
        keys = np.stack([np.frombuffer(bytes.fromhex(key), np.uint8) for key in table["key"]])
        facts = json.loads(pq.read_schema(path).metadata[b"probekit"])
        return np.stack(table["a"]), keys, table["crop"], table["status"], list(table.get("path", [])), facts
    if written_as == "safetensors":
        from io import BytesIO

        with safe_open(path, "numpy") as file:
            index = pd.read_csv(BytesIO(file.get_tensor("index.csv").tobytes()))
            arrays = [file.get_tensor(name) for name in ("a", "key", "crop", "status")]
            return *arrays, list(index.get("path", [])), json.loads(file.metadata()["probekit"])
    with h5py.File(path) as file:
        paths = [text.decode() for text in file["index/path"]] if "path" in file["index"] else []
        arrays = [file[name][...] for name in ("features/a", "key", "crop", "index/status")]
        return *arrays, paths, json.loads(file.attrs["probekit"])


@pytest.mark.parametrize("written_as", FORMATS)
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_every_format_holds_the_rows_and_says_what_made_them(cache, images, tmp_path, monkeypatch, written_as, dtype):
    monkeypatch.setattr("probekit.exchange.table.BATCH_ROWS", 2)
    keys = keys_of(images)
    store = fill(cache, keys, crops=2, failed=[1])
    to = tmp_path / ENDINGS[written_as]
    done = export(store, to, ExportSettings(dtype=dtype), cache=cache, manifest=images)
    features, found, crops, status, paths, facts = load(to, written_as)
    assert features.dtype == (dtype or "float16")
    np.testing.assert_array_equal(found, np.repeat(keys, 2, axis=0))
    assert list(crops) == [0, 1] * 5
    assert list(status) == [1, 1, 2, 2, 1, 1, 1, 1, 1, 1]
    assert paths == [path for path in images.table["path"] for _ in range(2)]
    there = np.asarray(status) == 1
    expected = store.read(np.asarray(found)[there], np.asarray(crops)[there].astype(np.int16), "a")
    np.testing.assert_array_equal(np.asarray(features)[there].astype(np.float32), expected)
    assert np.isnan(np.asarray(features)[~there]).all()
    assert facts["address"] == store.settings.address
    assert facts["settings"]["model"] == "some"
    assert facts["manifest"]["sha256"] == images.sha256
    assert (done.rows, done.failed, done.missing) == (10, 2, ())
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("written_as", ["npy", "parquet", "safetensors"])
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 9), crops=st.integers(1, 3), failed=st.sets(st.integers(0, 8)), seed=st.integers(0, 99))
def test_what_is_exported_and_imported_again_is_the_same(tmp_path_factory, written_as, rows, crops, failed, seed):
    place = tmp_path_factory.mktemp("exchange")
    keys = np.random.default_rng(seed).integers(0, 256, (rows, 32), dtype=np.uint8)
    failed = {row for row in failed if row < rows}
    store = fill(place / "cache", keys, crops=crops, failed=failed, seed=seed, taps=("a", "b"))
    to = place / ENDINGS[written_as]
    export(store, to, ExportSettings(), cache=place / "cache")
    if len(failed) == rows:
        return
    for tap in "ab":
        done = import_features(
            read(to, tap=tap), Declared("imported:copy", tap=tap), cache=place / "cache", manifest=None
        )
    (copy,) = (found for found in find_stores(place / "cache")[0] if found.settings.model == "imported:copy")
    there = [row for row in range(rows) if row not in failed]
    many = np.repeat(keys[there], crops, axis=0)
    numbers = np.tile(np.arange(crops, dtype=np.int16), len(there))
    for tap in "ab":
        np.testing.assert_array_equal(copy.read(many, numbers, tap), store.read(many, numbers, tap))
    assert (done.stored, done.failed, copy.rows) == (len(many), crops * len(failed), len(many))
    assert list(copy.verify()) == []


def test_samples_that_the_store_lacks_are_named(cache, images, tmp_path):
    store = fill(cache, keys_of(images)[:3])
    done = export(store, tmp_path / "out.parquet", ExportSettings(), cache=cache, manifest=images)
    assert done.rows == 3
    assert done.missing == ("3.png", "4.png")


def test_an_earlier_file_is_replaced_only_by_force(cache, images, tmp_path):
    store = fill(cache, keys_of(images))
    for written_as in FORMATS:
        to = tmp_path / ENDINGS[written_as]
        export(store, to, ExportSettings(), cache=cache)
        with pytest.raises(UsageError, match="exists: choose another name, or replace it with --force"):
            export(store, to, ExportSettings(), cache=cache)
        export(store, to, ExportSettings(), cache=cache, overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="not a folder that was exported"):
        export(store, tmp_path / "mine", ExportSettings(), cache=cache, overwrite=True)


@pytest.mark.parametrize("written_as", FORMATS)
def test_a_damaged_store_leaves_no_half_file(cache, images, tmp_path, monkeypatch, written_as):
    monkeypatch.setattr("probekit.exchange.table.BATCH_ROWS", 2)
    store = fill(cache, keys_of(images))
    store.fold()
    shard = store.path / "a" / "c" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[20] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreCorruptError):
        export(store, tmp_path / ENDINGS[written_as], ExportSettings(), cache=cache)
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "images"}


def test_a_feature_that_does_not_fit_the_format_is_named(cache, images, tmp_path):
    from dataclasses import replace

    store = Store.create(cache, replace(SETTINGS, dtype="float32"), {"default_tap": "a"})
    keys = keys_of(images)
    store.commit(Rows(keys, np.zeros(5, np.int16), {"a": np.full((5, 2), 7e4, np.float32)}, {}), ["x"] * 5)
    store.refresh()
    with pytest.raises(FeatureOverflowError, match=r"0.png: tap a does not fit float16: export with --dtype float32"):
        export(store, tmp_path / "o.parquet", ExportSettings(dtype="float16"), cache=cache, manifest=images)


def given_file(tmp_path, kind, features, paths):
    """The same features as people keep them."""
    file = tmp_path / f"given.{kind}"
    if kind == "npz":
        np.savez(file, features=features, paths=paths)
    elif kind == "pt":
        torch.save({"feats": torch.from_numpy(features), "paths": list(paths)}, file)
    elif kind == "pth":
        torch.save({path: torch.from_numpy(row) for path, row in zip(paths, features, strict=True)}, file)
    elif kind == "parquet":
        pd.DataFrame({"path": paths, "vector": list(features)}).to_parquet(file)
    else:
        np.save(file, features)
        (tmp_path / "ids.txt").write_text("\n".join(paths))
    return read(file, ids=str(tmp_path / "ids.txt") if kind == "npy" else None)


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "pth", "parquet"])
@pytest.mark.parametrize("absolute", [True, False])
def test_other_peoples_features_go_to_their_images(cache, images, tmp_path, kind, absolute):
    order = [3, 0, 4, 1]
    names = [str(images.absolute_paths()[n]) if absolute else f"./{n}.png" for n in order] + ["nosuch.png"]
    features = np.array([[n, 0.1 * n, -n] for n in [*order, 9]], np.float32)
    done = import_features(given_file(tmp_path, kind, features, names), DECLARED, cache=cache, manifest=images)
    assert (done.rows, done.stored, done.unmatched) == (5, 4, ("nosuch.png",))
    assert done.missing == (str(images.absolute_paths()[2]),)
    found = load_features(images, "imported:other", cache=cache, allow_missing=True)
    assert list(found.samples["path"]) == ["0.png", "1.png", "3.png", "4.png"]
    np.testing.assert_array_equal(found.matrix, features[[1, 3, 0, 2]].astype(np.float16).astype(np.float32))
    (store,) = find_stores(cache)[0]
    assert store.facts["imported"]
    assert store.settings.model_settings["source"] == "a paper"


def test_what_is_declared_decides_the_store(cache, images, tmp_path):
    given = given_file(tmp_path, "npz", np.ones((5, 2), np.float32), list(images.table["path"]))
    first = import_features(given, DECLARED, cache=cache, manifest=images)
    again = import_features(given, DECLARED, cache=cache, manifest=images)
    assert (first.stored, again.stored, again.present) == (5, 0, 5)
    other = import_features(given, Declared("imported:other", source="another"), cache=cache, manifest=images)
    assert other.address != first.address


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_a_number_that_cannot_be_kept_names_its_row_and_nothing_is_written(cache, images, tmp_path, value):
    features = np.ones((5, 2), np.float32)
    features[3, 1] = value
    given = given_file(tmp_path, "npz", features, list(images.table["path"]))
    with pytest.raises(UsageError, match=r"given.npz row 3 \(3.png\): .*(is (nan|inf)|does not fit float16)"):
        import_features(given, DECLARED, cache=cache, manifest=images)
    assert find_stores(cache)[0] == []


def test_repeated_ids_must_agree(cache, images, tmp_path):
    names = ["0.png", "1.png", "0.png"]
    same = given_file(tmp_path, "npz", np.array([[1, 2], [3, 4], [1, 2]], np.float32), names)
    assert import_features(same, DECLARED, cache=cache, manifest=images).repeated == 1
    differ = given_file(tmp_path, "npz", np.array([[1, 2], [3, 4], [1, 3]], np.float32), names)
    with pytest.raises(UsageError, match=r"row 2 \(0.png\): row 0 is the same image, with other features"):
        import_features(differ, DECLARED, cache=cache, manifest=images)


def test_features_that_contradict_the_store_are_refused(cache, images, tmp_path):
    names = list(images.table["path"])
    first = given_file(tmp_path, "npz", np.ones((5, 2), np.float32), names)
    import_features(first, DECLARED, cache=cache, manifest=images)
    second = given_file(tmp_path, "npz", np.full((5, 2), 2, np.float32), names)
    with pytest.raises(UsageError, match=r"row 0 \(0.png\): .* has other features of that image"):
        import_features(second, DECLARED, cache=cache, manifest=images)


def test_prefixes_of_ids_can_be_cut(cache, images, tmp_path):
    names = [f"/data/them/{path}" for path in images.table["path"]]
    given = given_file(tmp_path, "npz", np.ones((5, 2), np.float32), names)
    with pytest.raises(UsageError, match=r"no id is a path of test .*--strip"):
        import_features(given, DECLARED, cache=cache, manifest=images)
    assert import_features(given, DECLARED, cache=cache, manifest=images, strip="/data/them").stored == 5


@pytest.mark.parametrize("name", ["srm", "imported:", "imported:a b", "imported:a+b", "imported:a#b", "imported:a,b"])
def test_a_declared_name_is_never_that_of_a_model(cache, images, tmp_path, name):
    given = given_file(tmp_path, "npz", np.ones((5, 2), np.float32), list(images.table["path"]))
    with pytest.raises(UsageError, match="call imported features imported:NAME"):
        import_features(given, Declared(name), cache=cache, manifest=images)


def test_files_that_cannot_be_understood_are_one_line(tmp_path):
    class Evil:
        pass

    np.savez(tmp_path / "few.npz", features=np.ones((3, 2), np.float32), path=["a", "b"])
    np.savez(tmp_path / "two.npz", a=np.ones((3, 2), np.float32), b=np.ones((3, 2), np.float32))
    np.save(tmp_path / "none.npy", np.ones((3, 2), np.float32))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object))
    torch.save(torch.nn.Linear(1, 1), tmp_path / "pickle.pt")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "cut.safetensors").write_bytes(b"1234")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    (tmp_path / "odd.mat").touch()
    messages = {
        "few.npz": "3 rows of features, but 2 ids",
        "two.npz": "arrays of features are a, b: name one with --features",
        "none.npy": "name the ids with --ids",
        "pickle.npy": "Python objects, which could run any code",
        "pickle.pt": "Python objects, which could run any code",
        "cut.npz": "cannot be read",
        "cut.safetensors": "cannot be read",
        "cut.parquet": "cannot be read",
        "odd.mat": "no format is known",
        "gone.npy": "there is no such file",
    }
    for name, message in messages.items():
        with pytest.raises(UsageError, match=message) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value), name


def test_a_store_that_cannot_be_read_is_not_blamed_on_the_file(cache, images, tmp_path, monkeypatch):
    store = fill(cache, keys_of(images))

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Store, "read", broken)
    with pytest.raises(StoreError, match=rf"{store.path.name} cannot be read \(Input/output error\)"):
        export(store, tmp_path / "out.parquet", ExportSettings(), cache=cache)
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize("name", ENDINGS.values())
def test_a_file_that_cannot_be_written_is_one_clear_line(cache, images, tmp_path, name):
    store = fill(cache, keys_of(images))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=rf"{name} cannot be written .* choose another place"):
        export(store, tmp_path / "file" / name, ExportSettings(), cache=cache)
