"""Maps: the features in two dimensions, with how far the picture can be trusted."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from probekit.reports.maps import REQUIRED, map_data
from probekit.reports.runs import Run
from probekit.reports.section import Headline, Section, sections
from probekit.reports.tables.table import SUBJECT
from probekit.reports.text import is_number, number

QUALITY = ("features", "n", "n_placed", "method", "trustworthiness", "purity_map", "purity_features", "purity_chance",
           "perplexity", "explained", "kl_divergence")  # fmt: skip
"""What stands in the table; the rest is in the run's record."""


@sections.add("map")
class MapSection(Section):
    """An interactive map per kind of features, and the figures for papers."""

    order = 50
    template = "map"

    def title(self, run: Run) -> str:
        """`Map`."""
        return "Map"

    def question(self, run: Run) -> str:
        """The question behind the picture."""
        return "Do the generators form clusters of their own in the features?"

    def answers(self, run: Run) -> list[str]:
        """Quality of the map and purity of its neighbourhoods."""
        return [f"{run.subject(part)}: {_words(part)}" for part in run.parts]

    def headlines(self, run: Run) -> list[Headline]:
        """Purity of the neighbourhoods."""
        return [
            Headline(run.subject(part), "Map, k-NN purity", _purity(part), _chance(part).strip(" ()"))
            for part in run.parts
        ]

    def context(self, run: Run) -> Mapping[str, Any]:
        """How far to believe each map, and every table of points as a map for each kind of features."""
        return {
            "quality": [{name: part[name] for name in QUALITY if name in part} for part in run.parts],
            "maps": [entry for name, table in run.tables.items() for entry in _maps(run, name, table)],
        }


def _words(part: Mapping[str, Any]) -> str:
    if "n_placed" in part:
        return (
            f"{part['n_placed']:,} images placed among {part['n_old']:,}; of their nearest, "
            f"{number(_purity(part))} are of their generator{_chance(part)}."
        )
    found = f"trustworthiness {number(part.get('trustworthiness'))}, k-NN purity {number(_purity(part))}{_chance(part)}"
    accuracy = part.get("accuracy")
    if isinstance(accuracy, Mapping):
        found += f"; attribution probe {number(accuracy.get('balanced_acc'))} ({accuracy.get('evaluation')})"
    return f"{found}."


def _purity(part: Mapping[str, Any]) -> float | None:
    purity = part.get("knn_purity", part.get("purity_map"))
    return purity if is_number(purity) else None


def _chance(part: Mapping[str, Any]) -> str:
    return f" (chance {number(part['purity_chance'])})" if "purity_chance" in part else ""


def _maps(run: Run, name: str, table: pd.DataFrame) -> list[tuple[str, dict[str, Any]]]:
    """The maps of a table, one a kind of features: those of two views are two maps."""
    if REQUIRED.difference(table.columns):
        return []
    keys = [column for column in SUBJECT if column in table.columns]
    if not keys:
        return [("" if name == "map" else name, map_data(table))]
    return [
        (run.subject(dict(zip(keys, words, strict=True))), map_data(points))
        for words, points in table.groupby(keys, sort=False)
    ]
