"""Predictions: a head, published or saved, scores images, or the samples of a manifest whose features are in the store.

files.py        images, folders and videos: shown to the head's own model in its own view, scored; nothing is stored
loading.py      threads that read, decode and crop ahead what is to be shown
manifests.py    stored features of that model and view; since the labels are known, metrics follow
predictions.py  what both are asked and what they answer
"""

from probekit.layouts.given import list_images
from probekit.predict.files import predict_images
from probekit.predict.manifests import predict_manifest
from probekit.predict.predictions import Predictions, PredictSettings

__all__ = ["PredictSettings", "Predictions", "list_images", "predict_images", "predict_manifest"]
