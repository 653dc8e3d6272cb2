"""The process that hands out the units of a cluster; test_cluster.py has it with real workers."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

from probekit.extract import ExtractSettings, cluster
from probekit.extract.process import Job
from probekit.store.claims import CLAIMS, Claims


def test_it_shows_that_it_lives_while_others_compute_all_that_is_left(make_manifest, tmp_path, monkeypatch):
    manifest = make_manifest(4)
    job = Job(manifest, ExtractSettings(("srm",)), tmp_path / "cache", {}, None, None, 4, False, False, False)
    with contextlib.closing(cluster._Driver(job, "cpu", None)) as driver:
        (target,) = driver._targets
        other = Claims(target.store.path / CLAIMS)
        assert other.take(driver._plan._name(np.arange(4)))
        alive = []
        monkeypatch.setattr(type(target.store.claims), "show_life", lambda _, name: alive.append(name))
        monkeypatch.setattr(cluster, "LIFE_SECONDS", 0.0)

        def sleep(_):
            if len(alive) >= 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=cluster.time.monotonic, sleep=sleep))
        with pytest.raises(KeyboardInterrupt):
            driver.until_complete(SimpleNamespace(results=lambda orders, on_wait: list(orders)))
        assert set(alive) == {driver._token}


@pytest.mark.parametrize(
    ("models", "given", "batch_size", "unit", "remark"),
    [
        (["timm:vit_tiny_patch16_224"], None, 32, 256, ""),
        (["timm:vit_tiny_patch16_224", "srm"], None, 100, 300, ""),
        (["timm:vit_tiny_patch16_224"], 32, 32, 32, ""),
        (["srm", "timm:vit_tiny_patch16_224"], 16, 32, 16, "units of 16 do not fill the batches of 32 of timm:vit"),
        (["srm"], 16, 32, 16, ""),  # it needs no full batches
    ],
)
def test_units_are_whole_batches_and_it_says_where_they_are_not(
    make_manifest, tmp_path, models, given, batch_size, unit, remark
):
    network = "timm:vit_tiny_patch16_224"
    weights = {network: tmp_path / "vit.safetensors"} if network in models else {}
    for file in weights.values():
        save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), file)
    settings = ExtractSettings(tuple(models))
    job = Job(make_manifest(2), settings, tmp_path / "cache", weights, batch_size, None, given, False, False, False)
    with contextlib.closing(cluster._Driver(job, "cpu", None)) as driver:
        assert driver._plan.unit_size == unit
        assert driver.remark.startswith(remark)
        assert bool(driver.remark) == bool(remark)
