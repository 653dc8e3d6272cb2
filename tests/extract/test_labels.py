"""Features that are named and not read: what a process knows that has others compute."""

from dataclasses import dataclass
from functools import partial

import pytest
from pandas.testing import assert_frame_equal

from probekit import sweeps
from probekit.errors import UsageError
from probekit.extract import ExtractSettings, extract
from probekit.features import FeatureSet, FeatureStream, Join, Selector
from probekit.sweeps import Ask, Asked, Material
from tests.extract.conftest import write_image

SRM = ExtractSettings(("srm",))


def rows_of(features):
    return len(features.samples)


def same(label, loaded):
    assert_frame_equal(label.samples, loaded.samples)
    assert_frame_equal(label.excluded, loaded.excluded)
    assert (label.name, label.sources, label.widths) == (loaded.name, loaded.sources, loaded.widths)
    assert label.identity == loaded.identity != ""
    assert [len(block) for block in label.blocks] == [0] * len(loaded.blocks)


@pytest.fixture
def worker(monkeypatch, tmp_path):
    monkeypatch.setattr(sweeps, "limit_processors", lambda share: None)  # of this process, for all tests after
    return lambda manifest: Asked(Material(manifest, tmp_path / "cache", allow_missing=True), threads=1)


@pytest.mark.parametrize("crops", ["mean", "all"])
def test_a_label_is_what_is_loaded_but_for_the_rows(make_manifest, tmp_path, crops):
    manifest = make_manifest(5)
    write_image(tmp_path / "images" / "0001.png", 1, size=(600, 700))  # four tiles of 512
    (tmp_path / "images" / "0002.png").write_bytes(b"no picture")
    extract(make_manifest(4), ExtractSettings(("srm", "npr"), view="tile"), cache=tmp_path / "cache", device="cpu")
    join = Join(manifest, tmp_path / "cache")
    for reference in ("srm", "srm+npr"):
        asked = partial(join.label, reference, Selector(crops=crops), allow_missing=True)
        loaded = join.load(reference, Selector(crops=crops), allow_missing=True)
        same(asked(), loaded)
        assert len(loaded.excluded) == 2
        assert len(loaded.samples) == (3 if crops == "mean" else 6)


def test_labels_of_the_same_rows_share_one_table(make_manifest, tmp_path):
    manifest = make_manifest(3)
    extract(manifest, ExtractSettings(("srm", "npr")), cache=tmp_path / "cache", device="cpu")
    join = Join(manifest, tmp_path / "cache")
    srm, npr = join.label("srm"), join.label("npr")
    assert srm.samples is npr.samples
    assert srm.identity != npr.identity


def rows_of_both(features, variants):
    (blurred,) = variants.values()
    return len(features.samples), len(blurred.samples)


def test_a_worker_that_sees_what_the_asker_saw_answers(make_manifest, tmp_path, worker):
    manifest = make_manifest(4)
    extract(make_manifest(3), SRM, cache=tmp_path / "cache", device="cpu")
    label = Join(manifest, tmp_path / "cache").label("srm", allow_missing=True)
    ask = Ask("srm", Selector(), rows_of, identity=label.identity)
    assert worker(manifest).compute(ask).found == 3


def test_a_worker_that_sees_more_samples_than_the_asker_did_refuses(make_manifest, tmp_path, worker):
    manifest = make_manifest(4)
    extract(make_manifest(3), SRM, cache=tmp_path / "cache", device="cpu")
    label = Join(manifest, tmp_path / "cache").label("srm", allow_missing=True)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    with pytest.raises(UsageError, match=r"^srm: .* finds other samples with features than there were .* Ask again\.$"):
        worker(manifest).compute(Ask("srm", Selector(), rows_of, identity=label.identity))


def test_perturbed_features_are_those_that_the_asker_saw_too(make_manifest, tmp_path, worker):
    manifest, blurred = make_manifest(4), ExtractSettings(("srm",), perturb=("blur:sigma=1",))
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    extract(make_manifest(3), blurred, cache=tmp_path / "cache", device="cpu")
    join, selector = Join(manifest, tmp_path / "cache"), Selector(perturb="blur:sigma=1")
    meant = (selector, join.label("srm", selector, allow_missing=True).identity)
    ask = Ask("srm", Selector(), rows_of_both, {"blurred": meant}, join.label("srm").identity)
    assert worker(manifest).compute(ask).found == (4, 3)
    extract(manifest, blurred, cache=tmp_path / "cache", device="cpu")
    with pytest.raises(UsageError, match=r"^srm: .* finds other samples with features than there were .* Ask again\.$"):
        worker(manifest).compute(ask)


@dataclass(frozen=True)
class Room:
    """So many samples and no more can be loaded."""

    samples: int
    size: int = 1 << 20

    def fits(self, samples, width):
        return len(samples) <= self.samples


@pytest.mark.parametrize(("room", "kind"), [(3, FeatureSet), (2, FeatureStream)])
def test_what_does_not_fit_a_worker_is_a_stream_of_the_same_features(make_manifest, tmp_path, worker, room, kind):
    manifest = make_manifest(3)
    extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    label = Join(manifest, tmp_path / "cache").label("srm")
    ask = Ask("srm", Selector(), lambda features: features, identity=label.identity, limit=Room(room))
    found = worker(manifest).compute(ask).found
    assert isinstance(found, kind)
    assert found.identity == label.identity
