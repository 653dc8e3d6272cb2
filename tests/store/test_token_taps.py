"""Rows of many tokens: large parts, small shards."""

import numpy as np
import zarr

from probekit.store import DONE, Rows, Store, store
from tests.store.conftest import SETTINGS, make_rows

SHAPE = (257, 1024)  # ViT-L/14 at 224 pixels


def tokens_of(numbers):
    return np.stack([np.random.default_rng(n).standard_normal(SHAPE).astype(np.float16) for n in numbers])


def commit(opened, numbers):
    named = make_rows(numbers, {})
    features = {"patches@20": tokens_of(numbers).astype(np.float32)}
    opened.commit(Rows(named.keys, named.crops, features, {}), [str(number) for number in numbers])
    return named


def test_tokens_are_read_back_as_they_were_and_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FOLD_BYTES", 5 << 20)  # two of these parts exceed it
    opened = Store.create(tmp_path, SETTINGS, {"default_tap": "patches@20", "batch_size": 4})
    for begin in range(0, 40, 8):
        commit(opened, list(range(begin, begin + 8)))
    commit(opened, [100])
    assert opened.fold()
    assert not list((opened.path / "journal" / "parts").glob("*.safetensors"))
    numbers = [33, 0, 100, 39]
    named = make_rows(numbers, {})
    assert (opened.look_up(named.keys, named.crops, ["patches@20"]) == DONE).all()
    np.testing.assert_array_equal(opened.read(named.keys, named.crops, "patches@20"), tokens_of(numbers))
    assert list(opened.verify()) == []
    array = zarr.open_group(opened.path, mode="r")["patches@20"]
    assert array.shape == (41, *SHAPE)
    assert array.chunks == (1, *SHAPE)  # one image can be read alone
    shard = next((opened.path / "patches@20" / "c").rglob("0/0/0"))
    content = bytearray(shard.read_bytes())
    content[1000] ^= 1
    shard.write_bytes(content)
    assert any("patches@20: rows 0 to 31" in line for line in opened.verify())


def test_parts_are_folded_a_few_at_a_time_by_their_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FOLD_BYTES", 100)
    monkeypatch.setattr(store, "FOLD_PARTS", 3)
    paths = []
    for number, size in enumerate([40, 60, 1, 500, 10, 10, 10, 10]):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(bytes(size))
    portions = [[path.stat().st_size for path in portion] for portion in store._portions(paths)]
    assert portions == [[40, 60], [1], [500], [10, 10, 10], [10]]
