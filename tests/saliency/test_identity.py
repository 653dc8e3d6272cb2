"""An image is known by its full name: members, frames and boxes of one path are images of their own."""

import numpy as np
import pandas as pd
import pytest

from probekit.protocols import parse_pools
from probekit.saliency.looking import choose
from probekit.saliency.probing import Probing
from probekit.saliency.result import SaliencyResult
from probekit.saliency.settings import SaliencySettings
from probekit.saliency.sheets import sheet_rows
from probekit.samples import full_names

KINDS = {
    "members": {"member": [f"{i}.png" for i in range(40)]},
    "frames": {"frame": pd.array(range(40), dtype="Int64")},
    "boxes": {name: pd.array([i + more for i in range(40)], dtype="Int64")
              for name, more in (("x0", 0), ("y0", 0), ("x1", 8), ("y1", 8))},
}  # fmt: skip


@pytest.fixture(params=KINDS)
def samples(request):
    """Twenty real images and twenty fakes that share one path."""
    table = pd.DataFrame({"path": "all.zip", "label": np.arange(40) % 2, "domain": "", "split": "test"}, range(40))
    table["generator"] = np.where(table["label"] == 1, "lama", "real")
    return table.assign(group="g", **KINDS[request.param])


def result_of(samples):
    images = samples.assign(path=full_names(samples), method="grad-cam", train="lama")
    nothing = pd.DataFrame()
    record = {"evaluation": "split"}
    settings = SaliencySettings()
    return SaliencyResult(settings, {}, samples, images, nothing, {}, (), nothing, record, {}, ())


def test_the_choice_of_images_does_not_depend_on_the_order_of_the_manifest(samples):
    def chosen(table):
        probing = Probing(table, np.zeros(40, int), np.ones(40, bool), (), (), "binary", {})
        return {full_names(table)[row] for row in choose(probing, 3, 0)}

    assert len(chosen(samples)) == 6
    assert chosen(samples) == chosen(samples[::-1].reset_index(drop=True))


def test_the_images_of_a_sheet_do_not_depend_on_the_order_of_the_manifest(samples):
    def shown(table):
        (pool,) = parse_pools("lama", table)
        return {full_names(table)[row] for row in sheet_rows(result_of(table), "grad-cam", "lama", pool, 4, 2)}

    assert len(shown(samples)) == 6
    assert shown(samples) == shown(samples[::-1].reset_index(drop=True))


def test_images_that_share_a_path_are_counted_each(samples):
    assert result_of(samples).to_json()["n_images"] == 40
