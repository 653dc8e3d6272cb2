"""What must not matter to a feature: order, batches, threads, units, company, and where an extraction was cut off."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from probekit.extract import ExtractSettings, Progress, extract
from probekit.features import load_features
from probekit.manifest import Manifest, validate
from probekit.models.taps import TappedNetwork
from probekit.store import list_stores
from tests.extract.conftest import manifest_of, write_image

VIT = "timm:vit_tiny_patch16_224"
IMAGES = 9
PLAIN = {
    "order": list(range(IMAGES)),
    "workers": 1,
    "unit_size": IMAGES,
    "company": (),
    "cut_after": 0,
    "known_before": 0,
}
runs = st.fixed_dictionaries(
    {
        "order": st.permutations(range(IMAGES)),
        "workers": st.integers(1, 4),
        "unit_size": st.integers(1, IMAGES),
        "company": st.sampled_from([(), ("npr",), ("npr", "spectrum")]),
        "cut_after": st.integers(0, IMAGES),
        "known_before": st.integers(0, IMAGES),
    }
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    root = tmp_path_factory.mktemp("images")
    for number in range(IMAGES):
        write_image(root / f"{number}.png", number, size=(224, 224 + 8 * number))
    return manifest_of(root, [f"{number}.png" for number in range(IMAGES)])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), file)
    return file


def extracted(manifest: Manifest, model: str, cache, run, batch_size: int, **options) -> np.ndarray:
    """Features in full precision, extracted after another manifest's, cut off, and begun again."""
    full = {"precision": "float32", "dtype": "float32"}
    part = replace(manifest, table=manifest.table.iloc[: run["known_before"]].reset_index(drop=True))
    shuffled = replace(manifest, table=validate(manifest.table.iloc[run["order"]], "shuffled"))
    common = {"cache": cache, "batch_size": batch_size, "device": "cpu", **options}
    if len(part.table):
        extract(part, ExtractSettings((model,), **full), **common)

    def cut(progress: Progress) -> None:
        if progress.computed >= run["cut_after"] > 0:
            raise KeyboardInterrupt

    wanted = ExtractSettings((model, *run["company"]), **full)
    for stop in (cut, None):
        try:
            extract(shuffled, wanted, workers=run["workers"], unit_size=run["unit_size"], on_progress=stop, **common)
        except KeyboardInterrupt:
            assert all(list(store.verify()) == [] for store in list_stores(cache))
    return load_features(manifest, model, cache=cache).matrix


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs, batch_size=st.integers(1, 7))
def test_weight_free_features_are_the_same_bits_whatever_the_run(manifest, tmp_path_factory, run, batch_size):
    expected = extracted(manifest, "srm", tmp_path_factory.mktemp("a"), PLAIN, 32)
    found = extracted(manifest, "srm", tmp_path_factory.mktemp("b"), run, batch_size)
    assert found.tobytes() == expected.tobytes()


def test_a_network_sees_batches_of_one_size_only(manifest, checkpoint, tmp_path, monkeypatch):
    """Other shapes may be rounded in another way, on some machines: the last, smaller batch is filled up."""
    sizes = []
    forward = TappedNetwork.__call__
    monkeypatch.setattr(
        TappedNetwork,
        "__call__",
        lambda net, batch, taps: (sizes.append(len(batch.pixels)), forward(net, batch, taps))[1],
    )
    settings = ExtractSettings((VIT,), precision="float32")
    result = extract(
        manifest, settings, cache=tmp_path, weights={VIT: checkpoint}, device="cpu", batch_size=4, unit_size=2
    )
    assert [size for size in sizes if size > 1] == [4, 4, 4]  # one blank crop told the shapes of the taps
    assert result.models[0].done == IMAGES


def test_features_of_a_network_do_not_depend_on_what_was_there_before(manifest, checkpoint, tmp_path):
    before = PLAIN | {"known_before": 4}
    expected, found = (
        extracted(manifest, VIT, tmp_path / name, run, 4, weights={VIT: checkpoint})
        for name, run in (("a", PLAIN), ("b", before | {"order": [8, 0, 4, 2, 6, 1, 7, 3, 5]}))
    )
    assert found.tobytes() == expected.tobytes()


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs)
def test_features_of_a_network_are_the_same_bits_for_one_batch_size(manifest, checkpoint, tmp_path_factory, run):
    weights = {"weights": {VIT: checkpoint}}
    expected = extracted(manifest, VIT, tmp_path_factory.mktemp("a"), PLAIN, 4, **weights)
    found = extracted(manifest, VIT, tmp_path_factory.mktemp("b"), run, 4, **weights)
    assert found.tobytes() == expected.tobytes()
    other = extracted(manifest, VIT, tmp_path_factory.mktemp("c"), PLAIN, 7, **weights)
    np.testing.assert_allclose(other, expected, rtol=0.05, atol=0.05)
    assert (other * expected).sum() / np.linalg.norm(other) / np.linalg.norm(expected) > 0.999
