"""Calibration: decisions made into log-odds and logits that mean probabilities, fitted on samples of their own.

- `platt` (Platt 1999): p = 1 / (1 + exp(−(a s + b))). Where calibrated, log-odds of 0 mean that both classes are
  equally probable in a population of the same shares as the samples of the fit.
- `temperature` (Guo et al. 2017): log-odds or logits over T. It changes no decision at log-odds 0 and no ranking of
  classes.
"""

from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Labels, Scores
from probekit.errors import ProbeError
from probekit.probes.classifier import probabilities
from probekit.registry import unknown_name

CALIBRATIONS = {
    "none": "decisions as they are",
    "platt": "slope and offset of the log-odds by maximum likelihood",
    "temperature": "decisions over a temperature, by maximum likelihood",
}

ROUNDING = 1e-15  # of a mean loss
TOL = 1e-10  # on the gradient of the mean loss, of standardised scores
MAX_ITERATIONS = 100
SHARPEST, FLATTEST = 30.0, 1e-3  # root mean square of calibrated logits: at 30 a probability is within 1e-13 of 0 or 1

Decisions = Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]
"""Log-odds of the second of two classes, or a logit a class."""


@dataclass(frozen=True)
class Calibration:
    """What turns a probe's decisions into calibrated ones; plain values, for JSON."""

    kind: str
    slope: float = 1.0
    """1 / T for a temperature."""
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in CALIBRATIONS:
            raise unknown_name("calibration", self.kind, CALIBRATIONS)

    def apply(self, decisions: Decisions) -> Decisions:
        """Decisions · slope + offset: of log-odds log-odds, of logits logits, for `classifier.probabilities`."""
        calibrated: Decisions = self.slope * decisions + self.offset
        return calibrated


def fit_calibration(kind: str, labels: Labels, decisions: Decisions) -> Calibration:
    """The calibration of that kind with the smallest log-loss on these samples, which no probe learned from.

    Args:
        kind: a name in `CALIBRATIONS`.
        labels: class numbers from 0.
        decisions: log-odds of class 1, or a logit a class.

    Raises:
        UnknownNameError: there is no such kind.
        ProbeError: the samples hold one class, a decision is not finite, or `platt` was asked of logits.
    """
    found = Calibration(kind)
    if kind == "none":
        return found
    if kind == "platt" and decisions.ndim > 1:
        raise ProbeError(f"platt calibrates log-odds, not logits of {decisions.shape[1]} classes: use temperature.")
    classes = np.unique(labels)
    if len(classes) < 2:
        only = f"only class {classes[0]}" if len(classes) else "none"
        raise ProbeError(f"calibration {kind} needs samples of two classes, there are {only}: add some, or use none.")
    bad = int(np.sum(~np.isfinite(decisions)))
    if bad:
        raise ProbeError(f"calibration {kind}: {bad} decisions are not finite. Leave those samples out.")
    wide = decisions.astype(np.float64)
    if kind == "platt":
        return Calibration(kind, *_platt(labels, wide))
    return Calibration(kind, 1 / _temperature(labels, wide))


def _platt(labels: Labels, scores: Scores) -> tuple[float, float]:
    """Slope and offset that minimise −Σ t log p + (1 − t) log (1 − p), by Newton's method as in Lin et al. 2007.

    Platt's targets t = (N₁ + 1) / (N₁ + 2) for fakes and 1 / (N₀ + 2) for reals keep separable samples finite. The
    scores are standardised, so that their units do not matter; the slope of constant scores is 0.
    """
    fakes = int(np.sum(labels == 1))
    targets = np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (len(labels) - fakes + 2))
    centre, scale = scores.mean(), scores.std()
    if scale <= len(scores) * np.finfo(np.float64).eps * np.abs(scores).max():
        return 0.0, _log_odds(targets.mean())
    slope, offset = _newton(np.stack([(scores - centre) / scale, np.ones(len(scores))], axis=1), targets)
    return float(slope / scale), float(offset - slope * centre / scale)


def _log_odds(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))


def _newton(design: Float[np.ndarray, "n 2"], targets: Scores) -> Float[np.ndarray, " 2"]:
    """The minimum of mean log (1 + exp(η)) − t η, η = design θ, with steps halved until the loss falls.

    Raises:
        ProbeError: it was not reached.
    """

    def loss(theta: Float[np.ndarray, " 2"]) -> float:
        logits = design @ theta
        return float(np.mean(np.logaddexp(0.0, logits) - targets * logits))

    theta = np.array([0.0, _log_odds(targets.mean())])
    for _ in range(MAX_ITERATIONS):
        shares = probabilities(design @ theta)[:, 1]
        gradient = design.T @ (shares - targets) / len(targets)
        if np.abs(gradient).max() <= TOL:
            return theta
        curvature = (design.T * (shares * (1 - shares))) @ design / len(targets)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), -gradient)
        size = 1.0
        enough = 1e-4 * (gradient @ step)
        while size > 1e-10 and loss(theta + size * step) > loss(theta) + size * enough + ROUNDING:
            size /= 2
        theta = theta + size * step
    raise ProbeError(f"platt calibration did not converge in {MAX_ITERATIONS} steps: use temperature, or none.")


def _temperature(labels: Labels, decisions: Decisions) -> float:
    """T > 0 with the smallest Σ −log softmax(z / T)_y.

    The loss is convex in β = 1 / T, so its slope Σ (E_p z − z_y), p = softmax(β z), rises and has at most one zero.
    There is none at a positive β where the right classes do not have the higher logits on average, and none at a
    finite one where they always do; T then stays where calibrated logits are all but 0, or all but certain.
    """
    from scipy.optimize import brentq

    logits = np.stack([np.zeros_like(decisions), decisions], axis=1) if decisions.ndim == 1 else decisions
    centred = logits - logits.mean(axis=1, keepdims=True)
    scale = float(np.sqrt(np.mean(centred**2)))
    if scale <= logits.shape[1] * np.finfo(np.float64).eps * np.abs(logits).max():
        return 1.0  # every class is equally probable at every T
    centred /= scale
    right = centred[np.arange(len(labels)), labels]

    def slope(log_beta: float) -> float:
        expected = np.sum(probabilities(np.exp(log_beta) * centred) * centred, axis=1)
        return float(np.mean(expected - right))

    low, high = np.log(FLATTEST), np.log(SHARPEST)
    if slope(low) >= 0:
        return scale / FLATTEST
    if slope(high) <= 0:
        return scale / SHARPEST
    return scale / float(np.exp(brentq(slope, low, high, xtol=1e-12)))
