"""Predictions: a published head scores images, or the samples of a manifest whose features are in the store.

files.py        images and folders: decoded, shown to the head's own model in its own view, scored; nothing is stored
manifests.py    stored features of that model and view; since the labels are known, metrics follow
predictions.py  what both are asked and what they answer
"""

from probekit.predict.files import list_images, predict_images
from probekit.predict.manifests import predict_manifest
from probekit.predict.predictions import VERDICTS, Predictions, PredictSettings

__all__ = ["VERDICTS", "PredictSettings", "Predictions", "list_images", "predict_images", "predict_manifest"]
