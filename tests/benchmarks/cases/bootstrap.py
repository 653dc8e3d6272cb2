"""`auc-bootstrap`: 95 % intervals of a whole matrix of AUCs, by 10,000 drawings of groups.

16 test sets share 600 real photographs; each has 500 fakes of its own, made from photographs of 450 groups, so 8,600
samples in all. Each is scored by 16 probes. The groups of a test set are drawn once, and all probes are scored under
the same drawings, as `probekit probe --bootstrap 10000` does; drawing counts.

The peer is the loop one would write: for each cell and drawing, take the rows of the drawn groups and call
scikit-learn's `roc_auc_score`. It is timed on some drawings of one cell and extrapolated to all drawings of all cells.
"""

import time
from collections.abc import Mapping

import numpy as np

from probekit.arrays import Float, Groups, Labels, Scores
from probekit.metrics.bootstrap import Resampling, resample
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.timing import in_turn

REALS, FAKES, GROUPS = 600, 500, 450


@add(
    "auc-bootstrap",
    stands_for="intervals for a 16 × 16 matrix of AUCs, 8,600 test samples in 450 groups, 10,000 drawings",
    targets={"seconds": Target(at_most=20.0, unit="s"), "scikit-learn loop": Target()},
)
def measure(setting: Setting) -> Mapping[str, Figure]:
    """Seconds for the whole matrix, and how many times as long the loop would take."""
    side, drawings, timed = setting.size(16, 2), setting.size(10_000, 200), setting.size(200, 20)
    test_sets = [_test_set(number, side) for number in range(side)]
    labels, scores, groups = test_sets[0]
    draws = resample(groups, timed, seed=0)

    def matrix() -> None:
        for own_labels, own_scores, own_groups in test_sets:
            found = resample(own_groups, drawings, seed=0).aucs(own_labels, own_scores)
            assert np.isfinite(found).all()

    def loop() -> float:
        began = time.perf_counter()
        aucs = _loop(draws, labels, scores[:, 0])
        seconds = time.perf_counter() - began
        assert np.allclose(np.quantile(aucs, [0.025, 0.975]), draws.auc(labels, scores[:, 0]), atol=1e-12)
        return seconds

    times = in_turn({"matrix": matrix, "loop": loop}, setting.size(3, 1))
    ours, drawing = times["matrix"].best, times["loop"].best / timed
    whole = drawing * drawings * side**2
    raw = {"seconds": {name: found.seconds for name, found in times.items()}, "drawings timed in the loop": timed}
    return {
        "seconds": Figure(ours, f"{side} × {side} AUCs under {drawings:,} drawings of {GROUPS} groups", raw=raw),
        "scikit-learn loop": Figure(
            whole / ours,
            f"{whole:,.0f} s, extrapolated from {timed} drawings of one cell at {1e3 * drawing:.2f} ms, "
            f"against {ours:.2f} s",
        ),
    }


def _test_set(number: int, probes: int) -> tuple[Labels, Float[np.ndarray, "n k"], Groups]:
    """The photographs and their edits by one generator, in groups that the two share, scored by several probes."""
    rng = np.random.default_rng(number)
    labels = np.repeat([0, 1], [REALS, FAKES])
    groups = np.concatenate([np.arange(REALS) % GROUPS, rng.permutation(FAKES) % GROUPS])
    scores = rng.normal(size=(len(labels), probes)) + np.linspace(0.0, 2.0, probes) * labels[:, None]
    return labels, scores, groups


def _loop(draws: Resampling, labels: Labels, scores: Scores) -> list[float]:
    from sklearn.metrics import roc_auc_score

    rows_of = [np.flatnonzero(draws.members == group) for group in range(draws.counts.shape[1])]
    aucs = []
    for counts in draws.counts:
        rows = np.concatenate([np.repeat(rows, count) for rows, count in zip(rows_of, counts, strict=True)])
        aucs.append(float(roc_auc_score(labels[rows], scores[rows])))
    return aucs
