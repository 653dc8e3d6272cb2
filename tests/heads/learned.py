"""Probes as they are saved: of random numbers, and trained on stored features."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from probekit.features import load_features
from probekit.fingerprint import plain
from probekit.heads.saved import Block, SavedProbe, blocks_of
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
        "settings": {"folds": 0, "seed": 3, "shots": None},
    }
    return SavedProbe(**given | changes), features


def train(manifest, cache, reference="npr", *, classes=("real", "fake"), selector=None, **changes) -> SavedProbe:
    """A logistic probe on the training samples, with weights from scikit-learn."""
    found = load_features(manifest, reference, cache=cache, selector=selector)
    rows = (found.samples["split"] == "train").to_numpy()
    y = found.samples["label"].to_numpy()
    if len(classes) > 2:
        y = found.samples["generator"].map({name: number for number, name in enumerate(classes)}).to_numpy()
    condition = fit_condition("zscore", found.matrix[rows], found.widths)
    fitted = LogisticRegression(C=0.1, max_iter=10_000).fit(condition.apply(found.matrix[rows]), y[rows])
    given = {
        "probe": "logistic",
        "condition": condition,
        "classifier": LinearClassifier(fitted.classes_, True, True, fitted.coef_.T, fitted.intercept_),
        "task": "binary" if len(classes) == 2 else "attribution",
        "class_names": classes,
        "blocks": blocks_of(found.sources, found.widths, cache),
        "prior": (int((y[rows] == 0).sum()), int((y[rows] > 0).sum())),
        "train": "lama+ldm",
        "evaluation": "train → test split",
        "manifest": manifest.name,
        "manifest_sha256": manifest.sha256,
        "parameter": "C",
        "value": 0.1,
        "crops": selector.crops if selector else "mean",
    }
    return SavedProbe(**given | changes)
