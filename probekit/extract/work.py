"""The work of one process: units claimed, samples loaded, lanes fed, claims given back."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import compress

import numpy as np

from probekit.extract.lane import ImageCrops, Lane
from probekit.extract.loading import Loaded, stream
from probekit.extract.plan import Plan, Unit
from probekit.keys import KeyIndex

INDEX_PART = 2048  # files whose keys are remembered together; a kill costs reading so many again, not computing
LIFE_SECONDS = 60.0  # how often to tell other machines that claimed units are being worked at
POLL_SECONDS = 1.0  # how often to look whether another process has finished its unit
REPORT_SECONDS = 0.1


@dataclass(frozen=True)
class Progress:
    """How far an extraction is, in distinct samples of the manifest."""

    done: int
    total: int
    failed: int
    computed: int
    """Samples that went through models in this run."""


@dataclass
class _Claim:
    """A claimed unit and what is still to be done in it."""

    unit: Unit
    to_load: int
    to_commit: int = 0
    """Images, counted once for each target that lacks them."""

    @property
    def finished(self) -> bool:
        return self.to_load == 0 and self.to_commit == 0


class Work:
    """The loop over units, with what must be given back when it ends, however it ends."""

    def __init__(
        self,
        plan: Plan,
        index: KeyIndex,
        workers: int,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._plan = plan
        self._helping = False
        self._index = index
        self._workers = workers
        self._on_progress = on_progress
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._lanes = {
            target: Lane(
                target,
                self._writer,
                -(-plan.unit_size // 2),  # half is written while half is computed: a kill costs no more than a unit
                on_image=self._image,
                on_committed=self._committed,
            )
            for target in plan.targets
        }
        self._claims: dict[str, _Claim] = {}
        self._before = plan.finished()
        self._done = 0.0  # samples loaded, each counted once its last model has seen it
        self._images = 0.0
        self._failed = 0
        self._reported = self._alive = time.monotonic()

    def until_complete(self) -> None:
        """Compute all that is lacking; wait for units of other processes and take over those of dead ones."""
        self._report()
        while True:
            for unit, chunk in stream(self._claim(), self._plan, self._workers):
                self._take_in(unit, chunk)
            for lane in self._lanes.values():
                lane.flush()
            self._index.flush()
            self._helping = True  # from now on, whatever other processes have left
            if not self._plan.unfinished():
                break
            time.sleep(POLL_SECONDS)
        self._before, self._done = self._plan.finished(), 0.0  # others have done their part meanwhile
        self._report()

    @property
    def images(self) -> int:
        """Samples that this process has brought through models."""
        return round(self._images)

    def close(self) -> None:
        """Let the writer finish, give back what is claimed and remember the keys that were learnt."""
        self._writer.shutdown()
        for claim in list(self._claims.values()):
            self._release(claim.unit)
        self._index.flush()

    def _claim(self) -> Iterator[Unit]:
        for unit in self._plan.claim_units(everywhere=self._helping):
            self._claims[unit.name] = _Claim(unit, len(unit.rows))
            yield unit

    def _release(self, unit: Unit) -> None:
        for target in unit.targets:
            target.store.claims.release(unit.name)
        del self._claims[unit.name]

    def _take_in(self, unit: Unit, chunk: Sequence[Loaded]) -> None:
        """Note the keys of these samples of a unit, and put them where they are lacking."""
        for sample in chunk:
            self._learn(sample)
        self._index.flush(at_least=INDEX_PART)
        rows = np.array([sample.row for sample in chunk])
        lanes: dict[int, list[Lane]] = {}
        for target in unit.targets:
            lane = self._lanes[target]
            for sample in compress(chunk, self._plan.lacking(target, rows)):
                if sample.key is not None and sample.shows(target.view) and lane.reserve(sample.key):
                    lanes.setdefault(sample.row, []).append(lane)
        self._plan.attempt(rows)
        self._claims[unit.name].to_load -= len(chunk)
        self._claims[unit.name].to_commit += sum(len(wanting) for wanting in lanes.values())
        for sample in chunk:
            self._feed(sample, unit, lanes.get(sample.row, []))
        if self._claims[unit.name].finished:
            self._release(unit)
        self._show_life()

    def _learn(self, sample: Loaded) -> None:
        if sample.key is None:
            self._plan.give_up(sample.row, sample.reason or "cannot be read")
        else:
            self._plan.learn(sample.row, sample.key)
            if sample.digest and sample.stat:
                self._index.add(self._plan.samples[sample.row].entry, sample.stat, sample.digest)

    def _feed(self, sample: Loaded, unit: Unit, lanes: Sequence[Lane]) -> None:
        reasons = [sample.reason or sample.refused.get(lane.target.view) for lane in lanes]
        self._failed += any(reasons) or sample.key is None
        if not lanes:
            self._count(1.0)
        for lane, reason in zip(lanes, reasons, strict=True):
            view = lane.target.view
            assert sample.key is not None  # without a key it counts as failed, and is not lacking
            path, crops = self._plan.samples.name(sample.row), sample.crops.get(view, ())
            lane.put(ImageCrops(sample.key, path, unit.name, 1 / len(lanes), crops, reason))

    def _image(self, share: float) -> None:
        self._images += share
        self._count(share)

    def _count(self, share: float) -> None:
        self._done += share
        if time.monotonic() - self._reported > REPORT_SECONDS:
            self._report()

    def _committed(self, unit: str) -> None:
        claim = self._claims[unit]
        claim.to_commit -= 1
        if claim.finished:
            self._release(claim.unit)

    def _show_life(self) -> None:
        if time.monotonic() - self._alive < LIFE_SECONDS:
            return
        for name, claim in self._claims.items():
            for target in claim.unit.targets:
                target.store.claims.show_life(name)
        self._alive = time.monotonic()

    def _report(self) -> None:
        self._reported = time.monotonic()
        if self._on_progress:
            done = self._before + round(self._done)
            self._on_progress(Progress(done, len(self._plan.samples), self._failed, self.images))
