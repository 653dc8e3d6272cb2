"""The loop: epochs of steps, a look at the val split after each, and a checkpoint now and then."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probekit.errors import ProbeError
from probekit.models import compute
from probekit.samples import Samples
from probekit.training import checkpoints, lora
from probekit.training.checkpoints import Epoch, State
from probekit.training.data import Crop, Lesson, batches, minibatches, plain_crop, stream, training_crop
from probekit.training.draws import generator_for, number_for
from probekit.training.network import Trainee, seeded
from probekit.training.settings import TrainSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CHECKPOINT_SECONDS = 60.0
LOOKS = {"cpu": 1, "cuda": 16}  # steps between looks at the loss: each makes a GPU wait


@dataclass(frozen=True)
class Progress:
    """How far a training has come."""

    done: int
    """Images, of all epochs."""
    total: int
    loss: float | None
    """Mean over the last steps; None before the first."""


OnProgress = Callable[[Progress], None]


@dataclass
class Loop:
    """One training under way."""

    trainee: Trainee
    lesson: Lesson
    samples: Samples
    state: State
    checkpoint: Path
    workers: int
    on_progress: OnProgress | None = None
    _best: "dict[str, Tensor]" = field(default_factory=dict)
    _pending: "list[Tensor]" = field(default_factory=list)
    """Losses of steps that the device may still be computing."""

    def run(self) -> None:
        """Train until the last epoch, or until the val loss has not fallen for so many epochs; the best one is kept.

        Raises:
            ProbeError: the loss is not a number any more, or no image can be read.
            MemoryError: the device has no room for a batch.
        """
        settings = self.trainee.design.settings
        optimiser = _optimiser(settings, self.trainee.parameters)
        if self.checkpoint.exists():
            self._best = checkpoints.restore(self.checkpoint, self.trainee.module, optimiser)
        with compute.device_errors(), seeded(0):
            while self.state.epoch < settings.epochs and not self._stalled(settings):
                self._epoch(settings, optimiser)
        if self._best and self.state.best != self.state.epoch:
            self.trainee.module.load_state_dict(self._best)

    def _stalled(self, settings: TrainSettings) -> bool:
        return bool(self.state.best) and self.state.epoch - self.state.best >= settings.patience

    def _epoch(self, settings: TrainSettings, optimiser: "torch.optim.Optimizer") -> None:
        """What is left of the epoch under way, and what the val split says of it."""
        epoch = self.state.epoch
        every = batches(self.lesson.order(settings, epoch), settings.batch_size)
        load = partial(training_crop, self.samples, self.trainee.design.view, settings, epoch)
        clock = saved = time.monotonic()
        self.trainee.module.train()
        self._tell(every)
        for minibatch in minibatches(self._noted(stream(every[self.state.step :], load, self.workers))):
            self._step(settings, optimiser, epoch, minibatch.crops)
            self.state.step += minibatch.batches
            self._look(every)
            now = time.monotonic()
            self.state.seconds += now - clock
            clock = now
            if now - saved >= CHECKPOINT_SECONDS and self.state.step < len(every):
                self._save(optimiser)
                saved = time.monotonic()
        self._settle()
        own = self.state.losses[self.state.losses_before :]
        if not own:
            raise self._nothing_read()
        self._judge(settings, float(np.mean(own)))
        self.state.seconds += time.monotonic() - clock
        self._save(optimiser)

    def _step(self, settings: TrainSettings, optimiser: "torch.optim.Optimizer", epoch: int, crops: list[Crop]) -> None:
        import torch

        step = self.state.step
        torch.manual_seed(number_for("step", settings.seed, epoch, step, bits=32))  # of dropout
        draw = generator_for("mix", settings.seed, epoch, step)
        optimiser.zero_grad()
        loss = self.trainee.loss(*self._batch(crops), draw)
        torch.autograd.backward(loss)
        if settings.lora and step == 0:
            lora.require_gradients(self.trainee.network, settings.arch)
        optimiser.step()
        self._pending.append(loss.detach())
        self.state.learned += len(crops)

    def _judge(self, settings: TrainSettings, loss: float) -> None:
        """Loss and accuracy on the val split, and whether this epoch is the best so far."""
        found = self._val(settings)
        self.state.epochs.append(Epoch(loss, *found))
        self.state.epoch, self.state.step = self.state.epoch + 1, 0
        self.state.losses_before = len(self.state.losses)
        if found[0] is not None and found[0] < self.state.lowest and settings.epochs > 1:
            self.state.best = self.state.epoch
            self._best = {name: values.detach().clone() for name, values in self.trainee.module.state_dict().items()}

    def _val(self, settings: TrainSettings) -> tuple[float | None, float | None]:
        self.trainee.module.eval()
        load = partial(plain_crop, self.samples, self.trainee.design.view)
        losses, sizes, right = [], [], 0
        for crops in self._noted(stream(batches(self.lesson.val, settings.batch_size), load, self.workers)):
            if readable := [crop for crop in crops if crop.pixels is not None]:
                loss, rightly = self.trainee.judge(*self._batch(readable))
                losses.append(loss)
                sizes.append(len(readable))
                right += rightly
        if not losses:
            return None, None
        return float(np.average(losses, weights=sizes)), right / sum(sizes) if settings.has_head else None

    def _noted(self, loaded: Iterable[list[Crop]]) -> Iterator[list[Crop]]:
        """The same batches; why crops have no pixels is noted."""
        for crops in loaded:
            self.state.failed |= {crop.row: crop.reason for crop in crops if crop.pixels is None}
            yield crops

    def _nothing_read(self) -> ProbeError:
        reason = next(iter(self.state.failed.values()), "it is the only one")
        return ProbeError(
            f"{self.lesson.name}: fewer than two of its training images can be read ({reason}): run `probekit manifest "
            "check`."
        )

    def _batch(self, crops: list[Crop]) -> "tuple[Tensor, np.ndarray, np.ndarray]":
        import torch

        rows = [crop.row for crop in crops]
        pixels = torch.stack([crop.pixels for crop in crops if crop.pixels is not None])
        return pixels, self.lesson.numbers[rows], self.lesson.makers[rows]

    def _look(self, every: "list[np.ndarray]") -> None:
        """Tell how far it is; wait for the losses that are due."""
        if len(self._pending) < LOOKS[self.trainee.device.partition(":")[0]]:
            return
        self._settle()
        self._tell(every)

    def _tell(self, every: "list[np.ndarray]") -> None:
        if self.on_progress:
            settings, each = self.trainee.design.settings, sum(map(len, every))
            done = self.state.epoch * each + sum(map(len, every[: self.state.step]))
            recent = self.state.losses[-10:]
            self.on_progress(Progress(done, settings.epochs * each, float(np.mean(recent)) if recent else None))

    def _settle(self) -> None:
        """Take over the losses that were computed.

        Raises:
            ProbeError: one is not a number; the unfinished training is given up.
        """
        import torch

        if not self._pending:
            return
        found = torch.stack([loss.float().cpu() for loss in self._pending]).tolist()
        self._pending.clear()
        for loss in found:
            self.state.losses.append(loss)
            if not np.isfinite(loss):
                self.checkpoint.unlink(missing_ok=True)
                rate = self.trainee.design.settings.learning_rate
                raise ProbeError(
                    f"{self.lesson.name}: the loss is {loss} at step {len(self.state.losses)} with learning rate "
                    f"{rate:g}: choose a lower --lr."
                )

    def _save(self, optimiser: "torch.optim.Optimizer") -> None:
        self._settle()
        checkpoints.save(self.checkpoint, self.state, self.trainee.module, self._best, optimiser)


def _optimiser(settings: TrainSettings, parameters: "list[torch.nn.Parameter]") -> "torch.optim.Optimizer":
    from torch import optim

    rate, decay = settings.learning_rate, settings.weight_decay
    match settings.optimizer:
        case "adam":
            return optim.Adam(parameters, lr=rate, weight_decay=decay)
        case "adamw":
            return optim.AdamW(parameters, lr=rate, weight_decay=decay)
        case "sgd":
            return optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=0.9)
