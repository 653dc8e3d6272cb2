"""What a study needs and does not find, each as one line that says how to get it."""

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from probekit import models
from probekit.errors import ProbekitError
from probekit.paths import AnyPath
from probekit.registry import nearest, unknown_name
from probekit.store import find_stores
from probekit.studies.protocol import Needs, filled, names_in

EXTRAS = {"lora": "peft", "umap": "umap", "pacmap": "pacmap", "video": "av"}
"""Extra → the package that it brings."""


def fill_needs(needs: Needs, parameters: Mapping[str, str], where: str) -> Needs:
    """The needs with the parameters in their place."""
    return replace(
        needs,
        generators=filled(needs.generators, parameters, where),
        domains=filled(needs.domains, parameters, where),
        columns=filled(needs.columns, parameters, where),
        splits=filled(needs.splits, parameters, where),
        models=filled(needs.models, parameters, where),
    )


def lacking_data(table: pd.DataFrame, manifest: str, needs: Needs) -> list[str]:
    """What of the needed samples the manifest lacks.

    Args:
        table: the manifest's rows.
        manifest: its name.
        needs: with the parameters in their place.
    """
    fakes = table[table["label"] == 1]
    generators, domains = sorted(fakes["generator"].unique()), sorted(fakes["domain"].unique())
    return [
        *_absent("generator", needs.generators.replace("+", ","), generators, manifest),
        *_absent("domain", needs.domains, sorted(table["domain"].unique()), manifest),
        *_absent("split", needs.splits, sorted(table["split"].unique()), manifest),
        *(
            f"column {name} of {manifest} is empty or missing: import the data with it."
            for name in names_in(needs.columns)
            if name not in table or not table[name].notna().any() or not (table[name].astype(str) != "").any()
        ),
        *_too_few("generators", needs.fewest_generators, generators, manifest),
        *_too_few("domains with fakes", needs.fewest_domains, domains, manifest),
        *_unshared(fakes, manifest, asked=needs.shared_generators),
    ]


def lacking_parts(needs: Needs) -> list[str]:
    """Optional parts of probekit that are needed and not installed."""
    if not needs.extra:
        return []
    if needs.extra not in EXTRAS:
        raise unknown_name("extra", needs.extra, EXTRAS)
    if importlib.util.find_spec(EXTRAS[needs.extra]):
        return []
    return [f"the extra {needs.extra} is not installed: pip install 'probekit[{needs.extra}]'."]


@dataclass
class Supply:
    """Which models can be run, and of which there are features; each is looked up once."""

    cache: AnyPath
    weights: Mapping[str, Path]
    made: frozenset[str] = frozenset()
    """Networks that the study itself trains, or what the names of several begin with."""
    _found: dict[str, str] = field(default_factory=dict)

    def lacking_weights(self, names: Iterable[str]) -> list[str]:
        """Why models among these cannot be run."""
        return [line for line in map(self._why_not, names) if line]

    def lacking_features(self, names: Iterable[str]) -> list[str]:
        """Why models among these can neither be run nor have any features in the cache."""
        return self.lacking_weights(name for name in names if name not in self._stored)

    @cached_property
    def _stored(self) -> set[str]:
        """Models that the cache has features of."""
        return {store.settings.model for store in find_stores(self.cache)[0]}

    def _why_not(self, name: str) -> str:
        if name not in self._found:
            made = any(name == one or name.startswith(f"{one}-") for one in self.made)
            self._found[name] = "" if made else _problem(name, self.weights.get(name))
        return self._found[name]


def _problem(name: str, weights: Path | None) -> str:
    try:
        models.find(name, weights)
    except ProbekitError as error:
        return str(error)
    return ""


def _absent(noun: str, asked: str, known: list[str], manifest: str) -> list[str]:
    lacking = [name for name in names_in(asked) if name != "all" and name not in known]
    return [f"{manifest} has no {noun} {name}.{nearest(name, known)}" for name in lacking]


def _too_few(noun: str, fewest: int, found: list[str], manifest: str) -> list[str]:
    if len(found) >= fewest:
        return []
    return [f"{manifest} has {len(found)} {noun} ({', '.join(found) or 'none'}), and {fewest} are needed."]


def _unshared(fakes: pd.DataFrame, manifest: str, *, asked: bool) -> list[str]:
    if not asked or (fakes.groupby("generator")["domain"].nunique() > 1).any():
        return []
    return [
        f"{manifest} has no generator with fakes in two domains: join the manifests of two data sets, with one name "
        "for what is one generator."
    ]
