"""`logistic-sweep`, `multinomial-sweep`, `gpu-sweep`, `layer-sweep`: choosing C for many probes as one computation.

The peer is the loop everybody writes: scikit-learn's LogisticRegression with its default tolerance and enough
iterations, once for every train set, fold and C. It is timed on a sample of those fits, every few C with the folds in
turn, and its time for all of them is that of the sampled ones times their share. On each sampled fit the objective
`C Σ loss + |w|²/2` is computed in float64 from either's weights: ours may not be higher.

The features are made on the spot to behave like those of a foundation model: a spectrum that falls like a power,
clusters, and rectified mixtures of both, so that they are not Gaussian. Each generator leaves a trace of its own
strength, so that some train sets can be separated and some cannot. They are conditioned by zscore.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from probekit import probes
from probekit.arrays import Features, Float, Int, Labels
from probekit.features import FeatureSet, Source
from probekit.probes.conditions import fit_condition
from tests.benchmarks.benchmark import Figure, NotMeasured, Setting, Target, add
from tests.benchmarks.machine import cores
from tests.benchmarks.timing import GIB, in_turn, run_child

FOLDS = 5
TRACES = (0.0, 3.0, 6.0, 12.0, 24.0)  # of the real images and four generators
SPEED, GAP = "speed", "objective above the peer's, worst"
_LAYERS = "import sys; from tests.benchmarks.cases.probes import sweep_layers; sweep_layers(*sys.argv[1:])"

TrainSet = tuple[Features, Labels]


@add(
    "logistic-sweep",
    stands_for="C for 4 generators of CelebA-HQ's study, 9,000 × 768 features: each with the real images, 3,600 rows",
    targets={SPEED: Target(at_least=30.0), GAP: Target(at_most=1.0, unit="ppm")},
)
def measure_logistic(setting: Setting) -> Mapping[str, Figure]:
    """Four train sets × five folds × 45 C."""
    return _against_a_loop(setting, _pairs(*_study(setting)), every=5)


@add(
    "multinomial-sweep",
    stands_for="C for the attribution of the same 9,000 images to real or one of four generators",
    targets={SPEED: Target(at_least=10.0), GAP: Target(at_most=1.0, unit="ppm")},
)
def measure_multinomial(setting: Setting) -> Mapping[str, Figure]:
    """Five classes × five folds × 45 C."""
    features, labels = _study(setting)
    return _against_a_loop(setting, [(_zscored(features), labels)], every=6)


@add(
    "gpu-sweep",
    stands_for="logistic-sweep on a GPU, against the loop on all cores",
    targets={SPEED: Target(at_least=300.0), GAP: Target(at_most=1.0, unit="ppm")},
)
def measure_gpu(setting: Setting) -> Mapping[str, Figure]:
    """Four train sets × five folds × 45 C."""
    import torch

    if not torch.cuda.is_available():
        raise NotMeasured("no GPU")
    return _against_a_loop(setting, _pairs(*_study(setting)), every=2, device="cuda:0", jobs=cores())


@add(
    "layer-sweep",
    stands_for="the answer of `probekit probe --taps all`: 24 taps × 4 × 4 pairs × 45 C on 9,000 images of width 1,024",
    targets={
        "logistic, time": Target(at_most=120.0, unit="s"),
        "ridge, time": Target(at_most=20.0, unit="s"),
        "peak memory": Target(at_most=3.0, unit="GiB"),
    },
)
def measure_layers(setting: Setting) -> Mapping[str, Figure]:
    """Each probe in a process of its own; making the features is not counted, everything after it is."""
    taps, per, width = setting.size(24, 2), setting.size(1800, 60), setting.size(1024, 48)
    found: dict[str, Figure] = {}
    peaks = {}
    for name in ("logistic", "ridge"):
        setting.say(f"{taps} taps with {name}")
        child = run_child([sys.executable, "-c", _LAYERS, name, str(taps), str(per), str(width)], setting.folder)
        told = json.loads(child.output)
        peaks[name] = child.peak
        because = f"{taps} taps at {min(told['seconds']):.2f} to {max(told['seconds']):.2f} s"
        because += f"; {told['unconverged']} fits unconverged"
        found[f"{name}, time"] = Figure(sum(told["seconds"]), because, raw=told)
    largest = max(peaks, key=peaks.__getitem__)
    found["peak memory"] = Figure(peaks[largest] / GIB, f"of the process, with {largest}", raw={"peak_bytes": peaks})
    return found


def sweep_layers(name: str, taps: str, per: str, width: str) -> None:
    """Writes as JSON the seconds of each tap, and how many fits did not converge."""
    from probekit.pairs import PairSettings, score_pairs

    seconds, unconverged = [], 0
    for tap in range(int(taps)):
        features = _photographs(*made_features(tap, int(per), int(width)), tap)
        began = time.perf_counter()
        result = score_pairs(features, PairSettings(probe=name))
        seconds.append(time.perf_counter() - began)
        unconverged += sum(int(record["unconverged_fits"]) for record in result.probe_records())  # type: ignore[call-overload]  # JSON
    sys.stdout.write(json.dumps({"seconds": seconds, "unconverged": unconverged}))


def _photographs(features: Features, labels: Labels, tap: int) -> FeatureSet:
    """Real photographs and what four generators made of each, 60 % of the photographs to learn from, 20 % to test."""
    photograph = np.arange(len(labels)) % (len(labels) // len(TRACES))
    generator = np.array(["real", "a", "b", "c", "d"])[labels]
    samples = pd.DataFrame(
        {
            "path": [f"{made_by}/{number}.png" for made_by, number in zip(generator, photograph, strict=True)],
            "label": (labels != 0).astype(np.int64),
            "generator": generator,
            "domain": "photographs",
            "split": np.array(["train", "train", "train", "val", "test"])[photograph % 5],
            "group": [f"photograph {number}" for number in photograph],
        }
    )
    source = Source("made", f"cls@{tap}", "none", "float32", "")
    return FeatureSet("made", (source,), samples, (features,), samples[:0])


def made_features(seed: int, per: int, width: int) -> TrainSet:
    """`per` rows of each of five classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(TRACES)), per)
    scale = (1 + np.arange(width, dtype=np.float32)) ** -0.5
    latent = rng.standard_normal((len(labels), width), dtype=np.float32) * scale
    clusters = min(16, width)
    latent[:, :clusters] += 2 * rng.normal(size=(40, clusters))[rng.integers(40, size=len(labels))] * scale[:clusters]
    for label, strength in enumerate(TRACES):
        amount = strength * np.exp(0.5 * rng.normal(size=(per, 1)))  # more in one image than in another
        latent[labels == label] += amount * rng.normal(size=width) / np.sqrt(width) * scale
    hidden = latent @ rng.standard_normal((width, 2 * width), dtype=np.float32) - 0.5
    mixture = rng.standard_normal((2 * width, width), dtype=np.float32) / np.sqrt(2 * width)
    return (np.maximum(hidden, 0) @ mixture).astype(np.float32), labels


def _study(setting: Setting) -> TrainSet:
    return made_features(0, per=setting.size(1800, 100), width=setting.size(768, 48))


def _pairs(features: Features, labels: Labels) -> list[TrainSet]:
    """The real images and one generator's, for each generator."""
    chosen = [(labels == 0) | (labels == generator) for generator in range(1, len(TRACES))]
    return [(_zscored(features[rows]), (labels[rows] != 0).astype(np.int64)) for rows in chosen]


def _zscored(features: Features) -> Features:
    return fit_condition("zscore", features, (features.shape[1],)).apply(features)


def _divisions(parts: Int[np.ndarray, " n"]) -> list[probes.Division]:
    order = np.argsort(parts, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(parts[order])) + 1)
    return [probes.Division(some, some) for some in rows]


def _against_a_loop(
    setting: Setting, train_sets: Sequence[TrainSet], *, every: int, device: str = "cpu", jobs: int = 1
) -> Mapping[str, Figure]:
    """How many times faster the sweeps are than the loop, and how far their objectives lie above."""
    import torch

    from probekit.probes.solver import linear, losses
    from probekit.probes.solver.space import rotate

    logistic, grid = probes.get("logistic"), probes.GRID
    folds = [np.random.default_rng(0).permutation(len(labels)) % FOLDS for _, labels in train_sets]
    divisions = [_divisions(parts) for parts in folds]
    sample = [
        (number, (place + number) % FOLDS, place * every)
        for number in range(len(train_sets))
        for place in range(-(-len(grid) // every))
    ]

    def sweep_all() -> None:
        for (features, labels), some in zip(train_sets, divisions, strict=True):
            logistic.sweep(features, labels, some, grid, device=device)

    setting.say("sweeping")
    ours = in_turn({"sweeps": sweep_all}, 1, warm_up=False)["sweeps"]
    setting.say(f"{len(sample)} fits of scikit-learn")
    fitted, seconds = _loop(train_sets, divisions, sample, jobs)
    again = in_turn({"sweeps": sweep_all}, 1, warm_up=False)["sweeps"]
    fits = len(train_sets) * FOLDS * len(grid)
    gaps, unconverged = [], 0
    for number, (features, labels) in enumerate(train_sets):
        space = rotate(features, device).to(torch.float32)
        found, tol = linear.solve_all(space, labels, divisions[number], grid, losses.LogLoss())
        unconverged += int((found.gradient > tol).sum())
        for (of, fold, place), (weights, bias) in zip(sample, fitted, strict=True):
            if of != number:
                continue
            rows = divisions[number][fold].learned(len(labels))
            theta = found.theta[fold * len(grid) + place].double().cpu()
            own = (space.vectors.double().cpu() @ theta[:, :-1].T).numpy()
            shift = theta[:, -1].numpy() - space.mean.double().cpu().numpy() @ own
            values = [
                _objective(*pair, features[rows], labels[rows], grid[place]) for pair in ((own, shift), (weights, bias))
            ]
            gaps.append((values[0] - values[1]) / values[1])
    best, peer = min(ours.best, again.best), seconds * fits / len(sample)
    because = f"{fits} fits: {best:.2f} s against {peer:,.0f} s, from {len(sample)} of them; {unconverged} unconverged"
    raw = {"seconds": ours.seconds + again.seconds, "peer_seconds_of_the_sample": seconds, "gaps": gaps}
    worst = max(gaps)
    return {
        SPEED: Figure(peer / best, because, raw=raw),
        GAP: Figure(
            1e6 * worst, f"{worst:.1e} of the peer's at worst, {np.median(gaps):.1e} in the middle, {len(gaps)} fits"
        ),
    }


def _loop(
    train_sets: Sequence[TrainSet],
    divisions: Sequence[Sequence[probes.Division]],
    sample: Sequence[tuple[int, int, int]],
    jobs: int,
) -> tuple[list[tuple[Float[np.ndarray, "d k"], Float[np.ndarray, " k"]]], float]:
    """Weights and bias of each fit of the sample, and the seconds of all."""
    from joblib import Parallel, delayed
    from sklearn.linear_model import LogisticRegression

    def fit(number: int, fold: int, place: int) -> tuple[Float[np.ndarray, "d k"], Float[np.ndarray, " k"]]:
        features, labels = train_sets[number]
        rows = divisions[number][fold].learned(len(labels))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # one that does not converge is no peer
            model = LogisticRegression(C=probes.GRID[place], max_iter=100_000).fit(features[rows], labels[rows])
        return model.coef_.T, model.intercept_

    run: Callable[..., list[tuple[Float[np.ndarray, "d k"], Float[np.ndarray, " k"]]]] = Parallel(n_jobs=jobs)
    if jobs > 1:
        run(delayed(time.sleep)(0.1) for _ in range(jobs))  # the workers' own start is not counted
    seconds = []
    for _ in range(2):  # the faster, as for ours
        began = time.perf_counter()
        fitted = run(delayed(fit)(*one) for one in sample)
        seconds.append(time.perf_counter() - began)
    return fitted, min(seconds)


def _objective(
    weights: Float[np.ndarray, "d k"], bias: Float[np.ndarray, " k"], features: Features, labels: Labels, C: float
) -> float:
    """C Σ log-loss + |w|²/2, in float64."""
    logits = features @ weights + bias
    if logits.shape[1] == 1:
        losses = np.logaddexp(0.0, np.where(labels == 1, -logits[:, 0], logits[:, 0]))
    else:
        losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]
    return float(C * losses.sum() + np.sum(weights**2) / 2)
