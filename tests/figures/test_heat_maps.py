"""Heat maps: every name and number printed and readable, whatever the size."""

import numpy as np
import pandas as pd
import pytest

from probekit import figures
from probekit.figures.style import DENSITY
from tests.figures.drawn import COUNTS, NAMES, VALUES, boxes_of, size


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


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 20), (20, 1), (20, 20)])
def test_matrices_of_any_size_keep_their_words_inside_and_their_cells_readable(rows, columns, words):
    names = [f"stable-diffusion-xl-1.{i}" for i in range(20)]
    values = pd.DataFrame(0.5, index=names[:rows], columns=names[:columns])
    width, height = size(figures.matrix(values, title="AUC"))
    assert width >= 90 * columns
    assert height >= 90 * rows
    assert words.count("0.50") == rows * columns


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


def test_a_large_matrix_prints_the_range_of_n_beneath_its_title_and_no_word_leaves_its_cell(monkeypatch):
    names = [f"g{i}" for i in range(40)]
    values, counts = (pd.DataFrame(n, index=names, columns=names) for n in (0.75, 240))
    counts.iloc[3, 4] = 17
    boxes = boxes_of(monkeypatch, lambda: figures.matrix(values, title="AUC", counts=counts))
    words = [text for text, _ in boxes]
    assert "n per cell: 17 to 240" in words
    assert not any(word.startswith("n 2") for word in words)
    printed = [box for text, box in boxes if text == "0.75"]
    matrix = max((box for text, box in boxes if text == "axes"), key=lambda box: box.width)
    assert len(printed) == 1600
    assert max(box.width for box in printed) < 0.85 * matrix.width / 40
    assert max(box.height for box in printed) < 0.85 * matrix.height / 40


def test_robustness_prints_the_change_against_the_first_column_in_the_order_given(words):
    values = pd.DataFrame(
        [[0.9, 0.85, 0.95], [0.7, np.nan, 0.7]], index=["lama", "telea"], columns=["clean", "jpeg:75", "a"]
    )
    figures.robustness(values, title="Robustness")
    order = [word for word in words if word in values.columns]
    assert order == ["clean", "jpeg:75", "a"]
    for word in ["0.90", "0.85", "−0.05", "+0.05", "0.00", "tested on", "perturbation", "–"]:
        assert word in words
    assert words.count("–") == 1
    assert "beneath each value: its change against “clean”" in words


def test_a_robustness_picture_whose_clean_value_is_undefined_claims_no_change(words):
    figures.robustness(pd.DataFrame([[np.nan, 0.8]], index=["lama"], columns=["clean", "jpeg:75"]), title="R")
    assert not any(word.startswith(("+0", "−0")) or word == "0.00" for word in words)


def test_differences_are_signed_and_no_difference_is_the_neutral_colour(words, saved):
    values = pd.DataFrame([[0.12, -0.3], [0.0, -0.001]], index=["a", "b"], columns=["c", "d"])
    figures.difference_matrix(values, title="Gain", value_name="gain of AUC")
    for word in ["+0.12", "−0.30", "gain of AUC"]:
        assert word in words
    assert words.count("0.00") == 3  # twice in cells, once on the colour bar
    image = saved[0].axes[0].images[0]
    assert image.get_clim() == pytest.approx((-0.5, 0.5))
    middle = [int(figures.ORANGE_TO_BLUE[5][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    assert image.cmap(image.norm(0.0))[:3] == pytest.approx(middle, abs=0.01)


@pytest.mark.parametrize(("largest", "limit"), [(0.003, 0.005), (0.05, 0.05), (0.051, 0.1), (0.2, 0.2), (0.7, 1.0)])
def test_colours_of_differences_reach_the_next_round_number_on_both_sides(largest, limit, saved):
    figures.difference_matrix(pd.DataFrame([[-largest, np.nan]]), title="Gain")
    assert saved[0].axes[0].images[0].get_clim() == pytest.approx((-limit, limit))


@pytest.mark.parametrize("draw", [figures.matrix, figures.robustness, figures.difference_matrix])
def test_a_heat_map_without_cells_says_so_and_one_of_undefined_cells_is_hatched(draw, words, saved):
    draw(pd.DataFrame(), title="Empty")
    assert "no values" in words
    draw(pd.DataFrame(np.nan, index=["a", "b"], columns=["c", "d"]), title="Undefined")
    assert words.count("–") == 4
    assert sum(patch.get_hatch() is not None for patch in saved[1].axes[0].patches) == 4


def test_cells_whose_interval_excludes_0_are_bold_and_framed_and_a_line_says_so(words, saved):
    values = pd.DataFrame([[0.12, -0.3], [0.05, np.nan]], index=["a", "b"], columns=["c", "d"])
    certain = pd.DataFrame([[True, False], [np.nan, True]], index=values.index, columns=values.columns)
    figures.difference_matrix(values, title="Gain", certain=certain)
    axes = saved[0].axes[0]
    bold = [text.get_text() for text in axes.texts if text.get_weight() == "bold"]
    assert bold == ["+0.12", "–"]
    frames = [patch for patch in axes.patches if not patch.get_fill()]
    assert [frame.get_center().tolist() for frame in frames] == [[0, 0]]
    assert "bold and framed: the interval excludes 0" in words


def test_a_matrix_of_gains_without_a_certain_one_says_so_and_one_without_intervals_says_nothing(words):
    values = pd.DataFrame([[0.1]], index=["a"], columns=["b"])
    figures.difference_matrix(values, title="Gain", certain=values.isna())
    assert "no cell's interval excludes 0" in words
    del words[:]
    figures.difference_matrix(values, title="Gain")
    assert not any("interval" in word for word in words)


@pytest.mark.parametrize("rows", [1, 3, 16])
def test_the_label_of_a_pool_is_folded_whole_and_stays_in_its_row(rows, monkeypatch):
    pool = "+".join(f"generator-{i}" for i in range(12))
    values = pd.DataFrame(0.5, index=[pool, *(f"g{i}" for i in range(rows - 1))], columns=["lama", "telea", "sdxl"])
    boxes = boxes_of(monkeypatch, lambda: figures.matrix(values, title="AUC"))
    (label,) = [(text, box) for text, box in boxes if text.replace("\n", "") == pool]
    matrix = max((box for text, box in boxes if text == "axes"), key=lambda box: box.width)
    assert all(line.endswith("+") for line in label[0].splitlines()[:-1])
    assert label[1].height < matrix.height / rows
    assert label[1].width < 4.5 * DENSITY


def test_numbers_with_three_decimals_stay_inside_their_cells(monkeypatch):
    values = pd.DataFrame(-0.018, index=[f"g{i}" for i in range(16)], columns=[f"g{i}" for i in range(16)])
    boxes = boxes_of(monkeypatch, lambda: figures.difference_matrix(values, title="Gain", certain=values < 0))
    matrix = max((box for text, box in boxes if text == "axes"), key=lambda box: box.width)
    assert max(box.width for text, box in boxes if text == "−0.018") < 0.92 * matrix.width / 16


def test_distances_print_three_digits_and_end_their_colours_at_a_number_to_read(words):
    values = pd.DataFrame([[-0.0004, 0.4368], [0.4368, np.nan]], index=["real", "lama"], columns=["real", "lama"])
    axes = ("generator", "generator")
    figures.square(values, title="MMD²", value_name="MMD²", axis_names=axes, limits=None, remark="diagonal: halves")
    for word in ["0.00", "0.44", "–", "0.25", "0.50", "diagonal: halves", "MMD²", "generator", "lama"]:
        assert word in words
    assert "−0.00" not in words
    assert words.count("0.44") == 2


@pytest.mark.parametrize(
    ("largest", "printed", "end"), [(254.3, "254", "300"), (7.31, "7.3", "7.50"), (0.031, "0.031", "0.04")]
)
def test_distances_of_any_size_are_readable(largest, printed, end, words):
    values = pd.DataFrame([[0.0, largest], [largest, 0.0]], index=["a", "b"], columns=["a", "b"])
    figures.square(values, title="FD", value_name="FD", axis_names=("generator", "generator"), limits=None)
    assert words.count(printed) == 2
    assert end in words


def test_nothing_but_zeros_and_nothing_at_all_are_drawn():
    for values in (pd.DataFrame(0.0, index=["a"], columns=["a"]), pd.DataFrame()):
        figures.square(values, title="FD", value_name="FD", axis_names=("a", "b"), limits=None)
