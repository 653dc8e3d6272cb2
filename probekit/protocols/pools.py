"""Pools: the generators that are taken together, as they are typed, and the samples that they mean.

    lama            the fakes of one generator          lama@celeba    those of one domain
    lama+ldm        of several                          all-lama       of all generators but one
    all@celeba      a pool for each generator of a domain

Real images come along: those of the fakes' own domains.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Mask
from probekit.errors import ProbeError, UsageError
from probekit.manifest import REAL
from probekit.protocols.partitions import Partition
from probekit.registry import unknown_name

ALL = "all"
BUT = "all-"
AT = "@"


@dataclass(frozen=True)
class Pool:
    """Generators that are taken together."""

    makers: tuple[str, ...]
    """`lama`, or `lama@celeba` for its fakes of one domain."""
    name: str
    """As it is typed."""

    @classmethod
    def of(cls, *makers: str) -> "Pool":
        """The pool of these, named for them: `lama+ldm`."""
        return cls(makers, "+".join(makers))


def generators(samples: pd.DataFrame) -> list[str]:
    """The generators of the fake samples, sorted."""
    return sorted(samples.loc[samples["label"] == 1, "generator"].unique())


def parse_pools(text: str, samples: pd.DataFrame) -> list[Pool]:
    """Pools of a comma list: `lama,ldm` are two, `lama+ldm` one of both, `all` one each, `all@ffhq` those of a domain.

    Raises:
        UnknownNameError: a name that is no generator (or domain) of the samples; the message lists the nearest.
        UsageError: no name at all, or `real`, whose images come along with every generator.
        ProbeError: there is no fake sample.
    """
    known = generators(samples)
    if not known:
        raise ProbeError("there is no fake sample: nothing to tell real images from. Add rows with label 1.")
    pools: list[Pool] = []
    for entry in (part.strip() for part in text.split(",")):
        if not entry:
            raise UsageError(f"generators {text!r}: a name is missing; write them as lama,ldm or lama+ldm, or all.")
        pools.extend(pool for pool in _pools(entry, known, samples) if pool not in pools)
    return pools


def all_but_one(samples: pd.DataFrame) -> str:
    """`all-gan,all-lama,all-ldm`: for every generator, all the others.

    Raises:
        ProbeError: there are fewer than two generators.
    """
    known = generators(samples)
    if len(known) < 2:
        raise ProbeError(
            "leaving one generator out needs at least two: the samples have " + (", ".join(known) or "none")
        )
    return ",".join(BUT + name for name in known)


def across_domains(text: str, samples: pd.DataFrame) -> str:
    """The same generators, one pool for each domain that has fakes of them: `lama@celeba,lama@ffhq`.

    Of several taken together, a pool for each domain of those that have fakes there: `lama@celeba+ldm@celeba`.

    Raises:
        UsageError: a pool that names a domain already.
        ProbeError: no generator has fakes in two domains.
    """
    known, fake = generators(samples), samples[samples["label"] == 1]
    found: dict[str, list[str]] = {}
    for pool in parse_pools(text, samples):
        if not set(pool.makers) <= set(known):
            raise UsageError(f"{pool.name} across domains: name generators without their domains.")
        places = [fake.loc[fake["generator"] == maker, "domain"].unique() for maker in pool.makers]
        for domain in sorted({str(name) for names in places for name in names}):
            own = [maker for maker, names in zip(pool.makers, places, strict=True) if domain in names]
            found.setdefault(pool.name, []).append("+".join(f"{maker}{AT}{domain}" for maker in own))
    if all(len(names) == 1 for names in found.values()):
        raise ProbeError("no generator has fakes in two domains: there is nothing to test across domains.")
    return ",".join(name for names in found.values() for name in names)


def fakes_of(samples: pd.DataFrame, maker: str) -> Mask:
    """The fakes of `lama`, or of `lama@celeba`."""
    fake = (samples["label"] == 1).to_numpy()
    own: Mask = fake & (samples["generator"] == maker).to_numpy()
    if AT in maker and not own.any():
        generator, _, domain = maker.rpartition(AT)
        own = fake & ((samples["generator"] == generator) & (samples["domain"] == domain)).to_numpy()
    return own


def fakes(samples: pd.DataFrame, pool: Pool) -> Mask:
    """The fakes of all generators of a pool."""
    found: Mask = np.logical_or.reduce([fakes_of(samples, maker) for maker in pool.makers])
    return found


def reals_of(samples: pd.DataFrame, fake: Mask) -> Mask:
    """The real samples of these fakes' domains."""
    domains = samples.loc[fake, "domain"].unique()
    real: Mask = ((samples["label"] == 0) & samples["domain"].isin(domains)).to_numpy()
    return real


def members(samples: pd.DataFrame, pool: Pool, within: Mask) -> Mask:
    """The fakes of a pool and the real samples of those fakes' domains, both inside `within`."""
    return matched(samples, within & (fakes(samples, pool) | (samples["label"] == 0).to_numpy()))


def matched(samples: pd.DataFrame, rows: Mask) -> Mask:
    """These rows without real samples of domains that their fakes lack: such a domain would tell the classes apart."""
    fake = rows & (samples["label"] == 1).to_numpy()
    found: Mask = fake | (rows & reals_of(samples, fake))
    return found


def trainable_pools(
    text: str, samples: pd.DataFrame, divided: Sequence[Partition], folds: int, *, named: bool = True
) -> tuple[list[Pool], list[str]]:
    """The pools asked for that can be learned from, and notes on those that cannot.

    Args:
        text: as `parse_pools` reads it.
        samples: all samples.
        divided: the partitions, each of which must be able to learn from a pool.
        folds: how many were asked for, 0 for the split.
        named: whether each pool was asked for by its name, so that one that cannot be learned from is an error.

    Raises:
        ProbeError: a pool asked for by name cannot be learned from, or none can.
    """
    where = "outside a fold held out" if folds else "in the train split"
    found, notes = [], []
    for pool in parse_pools(text, samples):
        reasons = (missing_class(samples, pool, members(samples, pool, part.train), where) for part in divided)
        reason = next(filter(None, reasons), None)
        if reason is None:
            found.append(pool)
        elif named:
            raise ProbeError(reason)
        else:
            notes.append(reason)
    if not found:
        raise ProbeError(notes[0])
    return found, [f"left out: {note}" for note in notes]


def missing_class(samples: pd.DataFrame, pool: Pool, rows: Mask, where: str) -> str | None:
    """Why these rows of a pool cannot be learned from; None when both classes are there."""
    labels = samples.loc[rows, "label"]
    if not (labels == 1).any():
        return f"{pool.name} has no fake samples {where}: add some, or name another generator."
    if not (labels == 0).any():
        own = samples.loc[rows & (samples["label"] == 1).to_numpy(), "domain"]
        domains = ", ".join(repr(domain) for domain in sorted(own.unique()))
        return f"{pool.name} has no real samples of its domain ({domains}) {where}: add rows with label 0."
    return None


def _pools(entry: str, known: Sequence[str], samples: pd.DataFrame) -> list[Pool]:
    if entry in known:
        return [Pool.of(entry)]
    if entry == ALL:
        return [Pool.of(name) for name in known]
    if entry.startswith(ALL + AT) and "+" not in entry:
        domain = entry.removeprefix(ALL + AT)
        return [Pool.of(f"{name}{AT}{domain}") for name in _of_domain(domain, samples)]
    if entry.startswith(BUT) and "+" not in entry:
        left_out = entry.removeprefix(BUT)
        if left_out not in known:
            raise unknown_name("generator to leave out", left_out, known)
        rest = tuple(name for name in known if name != left_out)
        if not rest:
            raise ProbeError(f"{entry} leaves nothing: {left_out} is the only generator.")
        return [Pool(rest, entry)]
    return [Pool.of(*(_known(name.strip(), known, samples) for name in dict.fromkeys(entry.split("+"))))]


def _of_domain(domain: str, samples: pd.DataFrame) -> list[str]:
    """The generators with fakes in a domain."""
    fake = samples[samples["label"] == 1]
    if domain not in set(fake["domain"]):
        raise unknown_name("domain with fakes", domain, fake["domain"].unique())
    return sorted(fake.loc[fake["domain"] == domain, "generator"].unique())


def _known(name: str, known: Sequence[str], samples: pd.DataFrame) -> str:
    if name == REAL:
        raise UsageError("real images come along with every generator of their domain: name generators only.")
    if name in known:
        return name
    generator, at, domain = name.rpartition(AT)
    if at and generator in known:
        domains = sorted(samples.loc[(samples["label"] == 1) & (samples["generator"] == generator), "domain"].unique())
        if domain not in domains:
            raise unknown_name(f"domain of {generator}", domain, domains)
        return name
    raise unknown_name("generator", name, known)
