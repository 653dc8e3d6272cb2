"""Newly computed rows as a store keeps them: in its number format, and refused where that cannot hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Int, Keys, Mask, Shaped
from probekit.errors import FeatureOverflowError
from probekit.store.parts import DONE, FAILED, Part
from probekit.store.settings import StoreSettings


@dataclass(frozen=True)
class Rows:
    """Newly computed rows of some taps: what an extraction commits."""

    keys: Keys
    crops: Int[np.ndarray, " n"]
    features: Mapping[str, Float[np.ndarray, "n ..."]]
    """One float32 array per tap; rows named in `reasons` are ignored."""
    reasons: Mapping[bytes, str]
    """Key → why that image could not be read."""


def packed(rows: Rows, names: Sequence[str], settings: StoreSettings) -> Part:
    """The rows in the store's number format, NaN where the image failed.

    Args:
        rows: newly computed rows.
        names: what to call each row in an error, its path.
        settings: of the store.

    Raises:
        FeatureOverflowError: a feature is not finite or does not fit the number format.
    """
    failed = np.array([key.tobytes() in rows.reasons for key in rows.keys], bool)
    features = {tap: _as_stored(tap, values, failed, names, settings) for tap, values in rows.features.items()}
    status = np.where(failed, FAILED, DONE).astype(np.uint8)
    return Part(rows.keys, rows.crops, status, features, {key.hex(): reason for key, reason in rows.reasons.items()})


def _as_stored(
    tap: str, values: Float[np.ndarray, "n ..."], failed: Mask, names: Sequence[str], settings: StoreSettings
) -> Shaped[np.ndarray, "n ..."]:
    with np.errstate(over="ignore"):
        stored = values.astype(settings.dtype)
    stored[failed] = np.nan
    rows = values.reshape(len(values), -1)
    for row in np.flatnonzero(~np.isfinite(stored.reshape(len(stored), -1)).all(axis=1) & ~failed):
        extreme = rows[row][~np.isfinite(stored[row].reshape(-1))][0]
        problem = (
            f"{extreme:.4g} does not fit {settings.dtype}: extract with --dtype float32"
            if np.isfinite(extreme)
            else f"the model gave {extreme}: check its weights, or try --precision float32"
        )
        raise FeatureOverflowError(f"{names[int(row)]}: in tap {tap} of {settings.model}, {problem}.")
    return stored
