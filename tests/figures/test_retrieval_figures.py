"""Contact sheets, rank curves and DET curves of searches: what they show is there, whatever the names."""

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from probekit import figures
from tests.figures.drawn import PIXELS, RANKS, SHEET


def frames(figure):
    """The frames of the thumbnails, in the order in which they were drawn."""
    (axes,) = figure.axes
    found = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_zorder() == 3]
    return [(to_hex(patch.get_edgecolor()), patch.get_linestyle(), patch.get_linewidth()) for patch in found]


def test_right_and_wrong_differ_in_colour_in_line_and_in_words(saved, words):
    figures.contact_sheet(SHEET, title="Neighbours")
    query, right, wrong, lone = frames(saved[0])
    assert len({right[0], wrong[0], query[0]}) == 3
    assert right[1] != wrong[1]
    assert query[2] < right[2]
    assert lone == query
    assert "✓ lama" in words
    assert any(word.startswith("✗ stable") for word in words)
    assert not any(word.startswith("✗ lama") for word in words)


def test_every_image_lies_above_its_grey_square_and_an_unreadable_one_says_so(saved, words):
    figures.contact_sheet(SHEET, title="Neighbours")
    (axes,) = saved[0].axes
    grey = [patch for patch in axes.patches if patch.get_zorder() == 1]
    assert (len(axes.images), len(grey)) == (3, 4)
    assert min(image.get_zorder() for image in axes.images) > 1
    assert words.count("cannot\nbe read") == 1


def test_a_thumbnail_keeps_its_shape_inside_its_square(saved):
    figures.contact_sheet([[figures.Thumbnail(PIXELS, "lama", "query")]], title="One")
    (axes,) = saved[0].axes
    left, right, bottom, top = axes.images[0].get_extent()
    assert np.isclose((right - left) / (bottom - top), 12 / 8)
    assert np.isclose(right - left, 1.3)


def test_a_long_name_takes_two_lines_at_most(words):
    figures.contact_sheet([[figures.Thumbnail(PIXELS, "stable diffusion xl " * 4, "query")]], title="Long")
    lines = [word for word in words if "stable" in word or word.endswith("…")]
    assert len(lines) == 2
    assert lines[1].endswith("…")


def test_a_sheet_without_rows_says_that_there_is_nothing(words):
    figures.contact_sheet([], title="Empty")
    assert "no values" in words


def test_rank_curves_show_every_point_on_an_axis_from_0(saved, words):
    figures.rank_curves(RANKS, title="Rank curves")
    (axes,) = saved[0].axes
    assert [line.get_label() for line in axes.lines] == ["image", "class, max"]
    for line in axes.lines:
        np.testing.assert_allclose(line.get_ydata(), [0.6, 0.8, 0.92, 0.96])
    assert axes.get_ylim()[0] == 0
    assert axes.get_xscale() == "log"
    assert {"1", "2", "5", "10"} <= set(words)
    assert "20" not in words


def test_rank_curves_of_one_kind_share_their_colour_and_differ_by_their_dashes(saved):
    parts = [RANKS.assign(kind=RANKS["series"], series=name + " · " + RANKS["series"]) for name in ("raw", "lda")]
    figures.rank_curves(pd.concat(parts), title="Rank curves")
    looks = {line.get_label(): (to_hex(line.get_color()), line.get_linestyle()) for line in saved[0].axes[0].lines}
    for kind in ("image", "class, max"):
        raw, lda = looks[f"raw · {kind}"], looks[f"lda · {kind}"]
        assert raw[0] == lda[0]
        assert raw[1] != lda[1]
    assert looks["raw · image"][0] != looks["raw · class, max"][0]


def test_the_file_stands_beneath_its_thumbnail_without_its_middle(words):
    sheet = [[figures.Thumbnail(PIXELS, "lama", "query", file="lama/a-rather-long-name-of-a-file-0017.png")]]
    figures.contact_sheet(sheet, title="Files")
    (file,) = [word for word in words if word.endswith(".png")]
    assert file.startswith("lama/")
    assert "…" in file
    assert file.endswith("0017.png")


def test_rank_curves_of_nothing_and_of_one_class_are_drawn(words):
    figures.rank_curves(RANKS[:0], title="None")
    assert "no values" in words
    figures.rank_curves(pd.DataFrame({"series": ["class"], "k": [1], "rate": [1.0]}), title="One")


def test_det_curves_of_searches_name_their_rates_and_take_given_looks(saved, words):
    rates = np.array([0.0, 0.2, 1.0])
    looks = {"real": {"color": figures.POOL_COLOURS["real"], "linestyle": "--"}}
    figures.det_curves(
        {"real": (rates, 1 - rates), "unregistered": (rates, 1 - rates)},
        title="DET",
        axis_names=figures.IDENTIFICATION,
        looks=looks,
    )
    _, real, other = saved[0].axes[0].lines
    assert (to_hex(real.get_color()), real.get_linestyle()) == (figures.REAL_COLOUR, "--")
    assert other.get_linestyle() == "-"
    assert any(word.startswith("FPIR") for word in words)
    assert any(word.startswith("FNIR") for word in words)
