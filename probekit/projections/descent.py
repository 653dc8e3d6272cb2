"""Projections that a loss between rows trains: batches, Adam, and early stopping on held-out groups."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from probekit import projections
from probekit.arrays import Features, Groups, Int, Mask
from probekit.errors import ProbeError, UsageError
from probekit.fingerprint import JSONValue
from probekit.projections.axes import principal_axes

if TYPE_CHECKING:
    import torch

MOMENTUM, SQUARES, EPSILON = 0.9, 0.999, 1e-8  # β₁, β₂, ε of Adam (Kingma and Ba 2015)

CHECKED = 16  # batches of held-out rows at most, drawn once, whose mean loss is watched

Batch = Int[np.ndarray, " b"]


@dataclass(frozen=True)
class Descent(projections.Projection):
    """x ↦ (x − mean) W with unit-length rows in the loss; W starts at the principal axes and follows Adam.

    So many groups are held out of the training rows; every `check` steps the loss on them is measured. Training stops
    when it has not fallen for `patience` measurements, and W is the one with which it was lowest. Batches hold equally
    many rows of every class. One seed on one machine gives one result.
    """

    kind: ClassVar[str]
    unit_length: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ("torch",)

    batch: int = 1024
    """Rows of a step at most."""
    learning_rate: float = 1e-3
    """Of Adam."""
    steps: int = 1000
    """At most."""
    check: int = 10
    patience: int = 10
    held_out: float = 0.2
    """Share of the groups."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch", "steps", "check", "patience"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}: it must be at least 1.")
        if not (self.learning_rate > 0 and 0 < self.held_out < 1):
            raise UsageError("a projection needs a positive learning rate and a share of held-out groups in 0 … 1.")

    @abstractmethod
    def loss(self, embedded: "torch.Tensor", classes: "torch.Tensor") -> "torch.Tensor":
        """A number to lower, for rows (b, m) of length 1 and their class numbers (b,)."""

    def fit(self, features: Features, classes: Groups, groups: Groups) -> projections.Fitted:
        """The map with the lowest loss on held-out groups.

        Raises:
            ProbeError: one class only, or rows that are all alike.
        """
        projections.require_classes(self.kind, classes)
        names, numbers = np.unique(np.asarray(classes, dtype=str), return_inverse=True)
        shift = features.mean(axis=0, dtype=np.float64)
        variances, axes = principal_axes(features - shift, float(np.abs(features).max(initial=0.0)))
        size = float(np.sqrt(variances.sum()))
        held = _held_out(numbers, groups, self.held_out, self.seed)
        start = axes[:, : self.dimension]
        weights, told = self._descend((features - shift) / size, numbers, held, start)
        record: dict[str, JSONValue] = {
            "kind": self.kind,
            **asdict(self),
            "dimension": weights.shape[1],
            "n_rows": len(features),
            "n_held_out": int(held.sum()),
            "classes": names.tolist(),
            **told,
        }
        return projections.Fitted(shift, weights / size, record)

    def _descend(
        self, features: Features, classes: Int[np.ndarray, " n"], held: Mask, start: Features
    ) -> tuple[Features, dict[str, JSONValue]]:
        """W with the lowest held-out loss, and how it was found."""
        import torch

        rng = np.random.default_rng(self.seed)
        x, y = torch.tensor(features, dtype=torch.float32), torch.tensor(classes)
        weights = torch.tensor(np.ascontiguousarray(start), dtype=torch.float32, requires_grad=True)
        adam = _Adam(weights, self.learning_rate)
        learned, watched = np.flatnonzero(~held), np.flatnonzero(held)
        drawn = min(CHECKED, -(-len(watched) // self.batch))  # as many as hold the rows once
        checks = [self._batch(classes, watched, rng) for _ in range(drawn)]

        def loss_of(rows: Batch) -> "torch.Tensor":
            embedded = torch.nn.functional.normalize(x[rows] @ weights, dim=1)
            return self.loss(embedded, y[rows])

        losses: list[float] = []
        best = weights.detach().clone()
        step = 0
        for step in range(self.steps + 1):
            if step % self.check == 0:
                losses.append(self._watched(loss_of, checks))
                if not checks or losses[-1] <= min(losses):
                    best = weights.detach().clone()
                if checks and len(losses) - 1 - int(np.argmin(losses)) >= self.patience:
                    break
            if step < self.steps:
                (slope,) = torch.autograd.grad(loss_of(self._batch(classes, learned, rng)), [weights])
                adam.step(slope)
        if not bool(torch.isfinite(best).all()):
            raise ProbeError(f"{self.kind} diverged: use a lower learning rate than {self.learning_rate:g}.")
        lowest = int(np.argmin(losses)) if checks else len(losses) - 1
        told: dict[str, JSONValue] = {
            "converged": bool(checks) and step < self.steps,
            "steps_taken": step,
            "best_step": lowest * self.check if checks else step,
            "held_out_loss_first": losses[0] if checks else None,
            "held_out_loss": losses[lowest] if checks else None,
        }
        return (best if checks else weights.detach()).double().numpy(), told

    def _batch(self, classes: Int[np.ndarray, " n"], rows: Batch, rng: np.random.Generator) -> Batch:
        """Equally many of these rows of every class, all of a class that has fewer; of few rows, all."""
        if len(rows) <= self.batch:
            return rows
        own = [rows[classes[rows] == number] for number in np.unique(classes[rows])]
        own = [members for members in own if len(members) > 1]
        most = max(2, self.batch // len(own)) if own else 0
        fit = max(1, self.batch // 2)
        if len(own) > fit:
            own = [own[place] for place in rng.choice(len(own), fit, replace=False)]
        return np.concatenate([rng.permutation(members)[:most] for members in own])

    @staticmethod
    def _watched(loss_of: "LossOf", batches: Sequence[Batch]) -> float:
        import torch

        with torch.no_grad():
            return float(np.mean([float(loss_of(rows)) for rows in batches])) if batches else float("nan")


class _Adam:
    """Steps of Adam by hand: that of `torch.optim` first imports PyTorch's compiler, which takes seconds."""

    def __init__(self, weights: "torch.Tensor", rate: float) -> None:
        self._weights, self._rate, self._steps = weights, rate, 0
        self._mean, self._square = (weights.new_zeros(weights.shape) for _ in range(2))

    def step(self, slope: "torch.Tensor") -> None:
        """Move the weights against the slope."""
        self._steps += 1
        self._mean.lerp_(slope, 1 - MOMENTUM)
        self._square.mul_(SQUARES).addcmul_(slope, slope, value=1 - SQUARES)
        scale = (self._square / (1 - SQUARES**self._steps)).sqrt_().add_(EPSILON)
        self._weights.detach().addcdiv_(self._mean, scale, value=-self._rate / (1 - MOMENTUM**self._steps))


if TYPE_CHECKING:
    from collections.abc import Callable

    LossOf = Callable[[Batch], torch.Tensor]


def _held_out(classes: Int[np.ndarray, " n"], groups: Groups, share: float, seed: int) -> Mask:
    """Rows of the first groups in hash order; none, where either side would lack two classes of two rows each."""
    names = sorted({str(group) for group in groups})
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    chosen = set(order[: round(share * len(order))])
    held = np.array([str(group) in chosen for group in groups], dtype=bool)
    for side in (held, ~held):
        if np.sum(np.bincount(classes[side], minlength=1) >= 2) < 2:
            return np.zeros(len(classes), dtype=bool)
    return held
