"""Images on an S3 server that answers 500, breaks off and is slow: the features of a run on a disk."""

import numpy as np
import pytest

from probekit.errors import RemoteError
from probekit.extract import ClusterSettings, ExtractSettings, extract
from probekit.features import load_features
from probekit.remote import buckets
from probekit.store import list_stores
from tests.sources.conftest import IMAGES
from tests.sources.test_remote import manifest_of

boto3 = pytest.importorskip("boto3", reason="moto and boto3 are not installed")
pytest.importorskip("obstore", reason="the extra remote is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),  # one of them starts a cluster, and all count seconds
    # moto's server closes its sockets when they are collected, and boto3 still asks for naive times
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:datetime:DeprecationWarning"),
]
SRM = ExtractSettings(("srm",))


def in_bucket(names):
    return manifest_of("/", [f"s3://faces/{name}" for name in names])


def test_a_server_that_fails_breaks_off_and_is_slow_gives_the_features_of_a_disk(s3, images, tmp_path):
    s3.fault = lambda number: {3: "500", 7: "break", 11: "slow"}.get(number % 13, "")
    there, here = in_bucket(images), manifest_of(tmp_path / "images", images)
    result = extract(there, SRM, cache=tmp_path / "there", device="cpu", unit_size=16)
    assert (result.models[0].done, result.models[0].failed) == (IMAGES, 0)
    assert min(s3.faults[kind] for kind in ("500", "break", "slow")) >= 3
    extract(here, SRM, cache=tmp_path / "here", device="cpu")
    found, expected = (
        load_features(m, "srm", cache=tmp_path / c).matrix for m, c in ((there, "there"), (here, "here"))
    )
    assert found.tobytes() == expected.tobytes()
    (store,) = list_stores(tmp_path / "there")
    assert list(store.verify()) == []
    assert {path.partition("?")[0] for _, path in s3.requests} == {f"/faces/{name}" for name in images}, "a listing"


def test_reads_of_a_slow_server_run_side_by_side(s3, images, tmp_path):
    s3.fault = lambda number: "slow"
    extract(in_bucket(images), SRM, cache=tmp_path / "cache", device="cpu", workers=2)
    assert s3.at_once >= 16


def test_a_bucket_that_answers_nothing_but_errors_ends_the_run_and_keeps_what_was_done(
    s3, images, tmp_path, monkeypatch
):
    monkeypatch.setattr(buckets, "RETRIES", 1)
    buckets._store.cache_clear()
    s3.fault = lambda number: "500" if number > IMAGES // 2 else ""
    with pytest.raises(
        RemoteError, match=r"^s3://faces/real/\d+.png: cannot be reached .*500.* What was finished before"
    ):
        extract(in_bucket(images), SRM, cache=tmp_path / "cache", device="cpu", unit_size=4)
    s3.fault = lambda number: ""
    before = sum(store.rows for store in list_stores(tmp_path / "cache"))
    result = extract(in_bucket(images), SRM, cache=tmp_path / "cache", device="cpu", unit_size=4)
    assert 0 < result.models[0].computed == IMAGES - before


def test_an_object_of_a_bucket_that_is_not_there_is_not_an_image(s3, images, tmp_path):
    manifest = in_bucket([images[0], "real/none.png"])
    result = extract(manifest, SRM, cache=tmp_path / "cache", device="cpu")
    assert result.failed["reason"].tolist() == ["there is no such object."]


def test_workers_of_a_cluster_read_buckets_with_the_credentials_of_their_environment(s3, images, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    s3.fault = lambda number: "500" if number % 9 == 4 else ""
    there, here = in_bucket(images), manifest_of(tmp_path / "images", images)
    settings = ClusterSettings("local", workers_per_node=2)
    result = extract(there, SRM, cache=tmp_path / "there", cluster=settings, unit_size=16)
    assert result.models[0].done == IMAGES == sum(worker.images for worker in result.workers)
    extract(here, SRM, cache=tmp_path / "here", device="cpu")
    found, expected = (
        load_features(m, "srm", cache=tmp_path / c).matrix for m, c in ((there, "there"), (here, "here"))
    )
    assert np.array_equal(found, expected)
