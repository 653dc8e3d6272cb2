"""Predictions for the samples of a manifest, from features in the store, and how right they are for each generator."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Labels, Scores
from probekit.errors import MissingFeaturesError, UsageError
from probekit.features import FeatureSet, Join, Selector
from probekit.heads import Head
from probekit.manifest import Manifest
from probekit.predict.predictions import Predictions, PredictSettings, give_verdicts
from probekit.protocols import Pool, generators, members, missing_class, require_finite
from probekit.store import Store, find_stores

PIECE = 2**29  # bytes of float32 features that a head with many taps holds at once


def predict_manifest(
    manifest: Manifest,
    head: Head,
    settings: PredictSettings | None = None,
    *,
    cache: Path,
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
    found, notes = _choose_store(manifest, head, Selector(precision=chosen.precision, store=store), cache)
    tables, excluded = [], []
    for features in _pieces(manifest, head, found, cache, allow_missing):
        require_finite(features.samples, features.blocks)
        scores = head.scores(dict(zip(head.taps, features.blocks, strict=True)))
        tables.append(features.samples.assign(score=scores))
        excluded.append(features.excluded)
    samples = pd.concat(tables, ignore_index=True)
    failed = pd.concat(excluded, ignore_index=True)[["path", "reason"]]
    pairs, remarks = _measure(samples, chosen.log_odds(head))
    table = samples[["path", "generator", "domain", "label", "score"]].rename(columns={"label": "truth"})
    source = {
        "model": found.settings.model,
        "view": found.settings.view_name,
        "precision": found.settings.precision,
        "address": found.settings.address,
        "name": found.path.name,
    }
    return Predictions(head, chosen, source, give_verdicts(table, head, chosen), failed, pairs, (*notes, *remarks))


def _choose_store(manifest: Manifest, head: Head, selector: Selector, cache: Path) -> tuple[Store, tuple[str, ...]]:
    """The one store with the head's model, view and taps, and notes on stores that cannot be opened."""
    stores, damaged = find_stores(cache)
    refusals = {
        store: head.refusal(store.settings.model, store.settings.view, store.taps)
        for store in stores
        if selector.admits(store)
    }
    fitting = [store for store, refusal in refusals.items() if refusal is None]
    if len(fitting) > 1:
        names = "; ".join(store.path.name for store in fitting)
        raise UsageError(f"several stores have what {head.path} needs: {names}. Choose with --precision or --store.")
    if not fitting:
        near = [f"{store.path.name}: {why}" for store, why in refusals.items() if store.settings.model in head.models]
        raise MissingFeaturesError(
            f"{head.path} ({head.title}) needs {head.models[0]}#{head.taps_option} in view {head.view.name}, which "
            f"{cache} lacks{f' ({near[0]})' if near else ''}. Run: {head.extract_command(manifest.name)}"
        )
    return fitting[0], tuple(f"a store is left out: {problem}" for problem in damaged.values())


def _pieces(manifest: Manifest, head: Head, store: Store, cache: Path, allow_missing: bool) -> Iterator[FeatureSet]:
    """The features of all samples, those of many taps some samples at a time."""
    model, selector = store.settings.model, Selector(store=store.settings.address)

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
    samples, excluded = first.samples, first.excluded
    for at in range(0, len(samples), rows):
        part = samples.iloc[at : at + rows].reset_index(drop=True)
        piece = load(replace(manifest, table=part), head.taps)
        yield replace(piece, excluded=pd.concat([excluded, piece.excluded], ignore_index=True))
        excluded = excluded.iloc[:0]


def _measure(samples: pd.DataFrame, threshold: float) -> tuple[pd.DataFrame, list[str]]:
    """One row a generator, and a note for each that has no real images to be told from."""
    labels: Labels = samples["label"].to_numpy()
    scores: Scores = samples["score"].to_numpy()
    everything = np.ones(len(samples), dtype=bool)
    rows, notes = [], []
    for name in generators(samples):
        own = members(samples, Pool.of(name), everything)
        counts = {"n_real": int(np.sum(labels[own] == 0)), "n_fake": int(np.sum(labels[own] == 1))}
        rows.append({"generator": name, **counts, **metrics.measure(labels[own], scores[own], threshold)})
        if reason := missing_class(samples, Pool.of(name), own, "in the manifest"):
            notes.append(f"{reason} Metrics that need both classes are undefined.")
    columns = ["generator", "n_real", "n_fake", *metrics.names()]
    return pd.DataFrame(rows, columns=columns), notes
