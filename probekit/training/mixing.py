"""Mixing: new penultimate representations from those of a batch.

What of two papers is done here, exactly:

repmix   Representation mixing, after Bui et al. 2022, arXiv:2207.02063. Each row becomes λ z + (1 − λ) z' with z'
         the row that a permutation of the batch puts in its place and λ ~ Beta(.4, .4) drawn for each row; the
         loss is λ CE(·, y) + (1 − λ) CE(·, y'). The paper mixes inside the network and couples detection with
         attribution in its loss; here it is the last representation, and the loss is plain cross-entropy.
latent   Latent space augmentation, after the within-domain part of Yan et al. 2024 (LSDA), arXiv:2311.11278.
         Of every generator with two or more fakes in the batch, with c their mean, h the one farthest from c and
         s their standard deviation by column, each fake z has a companion of the same class, one of
             z + λ (h − z)     towards the hardest example
             z + λ (z − c)     away from the centre
             z + λ s ε         additive noise, ε ~ N(0, 1)
         with λ ~ U(0, 1). In binary training a companion is then mixed with one of another generator, if the batch
         has any: β a + (1 − β) b, β ~ U(0, 1). The loss is the mean over rows and companions. Real rows have none.
         The paper's encoders for each forgery, its affine maps and its distillation are not there.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Labels

if TYPE_CHECKING:
    from torch import Tensor

BETA = 0.4  # of RepMix, as its authors' code has it


@dataclass(frozen=True)
class Mixed:
    """Representations with the classes that they stand for."""

    rows: "Tensor"  # (m, d)
    first: "Tensor"  # int64 (m,)
    second: "Tensor"  # int64 (m,)
    weight: "Tensor"  # (m,) of the first class; 1 less it of the second


def unmixed(rows: "Tensor", classes: "Tensor") -> Mixed:
    """Every row of its own class."""
    import torch

    return Mixed(rows, classes, classes, torch.ones(len(rows), device=rows.device))


def repmix(rows: "Tensor", classes: "Tensor", generator: np.random.Generator) -> Mixed:
    """Each row mixed with another of the batch, and its class with that one's."""
    import torch

    other = torch.from_numpy(generator.permutation(len(rows))).to(rows.device)
    share = torch.from_numpy(generator.beta(BETA, BETA, len(rows))).to(rows.device, rows.dtype)
    mixed = share[:, None] * rows + (1 - share[:, None]) * rows[other]
    return Mixed(mixed, classes, classes[other], share.float())


def latent(rows: "Tensor", classes: "Tensor", makers: Labels, binary: bool, generator: np.random.Generator) -> Mixed:
    """The rows, and after them a companion of every fake whose generator has another in the batch.

    Args:
        rows: representations (b, d).
        classes: their numbers.
        makers: of each row, the number of its generator; 0 for real.
        binary: whether all fakes are of one class, so that companions may be mixed across generators.
        generator: what is drawn from.
    """
    import torch

    found, own = [], []
    for maker in [number for number in np.unique(makers[makers > 0]) if np.sum(makers == number) > 1]:
        members = np.flatnonzero(makers == maker)
        found.append(_companions(rows[members.tolist()], generator))
        own += members.tolist()
    if not found:
        return unmixed(rows, classes)
    companions = torch.cat(found)
    if binary and len(found) > 1:
        companions = _across(companions, makers[own], generator)
    return unmixed(torch.cat([rows, companions]), torch.cat([classes, classes[own]]))


def _companions(z: "Tensor", generator: np.random.Generator) -> "Tensor":
    """One for each row of a generator."""
    import torch

    centre, spread = z.mean(0), z.detach().std(0)
    hardest = z[(z - centre).detach().norm(dim=1).argmax()]
    noise = torch.from_numpy(generator.standard_normal(tuple(z.shape))).to(z.device, z.dtype)
    moves = torch.stack([hardest - z, z - centre, spread * noise])
    chosen = torch.from_numpy(generator.integers(0, len(moves), len(z))).to(z.device)
    strength = torch.from_numpy(generator.random((len(z), 1))).to(z.device, z.dtype)
    return z + strength * moves[chosen, torch.arange(len(z), device=z.device)]


def _across(companions: "Tensor", makers: Labels, generator: np.random.Generator) -> "Tensor":
    """Each mixed with one of another generator."""
    import torch

    partner = [int(generator.choice(np.flatnonzero(makers != maker))) for maker in makers]
    share = torch.from_numpy(generator.random((len(companions), 1))).to(companions.device, companions.dtype)
    return share * companions + (1 - share) * companions[partner]
