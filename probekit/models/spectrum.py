"""Spectrum: azimuthally averaged log power spectra, Durall et al. 2019, arXiv:1911.00686.

Tap `azimuthal` is their feature of the whole picture, number for number. Tap `blocks` (the default) takes the
spectra of small windows and keeps order statistics over them: a local edit hardly moves the spectrum of a
whole picture.
"""

from functools import cache
from pathlib import Path

import numpy as np

from probekit import models
from probekit.arrays import Float
from probekit.models.residuals import BLOCK, QUANTILES, STRIDE, VIEW, Pixels, green, weight_free

RINGS = 6  # of equal width from 0 to 0.5 cycles a pixel; the corners beyond are the seventh
NOISE = 0.1  # power, about the 1/12 that rounding to whole grey levels adds: there is no signal below it
POINTS = 80
LIMIT = 100.0  # of the azimuthal ratio, whose divisor may be near zero in a picture of a few pixels

CARD = models.ModelCard(
    name="spectrum",
    source="none",
    license="Apache-2.0",
    view=VIEW,
    taps={"blocks": ((2 * RINGS + 1) * len(QUANTILES),), "azimuthal": (POINTS,)},
    default_tap="blocks",
    per_image=True,
    settings={"version": 1},
)


@models.add("spectrum")
def find(name: str, weights: Path | None) -> models.Model:
    """Radial log power spectra: order statistics over windows, and the whole picture's."""
    return weight_free(CARD, weights, {"blocks": blocks, "azimuthal": lambda pixels: azimuthal(luma(pixels))})


def blocks(pixels: Pixels) -> Float[np.ndarray, " d"]:
    """Quantiles over windows of log(1 + power / NOISE) of each ring, then of its step to the next; 0 if flat.

    Power is that of the Hann-windowed green channel less its mean, per pixel. An image smaller than a window
    gives zeros.
    """
    plane = green(pixels).astype(np.float64)
    if min(plane.shape) < BLOCK:
        return np.zeros((2 * RINGS + 1) * len(QUANTILES))
    windows = np.lib.stride_tricks.sliding_window_view(plane, (BLOCK, BLOCK))[::STRIDE, ::STRIDE]
    windows = windows.reshape(-1, BLOCK, BLOCK)
    hann, rings = _hann_and_rings()
    waves = np.fft.fft2((windows - windows.mean(axis=(1, 2), keepdims=True)) * hann)
    power = (waves.real**2 + waves.imag**2).reshape(len(windows), -1) @ rings / (hann**2).sum()
    levels = np.log1p(power / NOISE)
    return np.concatenate(
        [
            np.quantile(levels, QUANTILES, axis=0).T.ravel(),
            np.quantile(np.diff(levels), QUANTILES, axis=0).T.ravel(),
        ]
    )


def luma(pixels: Pixels) -> Float[np.ndarray, "h w"]:
    """Rec. 601 luma, 0–255, rounded to whole levels as image libraries do."""
    weighted: Float[np.ndarray, "h w"] = pixels @ np.array([0.299, 0.587, 0.114])
    whole: Float[np.ndarray, "h w"] = np.rint(weighted)
    return whole


def azimuthal(grey: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "80"]:
    """Mean of 20 log|F + 1e-8| over rings of one pixel, splined to 80 points, divided by the first of them.

    The first and the last ring are dropped, as in the published code. Limited to ±100; zeros where fewer than
    four rings are left (a picture of less than about 8 pixels).
    """
    from scipy.interpolate import CubicSpline

    height, width = grey.shape
    decibel = 20 * np.log(np.maximum(np.abs(np.fft.fftshift(np.fft.fft2(grey)) + 1e-8), 1e-30))
    y, x = np.indices(grey.shape)
    ring = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2).astype(int).ravel()
    counts = np.bincount(ring)
    present = counts > 0
    means = (np.bincount(ring, weights=decibel.ravel())[present] / counts[present])[1:-1]
    if len(means) < 4:
        return np.zeros(POINTS)
    spline = CubicSpline(np.linspace(0, POINTS, len(means)), means)
    spread: Float[np.ndarray, "80"] = spline(np.linspace(0, POINTS, POINTS))
    if spread[0] == 0:
        return np.zeros(POINTS)
    ratio: Float[np.ndarray, "80"] = np.clip(spread / spread[0], -LIMIT, LIMIT)
    return ratio


@cache
def _hann_and_rings() -> tuple[Float[np.ndarray, "b b"], Float[np.ndarray, "b*b r"]]:
    """The window, and a matrix that averages a flat spectrum over each ring; the constant term is in none."""
    hann = np.hanning(BLOCK + 1)[:-1]
    frequency = np.fft.fftfreq(BLOCK)
    radius = np.hypot(frequency[:, None], frequency[None, :]).ravel()
    ring = np.where(radius < 0.5, radius * 2 * RINGS, RINGS).astype(int)
    member = (ring[:, None] == np.arange(RINGS + 1)) & (radius > 0)[:, None]
    return np.outer(hann, hann), member / member.sum(axis=0)
