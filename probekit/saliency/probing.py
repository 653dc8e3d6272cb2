"""Probing: the probes that are explained, trained on the spot or saved, and the samples that each may be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int, Labels, Mask
from probekit.errors import ProbeError, UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.heads import Head
from probekit.heads.saved import Block
from probekit.heads.saved_head import SavedHead
from probekit.manifest import REAL, Manifest
from probekit.probes.trained import selection_record
from probekit.protocols import (
    ALL,
    Pool,
    evaluation,
    fakes,
    members,
    parse_pools,
    part_numbers,
    partitions,
    require_finite,
    tested,
    trainable_pools,
)
from probekit.registry import unknown_name
from probekit.saliency.linear import ProbeScore, fold
from probekit.saliency.settings import SaliencySettings
from probekit.trials import TrainingSet, remarks_on_probes, run_trials

FAKE = "fake"


@dataclass(frozen=True, eq=False)
class Explained:
    """The probe of one training set, or one for each fold."""

    train: str
    probes: tuple[ProbeScore, ...]
    cuts: tuple[float, ...]
    """Of each probe, the score above which it calls an image fake; of attribution not used."""
    stored: Float[np.ndarray, " n"]
    """Of every sample the score that the stored features give, NaN where unknown; of attribution all NaN."""


@dataclass(frozen=True, eq=False)
class Probing:
    """What is explained."""

    samples: pd.DataFrame
    part: Int[np.ndarray, " n"]
    """Number of the probe that may be shown a sample."""
    rows: Mask
    """Samples that no probe learned from."""
    tests: tuple[Pool, ...]
    explained: tuple[Explained, ...]
    task: str
    record: Mapping[str, JSONValue]
    """How the probes were chosen and evaluated."""
    notes: tuple[str, ...] = ()


def train_probes(features: FeatureSet, settings: SaliencySettings) -> Probing:
    """Probes trained as `probekit probe` trains them, each for samples outside its own training groups.

    Raises:
        UsageError: features of several parts or of single crops.
        ProbeError: a training set without a class, or a probe that is not linear.
        UnknownNameError: a generator or class that does not exist.
    """
    if len(features.blocks) > 1:
        raise UsageError(f"{features.name}: a map is of one kind of features: name one part.")
    if "crop" in features.samples:
        raise UsageError("--crops all: a map is of a whole image: take the mean over its crops.")
    require_finite(features.samples, features.blocks)
    samples = features.samples
    divided = partitions(samples, settings.folds, settings.seed)
    pools, notes = trainable_pools(settings.train, samples, divided, settings.folds, named=settings.train != ALL)
    tests = parse_pools(settings.test, samples)
    rows = np.logical_or.reduce([members(samples, pool, tested(divided)) for pool in tests])
    asked, names = _training_sets(samples, pools, settings)
    of = _number_of(settings.of, names)
    explained, trained = [], {}
    for trial in run_trials(asked, features, divided, rows, settings):
        trained[trial.name] = trial.probes
        if leaks := samples.loc[trial.leaked, "group"].nunique():
            notes.append(
                f"trained on {trial.name}: {leaks} groups of the images looked at were trained on too: a leak."
            )
        folded = [
            fold(one.condition, one.classifier, one.calibration, names, settings.probe, of) for one in trial.probes
        ]
        stored = trial.decisions if trial.decisions.ndim == 1 else np.full(len(samples), np.nan)
        explained.append(Explained(trial.name, tuple(folded), (0.0,) * len(folded), stored))
    record = selection_record(trained) | {"evaluation": evaluation(divided, settings.folds)}
    return Probing(
        samples,
        part_numbers(divided),
        rows,
        tuple(tests),
        tuple(explained),
        settings.task,
        record,
        (*notes, *remarks_on_probes(trained)),
    )


def saved_probe(head: Head, manifest: Manifest, settings: SaliencySettings) -> tuple[Probing, Block]:
    """A saved probe for the samples of a manifest that it did not learn from, and the features that it needs.

    Raises:
        ProbeError: it is of a published detector, looks for one class among all others, has several blocks, or learned
            from all splits of this manifest.
        UnknownNameError: a generator or class that does not exist.
    """
    if not isinstance(head, SavedHead):
        raise ProbeError(
            f"{head.path}: {head.title} is not one of probekit's saved probes: save one with probekit probe."
        )
    probe = head.probe
    if probe.task not in ("binary", "one-vs-real", "attribution"):
        raise ProbeError(
            f"{head.path}: a {probe.task} probe does not speak of fakes: give a binary or attribution one."
        )
    if probe.crops != "mean":
        raise ProbeError(f"{head.path}: it scores single crops, and a map is of a whole image: train on their mean.")
    task = "attribution" if probe.task == "attribution" else "binary"
    names = probe.class_names if task == "attribution" else (REAL, FAKE)
    samples, seen = manifest.table, head.seen(manifest.sha256)
    rows = ~samples["split"].isin(seen).to_numpy()
    if not rows.any():
        raise ProbeError(
            f"{head.path}: it learned from all samples of {manifest.name}: train on the spot with --train, so that "
            "each image is shown to a probe that did not learn from it."
        )
    tests = parse_pools(settings.test, samples)
    rows &= np.logical_or.reduce([members(samples, pool, rows) for pool in tests])
    folded = fold(
        probe.condition, probe.classifier, probe.calibration, names, probe.probe, _number_of(settings.of, names)
    )
    explained = Explained(probe.train, (folded,), (head.cut,), np.full(len(samples), np.nan))
    record: dict[str, JSONValue] = {"evaluation": f"a saved probe of {probe.evaluation}", "probe": str(head.path)}
    doubt = head.doubt(manifest.sha256)
    part = np.zeros(len(samples), dtype=np.int64)
    probing = Probing(samples, part, rows, tuple(tests), (explained,), task, record, (doubt,) if doubt else ())
    return probing, probe.blocks[0]


def _training_sets(
    samples: pd.DataFrame, pools: Sequence[Pool], settings: SaliencySettings
) -> tuple[list[TrainingSet], tuple[str, ...]]:
    """What is learned, and the names of the classes."""
    everything = np.ones(len(samples), dtype=bool)
    labels: Labels = samples["label"].to_numpy()
    if settings.task == "binary":
        return [TrainingSet(pool.name, labels, members(samples, pool, everything)) for pool in pools], (REAL, FAKE)
    classes = np.where(labels == 0, 0, -1)
    for number, pool in enumerate(pools, start=1):
        classes[fakes(samples, pool)] = number
    every = Pool.of(*(maker for pool in pools for maker in pool.makers))
    names = (REAL, *(pool.name for pool in pools))
    if len(names) < 3:
        raise ProbeError(f"--task attribution tells generators apart, and there is only {names[1]}: ask --task binary.")
    return [TrainingSet("+".join(names[1:]), classes, members(samples, every, everything))], names


def _number_of(name: str | None, names: Sequence[str]) -> int | None:
    """The number of the class that was named.

    Raises:
        UnknownNameError: there is no such class.
    """
    if name is None:
        return None
    if name not in names:
        raise unknown_name("class", name, names)
    return list(names).index(name)
