"""Figures: arrays and tables become pictures, the same bytes for the same input.

    heat_maps.py       train/test matrices, differences, robustness, confusion
    scatter.py         maps of samples
    distributions.py   histograms of scores
    curves.py          a value against the block it was read from, or against the number of examples
    rank_curves.py     the share of queries found by rank
    contact_sheets.py  queries and their neighbours, to look at
    overlays.py        images under the colours of a map
    rates.py           ROC and DET curves
    calibration.py     reliability diagrams
    style.py           what all of them share: canvas, colours, titles, legends

The only package that draws with matplotlib. It uses a canvas of its own, never pyplot's global state, and
matplotlib's default style whatever the user's `matplotlibrc` says. Colours can be told apart with every
common colour blindness, and even steps in a value are even steps in perceived colour.

Every picture is PNG, or SVG with `extension="svg"`; `oracle=True` stamps one whose numbers were chosen on test data.
"""

from probekit.figures.calibration import reliability
from probekit.figures.contact_sheets import Thumbnail, contact_sheet
from probekit.figures.curves import layer_curves, shot_curves
from probekit.figures.distributions import histograms
from probekit.figures.heat_maps import confusion, difference_matrix, matrix, robustness
from probekit.figures.overlays import Overlay, overlay, overlay_sheet
from probekit.figures.rank_curves import rank_curves
from probekit.figures.rates import IDENTIFICATION, det_curves, roc_curves
from probekit.figures.scatter import scatter_map
from probekit.figures.style import (
    CLASS_COLOURS,
    CLASS_MARKERS,
    ORANGE_TO_BLUE,
    POOL_COLOURS,
    REAL_COLOUR,
    WHITE_TO_BLUE,
    Extension,
)

__all__ = [
    "CLASS_COLOURS",
    "CLASS_MARKERS",
    "IDENTIFICATION",
    "ORANGE_TO_BLUE",
    "POOL_COLOURS",
    "REAL_COLOUR",
    "WHITE_TO_BLUE",
    "Extension",
    "Overlay",
    "Thumbnail",
    "confusion",
    "contact_sheet",
    "det_curves",
    "difference_matrix",
    "histograms",
    "layer_curves",
    "matrix",
    "overlay",
    "overlay_sheet",
    "rank_curves",
    "reliability",
    "robustness",
    "roc_curves",
    "scatter_map",
    "shot_curves",
]
