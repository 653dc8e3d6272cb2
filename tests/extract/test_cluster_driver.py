"""The process that hands out the units of a cluster; test_cluster.py has it with real workers."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

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
