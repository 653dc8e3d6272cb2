"""Upkeep: what a manifest refers to stays, and whatever cannot be told is not guessed."""

import numpy as np
import pytest

from probekit.errors import StoreError, UsageError
from probekit.extract import ExtractSettings, extract
from probekit.features import load_features
from probekit.keys import KeyIndex
from probekit.store import list_stores
from probekit.upkeep import Collection, failures
from tests.extract.conftest import manifest_of, write_image


@pytest.fixture
def place(tmp_path):
    for number in range(6):
        write_image(tmp_path / "images" / f"{number}.png", number, size=(24, 24))
    (tmp_path / "images" / "5.png").write_bytes(b"no image")
    extract(of(tmp_path, range(6)), ExtractSettings(("npr",)), cache=tmp_path / "cache", device="cpu")
    return tmp_path


def of(place, numbers):
    return manifest_of(place / "images", [f"{number}.png" for number in numbers])


def collection(place, *manifests, **options):
    return Collection(place / "cache", list_stores(place / "cache"), [of(place, each) for each in manifests], **options)


def test_what_any_manifest_refers_to_stays(place):
    before = load_features(of(place, [0, 2, 4]), "npr", cache=place / "cache").matrix
    found = collection(place, [0, 2], [2, 4])
    assert [(each.surplus.rows, each.surplus.dropped) for each in found.surplus] == [(6, 3)]
    assert list_stores(place / "cache")[0].rows == 6  # nothing goes before it is asked for
    (pruned,) = found.collect().values()
    assert (pruned.kept, pruned.dropped) == (3, 3)
    np.testing.assert_array_equal(load_features(of(place, [0, 2, 4]), "npr", cache=place / "cache").matrix, before)
    assert not collection(place, [0, 2], [2, 4])


def test_without_a_manifest_nothing_goes(place):
    with pytest.raises(UsageError, match="no manifest, so every row would go"):
        collection(place)


def test_features_outlive_their_files(place):
    (place / "images" / "0.png").unlink()
    assert not collection(place, range(6))
    found = collection(place, range(1, 6))
    assert found.forgotten == [str(place / "images" / "0.png")]
    found.collect()
    assert list_stores(place / "cache")[0].rows == 5
    assert str(place / "images" / "0.png") not in dict(KeyIndex.open(place / "cache").remembered())
    assert load_features(of(place, [1, 2]), "npr", cache=place / "cache").matrix.shape[0] == 2


def test_what_is_extracted_while_the_user_is_asked_stays(place):
    found = collection(place, [0, 2])
    write_image(place / "images" / "6.png", 6, size=(24, 24))
    extract(of(place, [6]), ExtractSettings(("npr",)), cache=place / "cache", device="cpu")
    found.collect()
    assert load_features(of(place, [0, 6]), "npr", cache=place / "cache").matrix.shape[0] == 2
    assert list_stores(place / "cache")[0].rows == 3


def test_a_lost_index_of_keys_costs_reading_and_no_row(place):
    for part in (place / "cache" / "keys").iterdir():
        part.unlink()
    read = []
    found = collection(place, range(6), on_file=lambda done, total: read.append((done, total)))
    assert read[-1] == (6, 6)
    assert not found
    read.clear()
    collection(place, range(6), on_file=lambda done, total: read.append((done, total)))
    assert read == []  # nothing was collected, and what was read is remembered


def test_rows_that_cannot_be_told_are_given_up_only_on_request(place):
    for part in (place / "cache" / "keys").iterdir():
        part.unlink()
    (place / "images" / "0.png").unlink()
    with pytest.raises(StoreError, match=r"1 images of test can be neither read nor remembered .*0.png"):
        collection(place, range(6))
    assert collection(place, range(6), allow_missing=True).surplus[0].surplus.dropped == 1


def test_a_store_at_work_is_left_and_said_so(place):
    store = list_stores(place / "cache")[0]
    assert store.claims.take("unit-1")
    (outcome,) = collection(place, [0]).collect().values()
    assert "wait until that has ended" in outcome
    assert list_stores(place / "cache")[0].rows == 6


@pytest.mark.parametrize("by_manifest", [True, False])
def test_failures_have_a_path_and_a_reason(place, by_manifest):
    found = failures(place / "cache", list_stores(place / "cache"), [of(place, range(6))] if by_manifest else [])
    assert found[["model", "path"]].to_numpy().tolist() == [["npr", str(place / "images" / "5.png")]]
    assert "no image" in found["reason"][0]
