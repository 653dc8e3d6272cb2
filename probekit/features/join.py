"""The rows of a manifest joined, by identity, with the rows of a store."""

import itertools
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from probekit import sources
from probekit.arrays import Features, Float, Int
from probekit.errors import ImageError, MissingFeaturesError, UsageError
from probekit.features.matched import Matched, means, numbered
from probekit.features.sets import FeatureSet, FeatureStream, Selector
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.models.requests import FINAL, compact, expand, gives_tokens, means_several
from probekit.paths import AnyPath
from probekit.registry import nearest, unknown_name
from probekit.samples import Samples, known_keys
from probekit.sources import Sample
from probekit.store import ABSENT, DONE, FAILED, Store, find_stores


class Join:
    """The rows of a manifest and the stores of a cache, matched by identity; both are looked at once."""

    def __init__(self, manifest: Manifest, cache: AnyPath) -> None:
        samples = Samples.of_rows(manifest)
        found = known_keys(samples, KeyIndex.open(cache))
        self.manifest = manifest
        self.cache = cache
        self.stores, self.damaged = find_stores(cache)
        self._keys = found.keys
        self._tables: dict[str, pd.DataFrame] = {}  # samples of labels: one table for all taps of a model
        self._crops = np.zeros(len(samples), np.int16)
        self._samples = samples
        self._known = found.known | (found.remembered & ~found.readable)  # the features outlive their files
        self._unreadable = ~found.readable & ~found.remembered
        for row in np.flatnonzero(found.readable & ~found.remembered):
            self._unreadable[row] = bool(sources.why_never_readable(samples[int(row)]))

    def load(self, reference: str, selector: Selector | None = None, *, allow_missing: bool = False) -> FeatureSet:
        """The features that a reference such as `clip#cls@20` or `npr+srm` names.

        Of several stores that fit, the one that has every sample is meant.

        Args:
            reference: `MODEL[#TAP]`, several joined by `+`.
            selector: which stores, where several fit.
            allow_missing: go on without samples that were never extracted; they stand in `excluded`.

        Raises:
            UsageError: no store has such features, or several have all of them.
            MissingFeaturesError: samples were never extracted.
            StoreCorruptError: stored bytes are damaged.
        """
        selector = selector or Selector()
        return self._loaded(self._matched(reference, selector, allow_missing), selector)

    def label(self, reference: str, selector: Selector | None = None, *, allow_missing: bool = False) -> FeatureSet:
        """What `load` gives, its samples and names, without any row of the features: none is read.

        Raises:
            UsageError, MissingFeaturesError: as `load`.
        """
        selector = selector or Selector()
        matched = self._matched(reference, selector, allow_missing)
        rows = matched.rows_digest(selector.crops)
        if rows not in self._tables:
            self._tables[rows] = matched.samples(selector.crops)
        return FeatureSet(
            reference=reference,
            sources=matched.sources,
            samples=self._tables[rows],
            blocks=tuple(np.empty((0, width), np.float32) for width in matched.widths),
            excluded=matched.excluded,
            identity=matched.identity,
        )

    def stream(self, reference: str, selector: Selector | None = None, *, allow_missing: bool = False) -> FeatureStream:
        """What `load` gives, a block of rows at a time: for features that are larger than memory.

        Raises:
            UsageError: as `load`; or single crops are asked for.
            MissingFeaturesError: as `load`.
        """
        selector = selector or Selector()
        _require_means(selector)
        return self._streamed(self._matched(reference, selector, allow_missing))

    def open(
        self,
        reference: str,
        selector: Selector | None = None,
        *,
        fits: Callable[[pd.DataFrame, int], bool],
        memory: int,
        allow_missing: bool = False,
    ) -> FeatureSet | FeatureStream:
        """What `load` gives, where that fits the memory, else what `stream` does.

        Args:
            reference: as `load` takes it.
            selector: which stores, where several fit.
            fits: whether the features of these samples, so many columns wide, can be in memory.
            memory: bytes that a question may hold of streamed features.
            allow_missing: go on without samples that were never extracted.

        Raises:
            UsageError, MissingFeaturesError, StoreCorruptError: as `load` and `stream`.
        """
        selector = selector or Selector()
        matched = self._matched(reference, selector, allow_missing)
        if fits(self.manifest.table.iloc[matched.kept], sum(matched.widths)):
            return self._loaded(matched, selector)
        _require_means(selector)
        return replace(self._streamed(matched), memory=memory)

    def _loaded(self, matched: Matched, selector: Selector) -> FeatureSet:
        samples = matched.samples(selector.crops)
        blocks = []
        for (store, tap), count in zip(matched.parts, matched.counts, strict=True):
            block = self._read(store, tap, matched.kept, count)
            blocks.append(block if selector.crops == "all" else means(block, count))
        return FeatureSet(
            reference=matched.reference,
            sources=matched.sources,
            samples=samples,
            blocks=tuple(blocks),
            excluded=matched.excluded,
            identity=matched.identity,
        )

    def _streamed(self, matched: Matched) -> FeatureStream:
        kept, (store, _) = matched.kept, matched.parts[0]

        def read(rows: Int[np.ndarray, " b"]) -> Features:
            found = []
            for (store, tap), count in zip(matched.parts, matched.counts, strict=True):
                found.append(means(self._read(store, tap, kept[rows], count[rows]), count[rows]))
            return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

        return FeatureStream(
            reference=matched.reference,
            sources=matched.sources,
            samples=matched.samples("mean"),
            widths=matched.widths,
            excluded=matched.excluded,
            order=np.argsort(store.places(self._keys[kept], self._crops[kept]), kind="stable"),
            read=read,
            identity=matched.identity,
        )

    def _matched(self, reference: str, selector: Selector, allow_missing: bool) -> Matched:
        """The stores and taps of a reference, the rows that have all of them, and the samples that have not."""
        table = self.manifest.table
        parts = [self._resolve(part, selector) for part in reference.split("+")]
        _require_vectors(parts)
        if len({(store.settings.address, tap) for store, tap in parts}) < len(parts):
            raise UsageError(f"{reference} names the same features twice: name two kinds.")
        reasons: dict[int, str] = {}
        for store, tap in parts:
            absent = np.flatnonzero(self._status(store, tap) == ABSENT)
            if len(absent) and not allow_missing:
                raise MissingFeaturesError(self._missing(store, tap, absent))
            reasons = self._reasons(store, tap) | reasons
        kept = np.setdiff1d(np.arange(len(table)), list(reasons))
        if not len(kept):
            raise MissingFeaturesError(
                f"{self.manifest.name}: no sample has features of {reference} (first: {reasons[0]})."
            )
        excluded = table.iloc[sorted(reasons)][["path", "generator"]].reset_index(drop=True)
        excluded["path"] = [self._name(row) for row in sorted(reasons)]
        excluded = excluded.assign(reason=[reasons[row] for row in sorted(reasons)])
        counts = [self._crop_counts(store, tap, kept) for store, tap in parts]
        return Matched(reference, table, parts, kept, counts, excluded)

    def expand(self, name: str, requests: Sequence[str], selector: Selector) -> list[str]:
        """References to all that requests such as `cls@all`, `cls@0-11`, `all` mean of the stores that fit.

        Args:
            name: a model, or several joined by `+`: a request means the taps that all of them have; or `MODEL#REQUEST`.
            requests: as `probekit.models.requests` reads them; none leaves the name as it is.
            selector: which stores.

        Raises:
            UsageError: a request means no tap.
        """
        if not requests and "#" in name and "+" not in name:
            model, _, request = name.partition("#")
            return self.expand(model, [request], selector) if means_several(request) else [name]
        models = name.split("+")
        fitting = [[s for s in self.stores if s.settings.model == m and selector.admits(s)] for m in models]
        known = [{tap: shape for store in stores for tap, shape in store.taps.items()} for stores in fitting]
        shared = {tap: shape for tap, shape in known[0].items() if all(tap in taps for taps in known)}
        found = []
        for request in requests:
            several = means_several(request) and all(known)  # what is not there at all, `load` says best
            for tap in expand(f"{name} in {self.cache}", shared, [request], FINAL) if several else [request]:
                found.append(name if tap == FINAL else "+".join(f"{model}#{tap}" for model in models))
        return list(dict.fromkeys(found)) or [name]

    def covering(self, selector: Selector | None = None, *, allow_missing: bool = False) -> list[tuple[str, Selector]]:
        """Reference and selector of each store that has every sample, done or failed, in its default tap.

        With `allow_missing` a store counts that has any of them.

        Raises:
            MissingFeaturesError: no store has them all; the message is of the one that comes nearest.
            UsageError: no store has any.
        """
        found, lacking = [], []
        for store in self.stores:
            tap = str(store.facts["default_tap"])
            if not (selector or Selector()).admits(store) or tap not in store.taps:
                continue
            absent = np.flatnonzero(self._status(store, tap) == ABSENT)
            if len(absent) == 0 or (allow_missing and len(absent) < len(self._keys)):
                chosen = replace(selector or Selector(), store=store.settings.address)
                found.append((f"{store.settings.model}#{tap}", chosen))
            elif len(absent) < len(self._keys):
                lacking.append((len(absent), self._missing(store, tap, absent)))
        if not found and lacking:
            raise MissingFeaturesError(min(lacking)[1])
        if not found:
            raise UsageError(
                f"{self.cache} has no features of {self.manifest.name} yet: run `probekit extract --model MODEL "
                f"--manifest {self.manifest.name}` first."
            )
        return found

    def perturbed(self, features: FeatureSet) -> dict[str, Selector]:
        """The perturbations in which the cache has the same features, by name, with what selects them.

        Args:
            features: of one model and tap, of unperturbed images.

        Raises:
            UsageError: the features have several parts.
        """
        if len(features.sources) > 1:
            raise UsageError(f"{features.name}: perturbed images are asked of one kind of features at a time.")
        (source,) = features.sources
        clean = next(store.settings for store in self.stores if store.settings.address == source.address)
        return {
            store.settings.perturbation: Selector(store=store.settings.address)
            for store in self.stores
            if store.settings.perturbation and source.tap in store.taps and clean.of_the_same_images(store.settings)
        }

    def _crop_counts(self, store: Store, tap: str, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """How many crops the store has of each of these rows, at least one."""
        counts = np.ones(len(rows), np.int64)
        for crop in itertools.count(1):
            more = np.flatnonzero(counts == crop)
            found = store.look_up(self._keys[rows[more]], np.full(len(more), crop, np.int16), [tap])[:, 0] == DONE
            if not found.any():
                return counts
            counts[more[found]] += 1
        raise AssertionError("unreachable")

    def _read(
        self, store: Store, tap: str, rows: Int[np.ndarray, " n"], counts: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "m _"]:
        """Features of all crops of these rows, those of one image one after another."""
        return store.read(np.repeat(self._keys[rows], counts, axis=0), numbered(counts).astype(np.int16), tap)

    def _status(self, store: Store, tap: str) -> Int[np.ndarray, " n"]:
        """ABSENT, DONE or FAILED for every row; a file that cannot be read counts as failed."""
        found = store.look_up(self._keys, self._crops, [tap])[:, 0]
        return np.where(self._known, found, np.where(self._unreadable, FAILED, ABSENT)).astype(np.int64)

    def _reasons(self, store: Store, tap: str) -> dict[int, str]:
        """Row → why it has no features of this tap."""
        status = self._status(store, tap)
        failures = store.reasons() if (status == FAILED).any() else {}
        reasons = {}
        for row in np.flatnonzero(status != DONE).tolist():
            if status[row] == ABSENT:
                reasons[row] = f"never extracted with {store.settings.model}#{tap}"
            elif self._unreadable[row]:
                reasons[row] = _why_unreadable(self._samples[row])
            else:
                reasons[row] = failures.get(self._keys[row].tobytes(), "cannot be read")
        return reasons

    def _resolve(self, part: str, selector: Selector) -> tuple[Store, str]:
        """The one store and tap that a part of a reference names."""
        model, _, tap = part.partition("#")
        of_model = [store for store in self.stores if store.settings.model == model]
        if not self.stores:
            raise UsageError(f"{self.cache} has no features yet: run `probekit extract --model {model}` first.")
        if not of_model:
            known = sorted({store.settings.model for store in self.stores})
            raise UsageError(
                f"{self.cache} has no features of {model!r}, it has those of {', '.join(known)}."
                f"{nearest(model, known)} Ask one of them, or run `probekit extract --model {model}` first."
            )
        admitted = [store for store in of_model if selector.admits(store)]
        if not admitted:
            views = dict.fromkeys(f"{store.settings.view_name} in {store.settings.precision}" for store in of_model)
            raise UsageError(
                f"no store of {model} fits --view, --perturb (none unless given), --precision and --store: "
                f"it was extracted as {', '.join(views)} (`probekit cache ls` shows more)."
            )
        wanted = [(store, tap or str(store.facts["default_tap"])) for store in admitted]
        fitting = self._fullest([(store, tap) for store, tap in wanted if tap in store.taps])
        if len(fitting) > 1:
            listed = "; ".join(store.path.name for store, _ in fitting)
            raise UsageError(f"several stores have {part}: {listed}. Choose one with --view, --precision or --store.")
        if fitting:
            return fitting[0]
        taps = {name for store in admitted for name in store.taps}
        if not taps:
            raise UsageError(f"{admitted[0].path.name} has no rows yet: run `probekit extract --model {model}` again.")
        if tap and "@" not in tap:
            raise unknown_name(f"tap of {model} in {self.cache}", tap, compact(sorted(taps)))
        raise UsageError(
            f"{self.cache} has no tap {wanted[0][1]!r} of {model}; it has {', '.join(compact(sorted(taps)))}. Ask one "
            f"of them as {model}#TAP, or run `probekit extract --model {model} --taps {wanted[0][1]}` first."
        )

    def _fullest(self, fitting: list[tuple[Store, str]]) -> list[tuple[Store, str]]:
        """Those that have every sample, done or failed; without one, those that have any; without one, all of them."""
        if len(fitting) < 2:
            return fitting
        lacking = [np.count_nonzero(self._status(store, tap) == ABSENT) for store, tap in fitting]
        of = list(zip(fitting, lacking, strict=True))
        covering = [each for each, absent in of if not absent]
        return covering or [each for each, absent in of if absent < len(self._keys)] or fitting

    def _name(self, row: int) -> str:
        """The sample as the manifest calls it, with its part."""
        return self._samples[row]._replace(path=str(self.manifest.table["path"].iloc[row])).name

    def _missing(self, store: Store, tap: str, absent: Int[np.ndarray, " m"]) -> str:
        manifest, settings = self.manifest, store.settings
        where = [] if isinstance(self.cache, Path) else ["--cache", str(self.cache)]
        how = shlex.join(["--manifest", manifest.name, "--taps", tap, *settings.words(), *where])
        run = f"probekit extract --model {settings.model} {how}"
        if settings.view.get("imported"):
            run = f"probekit cache import FILE --model {settings.model} --manifest {manifest.name}"
        return (
            f"{len(absent)} of {len(manifest.table)} samples of {manifest.name} have no features of "
            f"{settings.model}#{tap} (first: {self._name(int(absent[0]))}). Run: {run}, or go on without them: "
            "--allow-missing"
        )


def load_features(
    manifest: Manifest, reference: str, *, cache: AnyPath, selector: Selector | None = None, allow_missing: bool = False
) -> FeatureSet:
    """The features that a reference names, for the manifest's samples; `Join.load` for several references."""
    return Join(manifest, cache).load(reference, selector, allow_missing=allow_missing)


def _require_means(selector: Selector) -> None:
    """Nothing, if crops are taken as their mean.

    Raises:
        UsageError: each is a sample of its own.
    """
    if selector.crops == "all":
        raise UsageError("crops are streamed as their mean: leave --crops all out, or give more --memory.")


def _require_vectors(parts: Iterable[tuple[Store, str]]) -> None:
    """Nothing, if each tap gives one vector an image, which every question needs.

    Raises:
        UsageError: one gives many.
    """
    for store, tap in parts:
        if gives_tokens(shape := store.taps[tap]):
            model, mean = store.settings.model, tap.replace("patches", "mean", 1)
            raise UsageError(
                f"{model}#{tap} gives {shape[0]} vectors an image, and a question needs one: ask {model}#{mean} "
                f"(probekit extract --model {model} --taps {mean}), or read the store's array yourself."
            )


def _why_unreadable(sample: Sample) -> str:
    try:
        sources.read(sample)
    except ImageError as error:
        return str(error)
    return "could not be read"
