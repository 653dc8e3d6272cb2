"""Predictions for the samples of a manifest, from features in the store, and how right they are for each generator."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Labels, Scores
from probekit.errors import MissingFeaturesError, UsageError
from probekit.features import FeatureSet, Join, Selector
from probekit.heads import Head, Outputs
from probekit.manifest import REAL, Manifest
from probekit.paths import AnyPath
from probekit.predict.predictions import Predictions, PredictSettings, give_verdicts
from probekit.protocols import Pool, generators, members, missing_class, require_finite
from probekit.store import Store, find_stores

PIECE = 2**29  # bytes of float32 features that a head with many taps holds at once


def predict_manifest(
    manifest: Manifest,
    head: Head,
    settings: PredictSettings | None = None,
    *,
    cache: AnyPath,
    store: str | None = None,
    allow_missing: bool = False,
) -> Predictions:
    """Scores of all samples of a manifest from stored features, whatever their split, and metrics per generator.

    Args:
        manifest: the samples.
        head: what scores them.
        settings: threshold; and precision, where several stores fit.
        cache: folder of the stores.
        store: the beginning of a store's address or folder name, where several fit.
        allow_missing: go on without samples that were never extracted; they stand in `failed`.

    Raises:
        MissingFeaturesError: no store has what the head needs, or lacks samples; names the command that gives it.
        UsageError: several stores have it.
        ModelError: a stored feature is not finite; names the image.
    """
    chosen = settings or PredictSettings()
    chosen.log_odds(head)  # which refuses a threshold that the head has no use for
    perturb = head.view_fields.get("perturb") or None
    selector = Selector(precision=chosen.precision, store=store, perturb=perturb)
    found, notes = _choose_store(manifest, head, selector, cache)
    tables, outputs, excluded = [], [], []
    for features in _pieces(manifest, head, found, cache, allow_missing):
        require_finite(features.samples, features.blocks)
        given = head.outputs(dict(zip(head.taps, features.blocks, strict=True)))
        rows, means = _one_an_image(features.samples, given)
        tables.append(rows)
        outputs.append(means)
        excluded.append(features.excluded)
    samples = pd.concat(tables, ignore_index=True)
    failed = pd.concat(excluded, ignore_index=True)[["path", "reason"]]
    columns = samples[["path", "generator", "domain", "label"]].rename(columns={"label": "truth"})
    table = give_verdicts(columns, np.concatenate(outputs), head, chosen)
    pairs, remarks = _judge(manifest, head, samples.assign(score=table["score"]), chosen)
    source = {
        "model": found.settings.model,
        "view": found.settings.view_name,
        "precision": found.settings.precision,
        "address": found.settings.address,
        "name": found.path.name,
    }
    return Predictions(head, chosen, source, table, failed, pairs, (*notes, *remarks, *head.notes))


def _one_an_image(samples: pd.DataFrame, outputs: Outputs) -> tuple[pd.DataFrame, Outputs]:
    """Samples and outputs as they are; where crops are samples of their own, the means over those of each image."""
    if "crop" not in samples:
        return samples, outputs
    first = np.flatnonzero(samples["crop"] == 0)
    counts = np.diff([*first, len(samples)]).reshape(-1, *[1] * (outputs.ndim - 1))
    return samples.iloc[first].reset_index(drop=True), np.add.reduceat(outputs, first, axis=0) / counts


def _choose_store(manifest: Manifest, head: Head, selector: Selector, cache: AnyPath) -> tuple[Store, tuple[str, ...]]:
    """The one store with the head's model, view and taps, and notes on stores that cannot be opened."""
    stores, damaged = find_stores(cache)
    refusals = {store: head.refusal(store.settings, store.taps) for store in stores if selector.admits(store)}
    fitting = [store for store, refusal in refusals.items() if refusal is None]
    if len(fitting) > 1:
        names = "; ".join(store.path.name for store in fitting)
        raise UsageError(f"several stores have what {head.path} needs: {names}. Choose with --precision or --store.")
    if not fitting:
        near = [f"{store.path.name}: {why}" for store, why in refusals.items() if store.settings.model in head.models]
        raise MissingFeaturesError(
            f"{head.path} ({head.title}) needs {head.models[0]}#{head.taps_option} in view {head.view_name}, which "
            f"{cache} lacks{f' ({near[0]})' if near else ''}. Run: {head.extract_command(manifest.name)}"
        )
    return fitting[0], tuple(f"a store is left out: {problem}" for problem in damaged.values())


def _pieces(manifest: Manifest, head: Head, store: Store, cache: AnyPath, allow_missing: bool) -> Iterator[FeatureSet]:
    """The features of all samples, those of many taps some samples at a time."""
    model, selector = store.settings.model, Selector(store=store.settings.address, crops=head.crops)

    def load(part: Manifest, taps: Sequence[str]) -> FeatureSet:
        try:
            reference = "+".join(f"{model}#{tap}" for tap in taps)
            return Join(part, cache).load(reference, selector, allow_missing=allow_missing)
        except MissingFeaturesError as error:
            said = str(error).partition(" Run: ")[0]
            raise MissingFeaturesError(
                f"{said} Run: {head.extract_command(manifest.name)}, or go on without them: --allow-missing"
            ) from error

    if len(head.taps) == 1:
        yield load(manifest, head.taps)
        return
    first = load(manifest, head.taps[:1])  # says of the whole manifest what is missing, before anything is scored
    rows = max(1, PIECE // (4 * sum(head.widths.values())))
    samples = first.samples
    if "crop" in samples:
        samples = samples[samples["crop"] == 0].drop(columns="crop").reset_index(drop=True)
    excluded = first.excluded
    for at in range(0, len(samples), rows):
        part = samples.iloc[at : at + rows].reset_index(drop=True)
        piece = load(replace(manifest, table=part), head.taps)
        yield replace(piece, excluded=pd.concat([excluded, piece.excluded], ignore_index=True))
        excluded = excluded.iloc[:0]


def _judge(
    manifest: Manifest, head: Head, samples: pd.DataFrame, settings: PredictSettings
) -> tuple[pd.DataFrame | None, list[str]]:
    """One row a generator of the samples that say how good the head is, and what a reader must know; or why none."""
    if head.verdicts != (REAL, "fake"):
        return None, [f"scores tell {head.verdicts[1]} from all else, not fake from real: there are no pairs."]
    seen = head.seen(manifest.sha256)
    if not seen:
        pairs, notes = _measure(samples, head, settings)
        return pairs, [*filter(None, [head.doubt(manifest.sha256)]), *notes]
    unseen = samples[~samples["split"].isin(seen)].reset_index(drop=True)
    said = f"the probe learned from this manifest: pairs are of the {len(unseen)} samples outside {', '.join(seen)}."
    if not len(unseen):
        return None, ["the probe learned from all splits of this manifest: there are scores, but no pairs."]
    pairs, notes = _measure(unseen, head, settings)
    return pairs, [said, *notes]


def _measure(samples: pd.DataFrame, head: Head, settings: PredictSettings) -> tuple[pd.DataFrame, list[str]]:
    """One row a generator, and a note for each that has no real images to be told from."""
    labels: Labels = samples["label"].to_numpy()
    scores: Scores = samples["score"].to_numpy()
    everything, probabilistic = np.ones(len(samples), dtype=bool), head.kind is not None
    rows, notes = [], []
    for name in generators(samples):
        own = members(samples, Pool.of(name), everything)
        counts = {"n_real": int(np.sum(labels[own] == 0)), "n_fake": int(np.sum(labels[own] == 1))}
        found = metrics.measure(labels[own], scores[own], settings.log_odds(head), probabilistic=probabilistic)
        rows.append({"generator": name, **counts, **found})
        if reason := missing_class(samples, Pool.of(name), own, "in the manifest"):
            notes.append(f"{reason} Metrics that need both classes are undefined.")
    columns = ["generator", "n_real", "n_fake", *metrics.names()]
    return pd.DataFrame(rows, columns=columns), notes
