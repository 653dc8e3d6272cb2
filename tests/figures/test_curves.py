"""Curves over blocks and shots, and reliability diagrams: points where they belong, odd tables drawn."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from scipy.stats import binomtest

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


def test_bars_are_one_standard_deviation_on_both_sides(saved):
    figures.shot_curves(SHOTS[SHOTS["series"] == "clip"], title="AUC")
    (bars,) = saved[0].axes[0].collections
    ends = [segment[:, 1] for segment in bars.get_segments()]
    np.testing.assert_allclose(ends, [[0.58, 0.62], [0.63, 0.67], [0.68, 0.72], [0.73, 0.77]])


def test_no_spread_over_seeds_is_claimed_where_there_is_none(words):
    figures.shot_curves(SHOTS.assign(spread=0.0), title="AUC")
    assert not any("standard deviation" in word for word in words)


def test_series_at_one_number_of_shots_stand_beside_each_other_and_clear_of_the_next_number(saved):
    names = [f"g{i}" for i in range(9)]
    figures.shot_curves(pd.DataFrame([(name, n, 0.8, 0.1) for name in names for n in (1, 2, 100, "all")],
                                     columns=["series", "shots", "value", "spread"]), title="AUC")  # fmt: skip
    lines = [line for line in lines_of(saved[0]) if len(line) == 3]
    x = np.array([line[:, 0] for line in lines])
    assert len(np.unique(x.round(6))) == 27
    assert x[:, 0].max() < x[:, 1].min()


def test_twenty_series_of_shots_never_share_colour_and_marker_in_the_lines_or_at_all(saved):
    table = pd.concat([SHOTS[SHOTS["series"] == "clip"].assign(series=f"g{i}") for i in range(20)], ignore_index=True)
    figures.shot_curves(table, title="AUC", chance=None)
    for points in (3, 1):
        lines = [line for line in saved[0].axes[0].lines if len(line.get_xdata()) == points]
        assert len({(line.get_color(), line.get_marker()) for line in lines}) == len(lines) == 20


def test_each_panel_has_its_name_and_its_series_which_look_the_same_in_all(saved, words):
    table = pd.concat([SHOTS.assign(panel="lama"), SHOTS[SHOTS["series"] == "dinov2"].assign(panel="telea")])
    figures.shot_curves(table.reset_index(drop=True), title="AUC", chance=None, legend_title="tested on")
    one, two = saved[0].axes
    assert [axes.get_title(loc="left") for axes in (one, two)] == ["trained on lama", "trained on telea"]
    clip, dinov2, alone = (line for axes in (one, two) for line in axes.lines if len(line.get_xdata()) == 3)
    assert alone.axes is two
    assert alone.get_color() == dinov2.get_color() != clip.get_color()
    assert words.count("tested on") == 1
    assert [axes.get_ylabel() for axes in (one, two)] == ["AUC", ""]


def test_means_over_seen_and_unseen_generators_are_lines_of_their_own(saved, words):
    table = pd.concat([LAYERS.assign(over="seen generators"), LAYERS.assign(over="unseen generators", value=0.3)])
    figures.layer_curves(table.reset_index(drop=True), title="AUC", chance=None, legend_title="trained on")
    for word in ["trained on", "mean over seen generators", "mean over unseen generators"]:
        assert word in words
    lines = [line for line in saved[0].axes[0].lines if line.get_color() == figures.CLASS_COLOURS[0]]
    seen, unseen = ([line for line in lines if (0.3 in line.get_ydata()) == whether] for whether in (False, True))
    assert {line.get_linestyle() for line in seen if len(line.get_xdata()) == 2} == {"-"}
    assert {line.get_linestyle() for line in unseen if len(line.get_xdata()) == 2} == {"--"}
    assert {line.get_markerfacecolor() for line in unseen} == {"white"}


def test_twenty_training_sets_have_lines_of_twenty_colours(saved):
    table = pd.DataFrame([(f"g{i}", f"cls@{b}", 0.8) for i in range(20) for b in (0, 1)],
                         columns=["series", "tap", "value"])  # fmt: skip
    figures.layer_curves(table, title="AUC", chance=None)
    assert len({line.get_color() for line in saved[0].axes[0].lines if len(line.get_xdata()) == 2}) == 20


def test_a_series_beside_another_has_its_colour_dashed_and_bars_stay_between_0_and_1(saved, words):
    one = SHOTS[SHOTS["series"] == "clip"].assign(spread=0.6, beside="")
    measured = one.assign(series="measured", beside="clip", value=0.05, spread=0.0)
    figures.shot_curves(pd.concat([one, measured], ignore_index=True), title="DIR", chance=None, all_name="all (125)")
    axes = saved[0].axes[0]
    solid, dashed = (line for line in axes.lines if len(line.get_xdata()) == 3)
    assert to_hex(solid.get_color()) == to_hex(dashed.get_color())
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    bars = np.concatenate([np.array(segment)[:, 1] for part in axes.collections for segment in part.get_segments()])
    assert (bars.min(), bars.max()) == (0.0, 1.0)
    assert "all (125)" in words
    assert "all" not in words


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
    figures.reliability({"lama": BINS}, title="Reliability", legend_title="tested on")
    # (10 · |0.2 - 0.1| + 30 · |0.9 - 0.8|) / 40
    assert "lama  (ECE 0.100)" in words
    full, few = (c for c in saved[0].axes[0].collections if isinstance(c, PathCollection))
    assert full.get_offsets().tolist() == [[0.1, 0.2], [0.8, 0.9]]
    assert len(few.get_offsets()) == 0
    assert lines_of(saved[0], axes=1)[0].tolist() == [[0.1, 10], [0.8, 30]]
    for word in [
        "predicted probability of fake",
        "share of fakes",
        "samples",
        "perfect calibration",
        "10",
        "tested on",
    ]:
        assert word in words
    assert not any("mathdefault" in word for word in words)


def test_bins_of_few_samples_are_hollow_without_bars_and_not_joined_and_the_figure_says_so(saved, words):
    bins = pd.DataFrame({"predicted": np.linspace(0.1, 0.9, 5), "share": [0.1, 0.4, 1.0, 0.6, 0.9],
                         "n": [40, 10, 1, 30, 20]})  # fmt: skip
    figures.reliability({"lama": bins}, title="Reliability")
    upper = saved[0].axes[0]
    (line,) = [found for found in lines_of(saved[0]) if len(found) == 5]
    assert np.isnan(line[:, 1]).tolist() == [False, False, True, False, False]
    full, few = (c for c in upper.collections if isinstance(c, PathCollection))
    assert few.get_offsets().tolist() == [[0.5, 1.0]]
    assert len(few.get_facecolors()) == 0
    areas = full.get_sizes()
    assert (np.argsort(areas) == np.argsort([40, 10, 30, 20])).all()
    assert few.get_sizes()[0] < areas.min()
    assert "hollow, neither bar nor line: fewer than 10 samples" in " ".join(words)


def test_the_bar_of_a_bin_is_the_wilson_interval_of_its_share(saved):
    bins = pd.DataFrame({"predicted": [0.1, 0.5, 0.9], "share": [0.0, 0.4, 1.0], "n": [12, 50, 2000]})
    figures.reliability({"lama": bins}, title="Reliability")
    bars = next(c for c in saved[0].axes[0].collections if isinstance(c, LineCollection))
    expected = [binomtest(k, n).proportion_ci(method="wilson") for k, n in ((0, 12), (20, 50), (2000, 2000))]
    ends = [segment[:, 1] for segment in bars.get_segments()]
    np.testing.assert_allclose(ends, [(ci.low, ci.high) for ci in expected], atol=1e-12)


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
