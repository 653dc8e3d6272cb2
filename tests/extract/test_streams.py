"""Features a block at a time are those that are loaded at once, and probes fitted to either agree."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from probekit.errors import MissingFeaturesError, UsageError
from probekit.extract import ExtractSettings, extract
from probekit.features import Join, Selector
from probekit.probes import streamed
from probekit.probes.conditions import fit_condition
from probekit.probes.lda import LDAProbe
from probekit.probes.logistic import LogisticProbe
from probekit.probes.ridge import RidgeProbe


@pytest.fixture
def extracted(make_manifest, tmp_path):
    """A manifest in another order than that of the store, with its cache."""
    manifest = make_manifest(24)
    extract(manifest, ExtractSettings(("srm", "npr")), cache=tmp_path / "cache", device="cpu")
    shuffled = manifest.table.sample(frac=1, random_state=0).reset_index(drop=True)
    return replace(manifest, table=shuffled), tmp_path / "cache"


@pytest.mark.parametrize("reference", ["srm", "srm+npr"])
@pytest.mark.parametrize("block_bytes", [1, 5 * 198 * 4, 1 << 20])
def test_blocks_are_the_rows_of_the_whole(extracted, reference, block_bytes):
    join = Join(*extracted)
    whole, stream = join.load(reference), join.stream(reference)
    assert (stream.widths, stream.sources) == (whole.widths, whole.sources)
    assert stream.samples.equals(whole.samples)
    found = np.full_like(whole.matrix, np.nan)
    for rows, features in stream.blocks(block_bytes=block_bytes):
        assert features.nbytes <= max(block_bytes, features.shape[1] * 4)
        assert np.isnan(found[rows]).all(), "a sample came twice"
        found[rows] = features
    assert_array_equal(found, whole.matrix)


def test_only_the_samples_that_are_meant_come_in_the_order_of_the_store(extracted):
    stream = Join(*extracted).stream("srm")
    among = np.arange(24) % 3 == 0
    rows = np.concatenate([rows for rows, _ in stream.blocks(among, block_bytes=1)])
    assert sorted(rows) == np.flatnonzero(among).tolist()
    names = stream.samples["path"].iloc[rows].tolist()
    assert names == sorted(names), "the store has them as they were extracted"


@pytest.mark.parametrize("probe", [RidgeProbe(C=0.1), LDAProbe(0.3), LogisticProbe(C=0.1)], ids=str)
def test_a_probe_of_the_store_decides_as_one_in_memory(extracted, probe):
    join = Join(*extracted)
    whole, stream = join.load("srm+npr"), join.stream("srm+npr")
    labels, train = whole.samples["label"].to_numpy(), np.arange(24) < 16

    def blocks():
        return ((features, labels[rows]) for rows, features in stream.blocks(train, block_bytes=4000))

    found = streamed.fit(probe, blocks, condition="zscore", widths=stream.widths)
    condition = fit_condition("zscore", whole.matrix[train], whole.widths)
    expected = probe.fit(condition.apply(whole.matrix[train]), labels[train])
    decisions = expected.decision_function(condition.apply(whole.matrix))
    assert_allclose(found.decision_function(whole.matrix), decisions, atol=1e-6 * np.abs(decisions).max())
    assert found.rows == 16


def test_crops_are_streamed_as_their_mean(make_manifest, tmp_path):
    manifest = make_manifest(3)
    extract(manifest, ExtractSettings(("srm",), view="texture:3"), cache=tmp_path / "cache", device="cpu")
    join = Join(manifest, tmp_path / "cache")
    found = {int(rows[0]): features[0] for rows, features in join.stream("srm").blocks(block_bytes=1)}
    assert_array_equal(np.stack([found[row] for row in range(3)]), join.load("srm").matrix)
    with pytest.raises(UsageError, match="crops"):
        join.stream("srm", Selector(crops="all"))


def test_what_was_never_extracted_is_told_before_anything_is_read(make_manifest, tmp_path):
    extract(make_manifest(3), ExtractSettings(("srm",)), cache=tmp_path / "cache", device="cpu")
    join = Join(make_manifest(5), tmp_path / "cache")
    with pytest.raises(MissingFeaturesError, match="2 of 5"):
        join.stream("srm")
    assert len(join.stream("srm", allow_missing=True).excluded) == 2
