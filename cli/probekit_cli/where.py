"""Which features a question is asked of, as the options say."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from probekit.paths import AnyPath
from probekit_cli import options, output

if TYPE_CHECKING:
    from probekit.features import FeatureSet, Join, Selector
    from probekit.manifest import Manifest


@dataclass(frozen=True)
class Where:
    """Which features of which manifest are meant, as the options say."""

    manifest_name: str | None
    model: str | None
    taps: str | None
    selector: "Selector"
    allow_missing: bool
    cache: AnyPath
    runs: Path

    @cached_property
    def manifest(self) -> "Manifest":
        """The manifest, read once."""
        from probekit.manifest import Manifest

        return Manifest.read(self.manifest_name)

    def folds(self, given: int | None) -> int:
        """The number of folds: as given, else what the manifest's import decided."""
        return self.manifest.folds if given is None else given

    def perturbations(self, features: "FeatureSet", chains: str, known: list[str]) -> list[str]:
        """Which perturbations of these features are meant.

        Args:
            features: of unperturbed images.
            chains: perturbations, presets, or `all` that are known.
            known: names of those that were extracted.

        Raises:
            UsageError: one was not extracted, or none is named.
        """
        from probekit.errors import UsageError
        from probekit.perturbations import parse_chains

        wanted = known if chains == "all" else [chain.name for chain in parse_chains(chains) if chain.operations]
        if not wanted and chains != "all":
            raise UsageError(f"--perturbed {chains}: names no perturbation. There are: {', '.join(known) or 'none'}.")
        lacking = [name for name in wanted if name not in known]
        if wanted and not lacking:
            return wanted
        (source,) = features.sources
        what = f"{','.join(lacking) or 'jpeg:75,blur:sigma=2'} --model {source.model} --taps {source.tap}"
        there = f"only under {', '.join(known)}" if known else "of unperturbed images only"
        raise UsageError(
            f"--perturbed {chains}: {features.name} of {self.manifest.name} was extracted {there}. "
            f"Extract the rest: probekit extract --perturb {what}"
        )

    def references(self, join: "Join") -> "list[tuple[str, Selector]]":
        """What is asked for, else every store that covers the manifest.

        `clip,dinov2` with taps `cls@1,cls@2` are four references; in `a+b` a tap belongs to both parts. `cls@all` and
        `all` mean what the stores have.
        """
        from probekit.errors import UsageError
        from probekit.models.requests import asked_of, check_models

        names = list(options.names("--model", self.model)) if self.model is not None else []
        taps = list(options.names("--taps", self.taps)) if self.taps is not None else []
        if taps and (not names or any("#" in name for name in names)):
            raise UsageError(f"--taps {self.taps}: name the models with --model, without a #TAP of their own.")
        check_models(taps, names)
        references = [
            reference
            for name in names
            for reference in join.expand(name, asked_of(name, taps) if taps else [], self.selector)
        ]
        if references:
            return [(reference, self.selector) for reference in references]
        return join.covering(self.selector, allow_missing=self.allow_missing)

    def what_there_is(self, join: "Join") -> "list[tuple[str, Selector]]":
        """Every store that covers the manifest; without any, nothing, and why is said."""
        from probekit.errors import MissingFeaturesError, UsageError

        try:
            return self.references(join)
        except (MissingFeaturesError, UsageError) as error:
            output.remark(f"note: asked without features: {error}")
            return []


def selector(view: str | None, precision: str | None, store: str | None, perturb: str | None, crops: str) -> "Selector":
    """Which stores are meant and how their crops are taken, as the options say."""
    from probekit.errors import UsageError
    from probekit.features import Selector
    from probekit.perturbations import parse_chains
    from probekit.registry import one_of

    chains = parse_chains(perturb) if perturb else ()
    if len(chains) > 1:
        raise UsageError(f"--perturb {perturb} means several: ask one of {', '.join(chain.name for chain in chains)}.")
    name = chains[0].name if chains and chains[0].operations else None
    return Selector(view, precision, store, name, one_of("--crops", crops, ("mean", "all")))


def finite(flag: str, value: float | None) -> float | None:
    """The value, if it is a finite number or none at all."""
    import math

    from probekit.errors import UsageError

    if value is not None and not math.isfinite(value):
        raise UsageError(f"{flag} {value}: give a finite number.")
    return value
