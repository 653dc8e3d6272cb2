"""Features put into a store as an extraction leaves them, without running the model."""

from pathlib import Path

import numpy as np

from probekit.fingerprint import plain
from probekit.keys import KeyIndex, file_digest
from probekit.manifest import Manifest
from probekit.store import Rows, Store, StoreSettings


def store_features(manifest: Manifest, cache: Path, model, view, features, failed=(), precision="float32") -> Store:
    """A store of that model and view with these rows of every tap, in manifest order; `failed` ones as failures."""
    index, keys = KeyIndex.open(cache), []
    for path in manifest.absolute_paths():
        digest = file_digest(path.read_bytes())
        index.add(str(path), path.stat(), digest)
        keys.append(digest)
    index.flush()
    settings = StoreSettings(model, "0" * 64, plain(view), view.name, precision, "float32")
    store = Store.create(cache, settings, {"default_tap": next(iter(features)), "batch_size": 1})
    packed = np.stack([np.frombuffer(key, np.uint8) for key in keys])
    rows = {tap: values.copy() for tap, values in features.items()}
    for row in failed:
        for values in rows.values():
            values[row] = np.nan
    reasons = {keys[row]: "the image is damaged" for row in failed}
    store.commit(Rows(packed, np.zeros(len(keys), np.int16), rows, reasons), list(manifest.table["path"]))
    store.fold()
    return store
