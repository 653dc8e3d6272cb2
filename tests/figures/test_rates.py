"""ROC and DET curves: exact steps, normal-deviate axes, rates of 0 and 1."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_curve

from probekit import figures
from tests.figures.drawn import boxes_of

DRAWN = [figures.roc_curves, figures.det_curves]


def drawn(figure, place=0):
    """The vertices of a curve; the first line is the diagonal."""
    return figure.axes[0].lines[1 + place].get_xydata()


def test_a_roc_curve_is_drawn_through_every_vertex(saved):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    fpr, tpr, _ = roc_curve(labels, np.round(rng.normal(size=80) + labels, 1))
    figures.roc_curves({"lama": (fpr, tpr)}, title="ROC")
    assert np.array_equal(drawn(saved[0]), np.column_stack([fpr, tpr]))


def test_two_normal_distributions_of_equal_variance_are_a_straight_line_on_det_axes(saved):
    cut = np.linspace(-1, 2.5, 400)
    figures.det_curves({"lama": (norm.sf(cut), norm.cdf(cut - 1.5))}, title="DET")
    x, y = drawn(saved[0]).T
    inside = (np.abs(x - x.min()) > 1e-9) & (y > y.min() + 1e-9) & (y < y.max() - 1e-9)
    assert inside.sum() > 300
    np.testing.assert_allclose((x + y)[inside], -1.5, atol=1e-4)  # Φ⁻¹(fnr) = -Φ⁻¹(fpr) - d'


def test_a_step_stays_a_step_on_det_axes_and_a_slanted_piece_follows_the_straight_line_of_rates(saved):
    fpr, fnr = np.array([0.01, 0.2, 0.2, 0.6]), np.array([0.5, 0.5, 0.3, 0.1])
    figures.det_curves({"lama": (fpr, fnr)}, title="DET")
    x, y = norm.cdf(drawn(saved[0])).T
    np.testing.assert_allclose(np.column_stack([x, y])[:3], np.column_stack([fpr, fnr])[:3], rtol=1e-9)
    assert len(x) > 20
    np.testing.assert_allclose(y[2:], 0.3 - 0.5 * (x[2:] - 0.2), rtol=1e-9)
    assert (np.diff(x) >= 0).all()


@pytest.mark.parametrize("corner", [0.0, 1.0], ids=["perfect", "inverted"])
def test_rates_of_0_and_1_are_drawn_on_the_frame_of_det_axes(corner, saved):
    figures.det_curves({"lama": (np.array([0.0, corner, 1.0]), np.array([1.0, corner, 0.0]))}, title="DET")
    axes, points = saved[0].axes[0], drawn(saved[0])
    ends = np.array(axes.get_xlim())
    assert axes.get_xlim() == axes.get_ylim()
    assert np.isclose(points[:, :, None], ends).any(axis=2).all()


def test_det_axes_have_the_usual_ticks_in_per_cent_at_their_normal_deviates(saved):
    figures.det_curves({}, title="DET")
    for axis in (saved[0].axes[0].xaxis, saved[0].axes[0].yaxis):
        words = [tick.get_text() for tick in axis.get_ticklabels()]
        assert words == [".1", ".2", ".5", "1", "2", "5", "10", "20", "40", "60", "80", "90"]
        np.testing.assert_allclose(axis.get_ticklocs(), norm.ppf([float(word) / 100 for word in words]), rtol=1e-9)


def test_det_axes_reach_a_little_beyond_the_rates_between_0_and_1(saved):
    rates = np.array([0.0, 0.02, 0.3, 1.0])
    figures.det_curves({"lama": (rates, rates[::-1])}, title="DET")
    low, high = norm.cdf(saved[0].axes[0].get_xlim())
    assert 0.01 < low < 0.02
    assert 0.3 < high < 0.65
    figures.det_curves({"lama": (rates, np.array([1.0, 0.98, 0.97, 0.0]))}, title="DET")
    assert 0.98 < norm.cdf(saved[1].axes[0].get_ylim()[1]) < 0.99


def test_a_few_det_curves_have_their_legend_inside_and_their_title_above_the_axes(saved, monkeypatch):
    rates = np.array([0.0, 0.1, 1.0])
    boxes = boxes_of(monkeypatch, lambda: figures.det_curves({"lama": (rates, rates[::-1])}, title="DET of lama"))
    found = dict(boxes)
    assert found["axes"].x0 < found["lama"].x0 < found["lama"].x1 < found["axes"].x1
    assert found["DET of lama"].x0 < found["axes"].x0 < found["DET of lama"].x1


def test_ticks_of_det_axes_do_not_touch(monkeypatch):
    boxes = boxes_of(monkeypatch, lambda: figures.det_curves({}, title="DET"))
    across = sorted((box for text, box in boxes if text.strip(".").isdecimal()), key=lambda box: box.y0)[:12]
    ordered = sorted(across, key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(ordered))


@pytest.mark.parametrize("draw", DRAWN)
def test_forty_curves_look_different_and_carry_their_notes_beside_the_axes(draw, monkeypatch, saved):
    curves = {f"generator-{i}": (np.array([0.0, i / 50, 1.0]), np.array([0.1, 0.5, 0.9])) for i in range(40)}
    boxes = boxes_of(monkeypatch, lambda: draw(curves, title="Curves", notes=dict.fromkeys(curves, "0.9")))
    (axes,) = [box for text, box in boxes if text == "axes"]
    named = [box for text, box in boxes if text.endswith("(0.9)")]
    assert len(named) == 40
    assert min(box.x0 for box in named) > axes.x1
    looks = {(line.get_color(), str(line._dash_pattern)) for line in saved[0].axes[0].lines[1:]}
    assert len(looks) == 40


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("rates", [np.zeros(0), np.full(3, np.nan)], ids=["empty", "undefined"])
def test_curves_without_rates_say_so_and_keep_their_name(draw, rates, words):
    draw({"lama": (rates, rates)}, title="Curves")
    draw({}, title="Curves")
    assert words.count("no values") == 2
    assert "lama" in words


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (figures.roc_curves, ["false positive rate (real called fake)", "true positive rate (fake called fake)"]),
        (
            figures.det_curves,
            ["false positive rate, % (real called fake)", "false negative rate, % (fake called real)"],
        ),
    ],
)
def test_axes_and_diagonal_are_named(draw, expected, words):
    draw({"lama": (np.array([0, 1.0]), np.array([0, 1.0]))}, title="Curves", notes={"telea": "of no curve"})
    diagonal = "chance" if draw is figures.roc_curves else "equal error rates"
    for word in [*expected, diagonal, "lama", "Curves"]:
        assert word in words
