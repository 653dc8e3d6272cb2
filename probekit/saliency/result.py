"""What saliency answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Float
from probekit.fingerprint import JSONValue
from probekit.protocols import Pool
from probekit.saliency.geometry import Placement, to_image
from probekit.saliency.settings import SaliencySettings


@dataclass(frozen=True, eq=False)
class ImageMap:
    """The map of one image, as the patches have it."""

    row: int
    """Of the result's samples."""
    grids: Float[np.ndarray, "c g g"]
    """float32, one a crop."""
    cell: int
    places: tuple[Placement, ...]
    size: tuple[int, int]
    """Height and width of the image."""

    def to_image(self) -> Float[np.ndarray, "h w"]:
        """The map in the pixels of the image; NaN where the view did not reach."""
        return to_image(list(self.grids), self.cell, self.places, self.size)


@dataclass(frozen=True, eq=False)
class SaliencyResult:
    """Where probes look, and how well that fits the masks."""

    settings: SaliencySettings
    source: dict[str, str]
    """Model, tap, view and precision of the features."""
    samples: pd.DataFrame
    """Of the manifest, row numbers as in `maps`."""
    images: pd.DataFrame
    """One row for each method, training set and image: method, train, path (with the member, frame or box that is
    meant, so that no two images share one), generator, domain, label, group, explained (class), score, bias, called,
    seen (share of the image that the view showed); where there is a mask, mask (its share of the image), mask_seen (the
    share of it that the view showed) and the columns of `localisation.Localised`."""
    localisation: pd.DataFrame
    """One row for each method, training set and test set with masks: see `localisation.summarise`."""
    maps: Mapping[tuple[str, str], tuple[ImageMap, ...]] = field(repr=False)
    """(method, training set) → maps in the order of the rows of `images`."""
    tests: tuple[Pool, ...]
    failed: pd.DataFrame
    """path (as in `images`), reason: images or masks that could not be read."""
    record: Mapping[str, JSONValue]
    """How the probes were chosen and evaluated."""
    facts: Mapping[str, Mapping[str, str]]
    """Method → what a reader must know of its maps."""
    notes: tuple[str, ...]

    @property
    def oracle(self) -> bool:
        """Whether anything was chosen on test samples."""
        return bool(self.record.get("oracle"))

    def to_json(self) -> dict[str, JSONValue]:
        """One run: probe, model, tap, view, precision, evaluation and the localisation; undefined is null."""
        return {
            "task": self.settings.task,
            "probe": self.settings.probe,
            **self.source,
            "evaluation": self.record["evaluation"],
            "selection": dict(self.record),
            "methods": {name: dict(facts) for name, facts in self.facts.items()},
            "n_images": int(self.images["path"].nunique()),
            "n_failed": len(self.failed),
            "localisation": [_json_row(row) for row in self.localisation.to_dict("records")],
            "notes": list(self.notes),
        }


def _json_row(row: Mapping[Any, Any]) -> dict[str, JSONValue]:
    return dict(metrics.json_row(row))
