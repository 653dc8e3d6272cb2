"""Workers that answer questions: what must be alike, and into how many parts a question goes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from probekit import sweeps
from probekit.errors import UsageError
from probekit.manifest import Manifest
from probekit.parallel.cluster import Place
from probekit.sweeps import Introduction, Material, Sweep

HERE = Introduction("here:1", "here", 2, {"numpy": "2.1.0", "torch": "2.10.0+cpu"}, "aa", ("one", "two"))
MATERIAL = Material(Manifest("faces", Path("/data/faces.csv"), Path("/data"), pd.DataFrame()), Path("/data/cache"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"manifest_sha256": "bb"}, r"^there sees another manifest than this machine at /data/faces\.csv: put it"),
        ({"stores": ("one",)}, r"^there does not see this machine's /data/cache: the cache must be in a bucket or"),
        ({"versions": {"numpy": "1.26.4", "torch": "2.10.0"}}, r"^there has numpy 1\.26\.4, this machine 2\.1\.0: "),
        ({"versions": {"numpy": "2.1.0"}}, r"^there has torch none, this machine 2\.10\.0: install the same there\.$"),
    ],
)
def test_a_node_that_is_not_like_this_machine_is_refused_in_one_line(change, said):
    with pytest.raises(UsageError, match=said):
        sweeps._require_alike(replace(HERE, host="there", **change), HERE, MATERIAL)


def test_other_builds_other_stores_and_other_libraries_are_accepted():
    versions = {"numpy": "2.1.0", "torch": "2.10.0+cu130", "timm": "1.0"}
    sweeps._require_alike(replace(HERE, versions=versions, stores=("one", "three", "two")), HERE, MATERIAL)


@pytest.mark.parametrize(
    ("threads", "questions", "most", "parts"),
    [
        ([1, 1], 1, 6, 6),  # one thread each: every training set apart, so that none waits long for the last
        ([4, 4], 1, 6, 2),  # side by side as on one machine, but no worker without work
        ([4, 4], 10, 6, 2),
        ([64, 64], 10, 6, 1),
        ([64], 1, 1, 1),
        ([64] * 8, 1, 6, 6),
        ([64] * 8, 3, 6, 3),
        ([], 1, 6, 6),  # nodes may come yet
    ],
)
def test_a_question_goes_into_as_many_parts_as_keep_the_workers_busy(threads, questions, most, parts):
    places = [Place("node", "host", number, cpus) for number, cpus in enumerate(threads)]
    assert Sweep(SimpleNamespace(places=places), {}).parts(questions, most) == parts


def test_a_gpu_is_given_one_training_set_at_a_time():
    places = [Place("node", "host", number, cpus=8, gpu=1.0) for number in range(2)]
    assert Sweep(SimpleNamespace(places=places), {}).parts(1, 6) == 6


def test_a_manifest_on_a_disk_is_read_by_the_node_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"path": ["a.png"], "label": [1], "generator": ["lama"], "group": ["a"], "split": ["train"]})
    table.to_csv("faces.csv", index=False)
    manifest = Manifest.read("faces.csv")
    build = sweeps._Build.of(Material(manifest, Path("cache")))
    assert (build.file, build.material.cache) == (tmp_path / "faces.csv", tmp_path / "cache")
    assert len(build.material.manifest.table) == 0
    monkeypatch.chdir("/")
    monkeypatch.setattr(sweeps, "limit_processors", lambda share: None)  # of this process, for all tests after
    worker = build(Place("node", "host", 0, 1))
    assert worker.introduce().manifest_sha256 == manifest.sha256
    from_elsewhere = sweeps._Build.of(Material(replace(manifest, path=None), Path("cache")))
    assert len(from_elsewhere.material.manifest.table) == 1


def test_without_a_cluster_ray_is_not_imported():
    script = "import sys, probekit.sweeps, probekit.pairs, probekit_cli.probe, probekit_cli.sweeps as s\n"
    script += "with s.opened(None, None, 'cpu') as none: assert none is None\nassert 'ray' not in sys.modules"
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "cli")])}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
