"""Figures: the same bytes for the same input, every name and number readable, odd input drawn all the same.

What a picture says is read back from matplotlib's own text objects, just before it is saved.
"""

import io
import struct
import subprocess
import sys
import zlib
from importlib import resources

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from skimage.color import rgb2lab

from probekit import figures

NAMES = ["telea", "navier-stokes", "stable-diffusion-xl-1.0"]
VALUES = pd.DataFrame([[0.97, 0.5, 0.31], [0.9, 1.0, np.nan], [0.0, 0.52, 0.66]], index=NAMES, columns=NAMES)
COUNTS = pd.DataFrame(240, index=NAMES, columns=NAMES)
LABELS = np.array(["real", "telea", "navier-stokes"])[np.arange(90) % 3]
PLANE = np.random.default_rng(0).normal(size=(90, 2))


def every_figure():
    return {
        "matrix": lambda: figures.matrix(VALUES, title="AUC", counts=COUNTS),
        "confusion": lambda: figures.confusion(COUNTS, title="Attribution"),
        "scatter_map": lambda: figures.scatter_map(PLANE, LABELS, title="Map", caption="trustworthiness 0.93"),
        "histograms": lambda: figures.histograms({"mated": PLANE[:, 0], "real": PLANE[:9, 1]}, title="Pools"),
    }


@pytest.fixture
def words(monkeypatch):
    """All visible words of the figures that are saved, in the order of saving."""
    seen = []
    save = Figure.savefig

    def read_and_save(figure, *args, **kwargs):
        save(figure, *args, **kwargs)
        seen.extend(t.get_text() for t in figure.findobj(Text) if t.get_visible() and t.get_text())

    monkeypatch.setattr(Figure, "savefig", read_and_save)
    return seen


def size(picture):
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", picture[16:24])


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


def test_a_matrix_prints_both_axes_every_name_value_and_n(words):
    figures.matrix(VALUES, title="AUC of clip", counts=COUNTS)
    for word in [
        "AUC of clip",
        "AUC",
        "trained on",
        "tested on",
        *NAMES,
        "0.97",
        "0.50",
        "0.31",
        "1.00",
        "–",
    ]:
        assert word in words
    assert words.count("n 240") == 9
    assert words.count("–") == 1


def test_a_confusion_prints_per_cent_of_each_row_and_an_empty_row_as_undefined(words):
    counts = pd.DataFrame([[3, 1], [0, 0]], index=["real", "lama"], columns=["real", "lama"])
    figures.confusion(counts, title="Attribution")
    for word in ["75", "25", "3", "1", "real  (n 4)", "lama  (n 0)", "true generator", "answer"]:
        assert word in words
    assert words.count("–") == 2


def test_a_map_prints_its_quality_and_the_count_of_each_class(words):
    figures.scatter_map(PLANE, LABELS, title="clip", caption="trustworthiness 0.93")
    for word in ["clip", "trustworthiness 0.93", "real  (30)", "telea  (30)", "navier-stokes  (30)"]:
        assert word in words


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 20), (20, 1), (20, 20)])
def test_matrices_of_any_size_keep_their_words_inside_and_their_cells_readable(rows, columns, words):
    names = [f"stable-diffusion-xl-1.{i}" for i in range(20)]
    values = pd.DataFrame(0.5, index=names[:rows], columns=names[:columns])
    width, height = size(figures.matrix(values, title="AUC"))
    assert width >= 90 * columns
    assert height >= 90 * rows
    assert words.count("0.50") == rows * columns


def boxes_of(monkeypatch, draw):
    """Where matplotlib puts the texts and the axes of a figure, in pixels, by their words or as `axes`."""
    found = []
    save = Figure.savefig

    def measure_and_save(figure, *args, **kwargs):
        save(figure, *args, **kwargs)
        found.extend((t.get_text(), t.get_window_extent()) for t in figure.findobj(Text) if t.get_text())
        found.extend(("axes", axes.get_window_extent()) for axes in figure.findobj(Axes))

    monkeypatch.setattr(Figure, "savefig", measure_and_save)
    draw()
    return found


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4), (4, 1), (2, 2)])
def test_the_title_and_the_colour_bar_stay_clear_of_each_other(rows, columns, monkeypatch):
    names = [f"stable-diffusion-xl-1.{i}" for i in range(4)]
    values = pd.DataFrame(0.5, index=names[:rows], columns=names[:columns])
    title = "AUC of open_clip:ViT-L-14/laion2b_s32b_b82k#proj, logistic probe, train and test by group"
    boxes = boxes_of(monkeypatch, lambda: figures.matrix(values, title=title))
    (place,) = [box for text, box in boxes if text.split() == title.split()]
    matrix, bar = sorted((box for text, box in boxes if text == "axes"), key=lambda box: box.x0)
    assert not place.overlaps(bar)
    assert not place.overlaps(matrix)
    assert bar.y0 == pytest.approx(matrix.y0, abs=1)
    assert bar.y1 == pytest.approx(matrix.y1, abs=1)
    assert bar.x0 > matrix.x1


def colours_of(monkeypatch, scores):
    found = {}
    save = Figure.savefig

    def read_and_save(figure, *args, **kwargs):
        for axes, name in zip(figure.axes, scores, strict=True):
            found[name] = axes.patches[0].get_facecolor()
        save(figure, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", read_and_save)
        figures.histograms(scores, title="Pools")
    return found


def test_a_pool_has_one_colour_whatever_stands_beside_it(monkeypatch):
    pool = PLANE[:, 0]
    all_three = colours_of(monkeypatch, {"mated": pool, "unregistered": pool, "real": pool})
    for names in (["unregistered", "real"], ["real", "mated"], ["lama", "unregistered"]):
        for name, colour in colours_of(monkeypatch, dict.fromkeys(names, pool)).items():
            assert all_three.get(name, colour) == colour
            assert name in all_three or colour not in all_three.values()
    assert to_hex(all_three["real"]) == figures.REAL_COLOUR


def test_the_name_of_a_pool_stands_above_its_bars(monkeypatch):
    tall = np.full(50, 0.0)
    boxes = boxes_of(monkeypatch, lambda: figures.histograms({"mated": tall, "real": np.ones(5)}, title="Pools"))
    axes = [box for text, box in boxes if text == "axes"]
    label = next(box for text, box in boxes if text == "mated  (n 50)")
    panel = next(box for box in axes if box.y0 < label.y0 < box.y1)
    assert label.y0 > panel.y0 + panel.height / 1.5  # where the tallest bar ends


def test_real_is_the_same_grey_in_pictures_and_in_the_interactive_map():
    script = resources.files("probekit.reports").joinpath("static", "map.js").read_text(encoding="utf-8")
    assert f'const REAL = "{figures.REAL_COLOUR}"' in script


@pytest.mark.parametrize("name", ["$x^$", "a_b{", "<script>", "_hidden", "Ünïcode", "生成器", ""])
def test_any_name_is_drawn_as_it_is(name, words):
    figures.matrix(pd.DataFrame([[0.5]], index=[name], columns=[name]), title=name)
    figures.scatter_map(PLANE[:5], np.array([name] * 5), title=name)
    figures.histograms({name: PLANE[:, 0]}, title=name)
    assert f"{name}  (5)" in words
    assert words.count(name) >= (4 if name else 0)


def test_empty_and_single_pools_are_drawn(words):
    figures.histograms({"mated": np.zeros(0), "real": np.array([0.1])}, title="Pools", threshold=0.9)
    for word in ["mated  (n 0)", "real  (n 1)", "threshold 0.900"]:
        assert word in words


def test_more_classes_than_colours_still_look_different():
    names = [f"g{i}" for i in range(50)]
    looks = {tuple(sorted(figures._style(names, name).items())) for name in names}
    assert len(looks) == 50


def test_no_class_hides_another_by_coming_last():
    on_top = np.zeros((400, 2))
    labels = np.array(["lama"] * 200 + ["telea"] * 200)
    plane = np.concatenate([on_top[:200] + PLANE[0], on_top[200:] + PLANE[0]])
    spread = plane + np.random.default_rng(1).normal(size=(400, 2)) * 1e-3
    one = figures.scatter_map(spread, labels, title="")
    two = figures.scatter_map(spread[::-1], labels[::-1], title="")
    shares = []
    for picture in (one, two):
        pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=int)[:, :1000]
        blue = (pixels[..., 2] - pixels[..., 0] > 60).sum()
        orange = (pixels[..., 0] - pixels[..., 2] > 60).sum()
        shares.append(blue / (blue + orange))
    assert all(0.1 < share < 0.9 for share in shares)


@pytest.mark.parametrize("stops", [figures.ORANGE_TO_BLUE[:6], figures.ORANGE_TO_BLUE[5:], figures.WHITE_TO_BLUE])
def test_equal_steps_of_a_value_are_equal_steps_of_perceived_colour(stops):
    colours = np.array([[int(stop[i : i + 2], 16) / 255 for i in (1, 3, 5)] for stop in stops])
    steps = np.linalg.norm(np.diff(rgb2lab(colours), axis=0), axis=1)
    assert steps.max() / steps.min() < 1.1
