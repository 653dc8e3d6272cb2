"""Curves over blocks and shots, and reliability diagrams: points where they belong, odd tables drawn."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from probekit import figures
from probekit.errors import UsageError
from tests.figures.drawn import BINS, LAYERS, SHOTS, boxes_of, size


def lines_of(figure, axes=0):
    """The drawn lines that have points, as arrays of places and values."""
    return [line.get_xydata() for line in figure.axes[axes].lines if len(line.get_xydata())]


def test_blocks_stand_in_the_order_of_their_numbers_and_other_taps_apart_at_the_right(saved):
    shuffled = pd.DataFrame(
        {"series": "clip", "tap": ["proj", "cls@10", "cls@2", "cls@9"], "value": [0.9, 0.8, 0.6, 0.7]}
    )
    figures.layer_curves(shuffled, title="AUC", chance=None)
    line, apart = lines_of(saved[0])[0], lines_of(saved[0])[1]
    assert line[:, 1].tolist() == [0.6, 0.7, 0.8]
    gaps = np.diff(line[:, 0])
    assert gaps[0] == pytest.approx(7 * gaps[1])
    assert np.nanmin(apart[:, 0]) > line[-1, 0]
    assert apart[np.isfinite(apart[:, 0]), 1].tolist() == [0.9]


def test_layer_curves_name_axes_series_taps_and_what_is_undefined(words):
    figures.layer_curves(LAYERS, title="AUC by block")
    for word in [
        "AUC by block",
        "AUC",
        "block",
        "0",
        "1",
        "proj",
        "clip",
        "dinov2  (1 undefined)",
        "cls@i",
        "mean@i",
        "chosen",
        "chance",
    ]:
        assert word in words


def test_only_points_that_are_called_chosen_are_ringed(saved, words):
    figures.layer_curves(LAYERS, title="AUC")
    rings = np.concatenate(
        [
            c.get_offsets()
            for c in saved[0].axes[0].collections
            if isinstance(c, PathCollection) and len(c.get_offsets())
        ]
    )
    assert rings[:, 1].tolist() == [0.9]
    figures.layer_curves(LAYERS.drop(columns=["chosen", "lo", "hi"]), title="AUC")
    assert words.count("chosen") == 1


@pytest.mark.parametrize("blocks", [1, 6, 24, 48])
def test_names_of_blocks_and_taps_do_not_touch(blocks, monkeypatch):
    taps = [*(f"cls@{i}" for i in range(blocks)), "final", "proj", "a-tap-with-a-long-name"]
    table = pd.DataFrame([(s, tap, 0.8) for s in "abcdef" for tap in taps], columns=["series", "tap", "value"])
    boxes = boxes_of(monkeypatch, lambda: figures.layer_curves(table, title="AUC"))
    named = [box for text, box in boxes if text.isdecimal() or text in ("final", "proj")]
    assert len(named) >= min(blocks, 5) + 2
    ordered = sorted(named, key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(ordered))


def test_shots_stand_on_a_logarithmic_scale_with_all_of_them_apart(saved, words):
    figures.shot_curves(SHOTS.sample(frac=1, random_state=0), title="AUC by shots")
    numbers = lines_of(saved[0])[0]
    assert np.diff(numbers[:, 0]) == pytest.approx(np.full(2, np.diff(numbers[:, 0])[0]))
    for word in ["1", "10", "100", "all", "training examples per class", "mean over seeds ± 1 standard deviation"]:
        assert word in words


def test_the_band_is_one_standard_deviation_on_both_sides(saved):
    figures.shot_curves(SHOTS[SHOTS["series"] == "clip"], title="AUC")
    band = saved[0].axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.6 - 0.02)
    assert band[:, 1].max() == pytest.approx(0.7 + 0.02)


@pytest.mark.parametrize("shots", [0, -1, 2.5, "many", np.nan])
def test_shots_that_are_no_number_of_examples_are_refused(shots):
    with pytest.raises(UsageError, match="whole number from 1 or 'all'"):
        figures.shot_curves(
            pd.DataFrame({"series": ["a"], "shots": [shots], "value": [0.5], "spread": [0.0]}), title=""
        )


@pytest.mark.parametrize(("draw", "table"), [(figures.layer_curves, LAYERS), (figures.shot_curves, SHOTS)])
def test_curves_of_no_point_one_point_and_undefined_points_are_drawn(draw, table, words):
    draw(table[:0], title="Empty")
    draw(table.assign(value=np.nan), title="Undefined")
    assert words.count("no values") == 2
    for i in range(len(table)):
        width, height = size(draw(table[i : i + 1], title="One"))
        assert width > 800
        assert height > 600


@pytest.mark.parametrize(("draw", "table"), [(figures.layer_curves, LAYERS), (figures.shot_curves, SHOTS)])
def test_drawing_curves_leaves_the_table_as_it_was(draw, table):
    before = table.copy(deep=True)
    draw(table, title="AUC")
    pd.testing.assert_frame_equal(table, before)


def test_reliability_leaves_out_bins_without_samples_and_prints_the_ece(saved, words):
    figures.reliability({"lama": BINS}, title="Reliability")
    # (10 · |0.2 - 0.1| + 30 · |0.9 - 0.8|) / 40
    assert "lama  (ECE 0.100)" in words
    assert lines_of(saved[0])[1].tolist() == [[0.1, 0.2], [0.8, 0.9]]
    assert lines_of(saved[0], axes=1)[0].tolist() == [[0.1, 10], [0.8, 30]]
    for word in ["predicted probability of fake", "share of fakes", "samples", "perfect calibration", "10"]:
        assert word in words
    assert not any("mathdefault" in word for word in words)


@pytest.mark.parametrize("curves", [{}, {"lama": BINS[:0]}, {"lama": BINS.assign(n=0)}])
def test_reliability_without_samples_says_so(curves, words):
    figures.reliability(curves, title="Reliability")
    assert "no values" in words
    assert words.count("lama  (ECE undefined)") == len(curves)


def test_a_long_title_stays_clear_of_the_legend(monkeypatch):
    title = "Reliability of open_clip:ViT-L-14/laion2b_s32b_b82k#proj, logistic probe, trained on all, tested on each"
    boxes = boxes_of(monkeypatch, lambda: figures.reliability({f"g{i}": BINS for i in range(30)}, title=title))
    (place,) = [box for text, box in boxes if text.split() == title.split()]
    assert not any(place.overlaps(box) for text, box in boxes if "ECE" in text)
