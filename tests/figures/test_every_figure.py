"""Every picture: the same bytes for the same input, whatever the user's settings; any name, stamped if asked.

What a picture says is read back from matplotlib's own text objects, just before it is saved.
"""

import struct
import subprocess
import sys
import zlib
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from skimage.color import rgb2lab

from probekit import figures
from tests.figures.drawn import BINS, PLANE, boxes_of, every_figure

# Nothing in these is chosen on data.
UNSTAMPED = (
    "scatter_map",
    "scatter_values",
    "histograms",
    "rank_curves",
    "contact_sheet",
    "picture_sheet",
    "interval_bars",
    "overlay",
    "training_curves",
)
STAMPED = [name for name in every_figure() if name not in UNSTAMPED]


def chunks(picture):
    at, names = 8, []
    while at < len(picture):
        length, name = struct.unpack(">I4s", picture[at : at + 8])
        body = picture[at + 4 : at + 8 + length]
        assert zlib.crc32(body) == struct.unpack(">I", picture[at + 8 + length : at + 12 + length])[0]
        names.append(name)
        at += 12 + length
    return names


@pytest.mark.parametrize("name", every_figure())
def test_the_same_input_gives_the_same_bytes_without_dates_or_versions(name):
    draw = every_figure()[name]
    first = draw()
    assert first == draw()
    assert b"tEXt" not in chunks(first)


@pytest.mark.parametrize("name", every_figure())
def test_a_figure_neither_reads_nor_changes_the_users_matplotlib_settings(name):
    draw = every_figure()[name]
    expected = draw()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 20}):
        before = dict(matplotlib.rcParams)
        assert draw() == expected
        assert dict(matplotlib.rcParams) == before


def test_drawing_never_loads_pyplot_and_importing_loads_no_matplotlib():
    code = (
        "import sys, probekit.figures as f; print('matplotlib' in sys.modules);"
        "f.histograms({'a': __import__('numpy').zeros(3)}, title='');"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]


@pytest.mark.parametrize("name", every_figure())
def test_a_picture_for_papers_is_the_same_svg_each_time_without_dates_or_versions(name):
    draw = every_figure()[name]
    first = draw(extension="svg")
    assert first == draw(extension="svg")
    assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"date" not in first
    assert matplotlib.__version__.encode() not in first


@pytest.mark.parametrize("name", STAMPED)
def test_numbers_chosen_on_test_data_are_stamped_beneath_the_title_and_clear_of_the_axes(name, monkeypatch):
    stamp = "ORACLE: chosen on test data"
    assert stamp not in [text for text, _ in boxes_of(monkeypatch, every_figure()[name])]
    boxes = boxes_of(monkeypatch, lambda: every_figure()[name](oracle=True))
    (place,) = [box for text, box in boxes if text == stamp]
    title = max((box for text, box in boxes if text != "axes"), key=lambda box: box.y1)
    assert place.y1 < title.y1
    assert not any(place.overlaps(box) for text, box in boxes if text == "axes")


@pytest.mark.parametrize("name", ["$x^$", "a_b{", "<script>", "_hidden", "Ünïcode", "生成器", ""])
def test_any_name_is_drawn_as_it_is(name, words):
    figures.matrix(pd.DataFrame([[0.5]], index=[name], columns=[name]), title=name)
    figures.scatter_map(PLANE[:5], np.array([name] * 5), title=name)
    figures.histograms({name: PLANE[:, 0]}, title=name)
    figures.layer_curves(pd.DataFrame({"series": [name], "tap": [name], "value": [0.5]}), title=name)
    figures.roc_curves({name: (PLANE[:0, 0], PLANE[:0, 0])}, title=name, notes={name: "AUC –"})
    figures.reliability({name: BINS}, title=name)
    assert f"{name}  (5)" in words
    assert f"{name}  (AUC –)" in words
    assert f"{name}  (ECE 0.100)" in words
    assert words.count(name) >= (4 if name else 0)


@pytest.mark.parametrize("stops", [figures.ORANGE_TO_BLUE[:6], figures.ORANGE_TO_BLUE[5:], figures.WHITE_TO_BLUE])
def test_equal_steps_of_a_value_are_equal_steps_of_perceived_colour(stops):
    colours = np.array([[int(stop[i : i + 2], 16) / 255 for i in (1, 3, 5)] for stop in stops])
    steps = np.linalg.norm(np.diff(rgb2lab(colours), axis=0), axis=1)
    assert steps.max() / steps.min() < 1.1
