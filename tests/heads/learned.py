"""Probes trained on made-up features of made-up stores, as they are saved."""

import numpy as np

from probekit.fingerprint import plain
from probekit.heads.saved import Block, SavedProbe
from probekit.probes.classifier import LinearClassifier
from probekit.probes.conditions import fit_condition
from probekit.store import StoreSettings
from probekit.views import View

NATIVE = View("native", crop=512)
NPR = StoreSettings("npr", None, plain(NATIVE), NATIVE.name, "float32", "float16", {"version": 1})


def learned(classes=("real", "lama"), widths=(63,), settings=(NPR,), taps=("blocks",), seed=0, **changes):
    """A linear probe with random weights, and the raw features to which its condition was fitted."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0.1, 2, (40, sum(widths))).astype(np.float32)
    columns = 1 if len(classes) == 2 else len(classes)
    classifier = LinearClassifier(
        classes=np.arange(len(classes)),
        probabilistic=True,
        converged=True,
        weights=rng.normal(size=(columns, sum(widths))).T / 8,  # not contiguous: a transpose, as a solver gives it
        bias=rng.normal(size=columns),
        gradient=1e-7,
        iterations=12,
    )
    given = {
        "probe": "logistic",
        "condition": fit_condition("zscore", features, widths),
        "classifier": classifier,
        "task": "binary" if len(classes) == 2 else "attribution",
        "class_names": tuple(classes),
        "blocks": tuple(Block(*block) for block in zip(taps, widths, settings, strict=True)),
        "prior": (30, 10),
        "train": "+".join(classes[1:]),
        "evaluation": "train → test split",
        "manifest": "faces",
        "manifest_sha256": "f" * 64,
        "parameter": "C",
        "value": 0.01,
        "selection": {"by": "5-fold group cross-validation on train", "grid": [0.01, 0.1]},
    }
    return SavedProbe(**given | changes), features
