"""Several crops of an image are several rows: all or none of them, averaged or kept apart when a question is asked."""

import numpy as np
import pytest

from probekit import images
from probekit.errors import UsageError
from probekit.extract import ExtractSettings, extract
from probekit.features import Selector, load_features
from probekit.models import compute, find
from probekit.store import list_stores
from probekit.views import View
from tests.extract.conftest import manifest_of, write_image

TILES = {"a.png": (600, 700), "b.png": (40, 48), "c.png": (512, 513)}  # tiles of 512: 4, 1, 2


@pytest.fixture
def manifest(tmp_path):
    for number, (name, size) in enumerate(TILES.items()):
        write_image(tmp_path / "images" / name, number, size=size)
    return manifest_of(tmp_path / "images", TILES)


def expected(manifest, view: View) -> list[np.ndarray]:
    """Features of every crop of every image, each computed on its own."""
    net = compute.load(find("srm"), "cpu", "float32")
    return [
        np.concatenate(
            [compute.forward(net, [crop], ("blocks",), "cpu")["blocks"] for crop in view.apply(images.load(path), b"")]
        ).astype(np.float16)
        for path in manifest.absolute_paths()
    ]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_all_crops_of_an_image_are_rows_in_order(manifest, tmp_path, batch_size):
    settings = ExtractSettings(("srm",), view="tile")
    result = extract(manifest, settings, cache=tmp_path / "cache", device="cpu", batch_size=batch_size)
    assert (result.models[0].computed, result.models[0].done) == (3, 3)
    store = list_stores(tmp_path / "cache")[0]
    assert store.rows == 7
    crops = expected(manifest, find("srm").card.view.with_policy("tile"))
    assert [len(each) for each in crops] == [4, 1, 2]

    kept = load_features(manifest, "srm", cache=tmp_path / "cache", selector=Selector(crops="all"))
    assert kept.samples["crop"].tolist() == [0, 1, 2, 3, 0, 0, 1]
    assert kept.samples["path"].tolist() == ["a.png"] * 4 + ["b.png"] + ["c.png"] * 2
    assert np.array_equal(kept.matrix, np.concatenate(crops).astype(np.float32))

    averaged = load_features(manifest, "srm", cache=tmp_path / "cache")
    means = [each.astype(np.float64).mean(axis=0) for each in crops]
    np.testing.assert_allclose(averaged.matrix, means, rtol=1e-6)
    assert "crop" not in averaged.samples


def test_ten_crops_and_the_most_textured_fill_stores_of_their_own(manifest, tmp_path):
    for view, rows in (("tencrop", 30), ("texture:2", 5)):
        extract(manifest, ExtractSettings(("npr",), view=view), cache=tmp_path / view, device="cpu")
        assert list_stores(tmp_path / view)[0].rows == rows
        again = extract(manifest, ExtractSettings(("npr",), view=view), cache=tmp_path / view, device="cpu")
        assert again.models[0].computed == 0


def test_parts_with_different_crops_stand_side_by_side_as_means_only(manifest, tmp_path):
    for model, view in (("srm", "tile"), ("npr", None)):
        extract(manifest, ExtractSettings((model,), view=view), cache=tmp_path / "cache", device="cpu")
    assert load_features(manifest, "srm+npr", cache=tmp_path / "cache").matrix.shape == (3, 135 + 63)
    with pytest.raises(UsageError, match=r"srm\+npr: its parts have different numbers of crops.*--crops mean"):
        load_features(manifest, "srm+npr", cache=tmp_path / "cache", selector=Selector(crops="all"))


def test_questions_mean_unperturbed_images_unless_they_say_otherwise(manifest, tmp_path):
    settings = ExtractSettings(("srm",), perturb=("none", "jpeg:50", "blur:sigma=2+jpeg:50"))
    extract(manifest, settings, cache=tmp_path / "cache", device="cpu")
    clean = load_features(manifest, "srm", cache=tmp_path / "cache")
    assert [source.view for source in clean.sources] == ["native512"]
    assert (
        load_features(manifest, "srm", cache=tmp_path / "cache", selector=Selector(view="native")).sources
        == clean.sources
    )
    for selector in (Selector(perturb="jpeg:50"), Selector(view="jpeg50-native512")):
        found = load_features(manifest, "srm", cache=tmp_path / "cache", selector=selector)
        assert [source.view for source in found.sources] == ["jpeg50-native512"]
        assert not np.array_equal(found.matrix, clean.matrix)
    with pytest.raises(UsageError, match="no store of srm fits --view, --perturb"):
        load_features(manifest, "srm", cache=tmp_path / "cache", selector=Selector(perturb="jpeg:75"))
