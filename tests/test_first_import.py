"""Threads that load the first images must not load the image libraries, which they would do all at once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
from pathlib import Path

import pandas as pd

from probekit import views

lacking, crop = [], views._crop

def watched(*given, **named):
    lacking.extend(name for name in views.LIBRARIES if name not in sys.modules)
    return crop(*given, **named)

views._crop = watched
{load}
assert not lacking, lacking
"""
LOADS = {
    "predict": """
from probekit.predict.loading import batches
from probekit.sources import Sample

samples, view = [Sample(path) for path in sys.argv[1:]], views.View("resize", 224, 224)
shown = [one for batch in batches(samples, view, 2, 2, None) for one in batch]
assert [one.reason for one in shown] == [None, None]
""",
    "extract": """
from probekit.extract import ExtractSettings, extract
from probekit.manifest import Manifest, validate

table = pd.DataFrame({"path": sys.argv[1:], "label": 1, "generator": "lama", "split": "test"})
manifest = Manifest("two", None, Path.cwd(), validate(table, "two"))
done = extract(manifest, ExtractSettings(models=("npr",)), cache=Path(sys.argv[1]).parent / "cache", workers=2)
assert done.failed.empty, done.failed
""",
}


@pytest.mark.parametrize("what", LOADS)
def test_image_libraries_are_loaded_before_the_threads_that_use_them(tmp_path, what):
    names = [str(tmp_path / "a.png"), str(tmp_path / "b.jpg")]
    for seed, name in enumerate(names):
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (300, 300, 3), np.uint8)).save(name)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(load=LOADS[what]), *names],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
