"""Figures: arrays and tables become pictures, the same bytes for the same input.

    heat_maps.py       train/test matrices, differences, robustness, confusion, likenesses and distances
    scatter.py         maps of samples, by class or by value
    columns.py         whether a column is classes or a scale
    distributions.py   histograms of scores
    layer_curves.py    a value against the block that features were read from
    shot_curves.py     a value against the number of training examples
    number_axis.py     what both have in common
    rank_curves.py     the share of queries found by rank
    contact_sheets.py  queries and their neighbours, pairs of pictures, to look at
    bars.py            values side by side with their intervals
    overlays.py        images under the colours of a map
    rates.py           ROC and DET curves
    calibration.py     reliability diagrams
    training_curves.py the loss of networks while they were trained
    style.py           what all of them share: canvas, colours, titles, legends

The only package that draws with matplotlib. It uses a canvas of its own, never pyplot's global state, and
matplotlib's default style whatever the user's `matplotlibrc` says. Colours can be told apart with every
common colour blindness, and even steps in a value are even steps in perceived colour.

Every picture is PNG, or SVG with `extension="svg"`; `oracle=True` stamps one whose numbers were chosen on test data.
"""

from probekit.figures.bars import interval_bars
from probekit.figures.calibration import reliability
from probekit.figures.columns import classes_of, is_scale
from probekit.figures.contact_sheets import Thumbnail, contact_sheet, picture_sheet
from probekit.figures.distributions import histograms
from probekit.figures.heat_maps import confusion, difference_matrix, matrix, robustness, square
from probekit.figures.layer_curves import layer_curves
from probekit.figures.overlays import Overlay, overlay, overlay_sheet
from probekit.figures.rank_curves import rank_curves
from probekit.figures.rates import IDENTIFICATION, det_curves, roc_curves
from probekit.figures.scatter import OUTCOME_COLOURS, scatter_map, scatter_values
from probekit.figures.shot_curves import shot_curves
from probekit.figures.style import (
    CLASS_COLOURS,
    CLASS_MARKERS,
    ORANGE_TO_BLUE,
    POOL_COLOURS,
    REAL_COLOUR,
    WHITE_TO_BLUE,
    Extension,
)
from probekit.figures.training_curves import training_curves

__all__ = [
    "CLASS_COLOURS",
    "CLASS_MARKERS",
    "IDENTIFICATION",
    "ORANGE_TO_BLUE",
    "OUTCOME_COLOURS",
    "POOL_COLOURS",
    "REAL_COLOUR",
    "WHITE_TO_BLUE",
    "Extension",
    "Overlay",
    "Thumbnail",
    "classes_of",
    "confusion",
    "contact_sheet",
    "det_curves",
    "difference_matrix",
    "histograms",
    "interval_bars",
    "is_scale",
    "layer_curves",
    "matrix",
    "overlay",
    "overlay_sheet",
    "picture_sheet",
    "rank_curves",
    "reliability",
    "robustness",
    "roc_curves",
    "scatter_map",
    "scatter_values",
    "shot_curves",
    "square",
    "training_curves",
]
