"""Maps of samples and histograms of pools: every class told apart, odd pools drawn all the same."""

import io
from importlib import resources

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from probekit import figures
from probekit.figures.style import class_style
from tests.figures.drawn import LABELS, PLANE, boxes_of


def test_a_map_prints_its_quality_and_the_count_of_each_class(words):
    figures.scatter_map(PLANE, LABELS, title="clip", caption="trustworthiness 0.93")
    for word in ["clip", "trustworthiness 0.93", "real  (30)", "telea  (30)", "navier-stokes  (30)"]:
        assert word in words


def test_the_legend_of_sixty_classes_covers_neither_points_nor_title(monkeypatch):
    names = np.array([f"generator-with-a-name-{i % 60}" for i in range(240)])
    plane = np.random.default_rng(0).normal(size=(240, 2))
    boxes = boxes_of(monkeypatch, lambda: figures.scatter_map(plane, names, title="t-SNE", caption="purity 0.9"))
    (axes,) = [box for text, box in boxes if text == "axes"]
    entries = [box for text, box in boxes if "generator-with-a-name" in text]
    assert len(entries) == 60
    assert not any(axes.overlaps(box) for box in entries)
    texts = dict(boxes)
    numbers = [texts[str(i)] for i in range(1, 61)]
    assert all(axes.overlaps(box) for box in numbers)
    assert texts["t-SNE"].y0 > texts["purity 0.9"].y1
    assert texts["purity 0.9"].y0 > axes.y1


def test_of_more_classes_than_can_be_told_apart_the_rarest_are_one(words):
    names = np.array([f"g{i}" for i in range(70)] + [f"g{i}" for i in range(59)] * 2)
    figures.scatter_map(np.random.default_rng(0).normal(size=(len(names), 2)), names, title="")
    assert "11 other classes  (11)" in words
    assert sum(word.endswith("(3)") for word in words) == 59


def test_a_long_caption_is_folded_over_the_map_and_keeps_clear_of_the_title(monkeypatch):
    caption = "trustworthiness 0.9\n" + ", ".join(f"generator-{i} 0.91 (n 120)" for i in range(12))
    boxes = boxes_of(monkeypatch, lambda: figures.scatter_map(PLANE, LABELS, title="t-SNE", caption=caption))
    (axes,) = [box for text, box in boxes if text == "axes"]
    ((words, beneath),) = [(text, box) for text, box in boxes if text.startswith("trustworthiness")]
    (title,) = [box for text, box in boxes if text == "t-SNE"]
    assert words.count("\n") > 2
    assert beneath.x1 <= axes.x1 * 1.05
    assert title.y0 > beneath.y1
    assert beneath.y0 > axes.y1


def test_background_has_no_class_and_a_scale_counts_what_has_no_value(words):
    figures.scatter_map(PLANE, LABELS, title="", muted=LABELS == "real")
    assert not any(word.startswith("real") for word in words)
    values = PLANE[:, 0].copy()
    values[:4] = np.nan
    figures.scatter_values(PLANE, values, name="age", title="")
    assert "age  (4 without)" in words


def test_many_points_of_an_svg_are_one_picture_and_its_words_stay_text_shapes():
    plane = np.random.default_rng(0).normal(size=(20_001, 2))
    names = np.array(["lama"] * len(plane))
    many = figures.scatter_map(plane, names, title="t-SNE", extension="svg")
    few = figures.scatter_map(plane[:50], names[:50], title="t-SNE", extension="svg")
    assert len(many) < 2e6
    assert b"<image" in many
    assert b"<image" not in few
    assert many == figures.scatter_map(plane, names, title="t-SNE", extension="svg")


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


def test_empty_and_single_pools_are_drawn(words):
    figures.histograms(
        {"mated": np.zeros(0), "real": np.array([0.1])}, title="Pools", thresholds={"FPIR": ("real", 0.9)}
    )
    for word in ["mated  (n 0)", "real  (n 1)", "FPIR", "% of the pool"]:
        assert word in words


def test_a_few_low_scores_do_not_press_the_bulk_together_and_no_bin_lies_beyond_a_cosine_of_1(saved, words):
    bulk = np.linspace(0.99, 1, 200)
    scores = {"mated": np.append(bulk, [0.1, 0.2]), "real": bulk}
    figures.histograms(scores, title="Pools", most=1.0, thresholds={"FPIR .05": ("real", 0.998)})
    for axes, n in zip(saved[0].axes, (200, 200), strict=True):
        assert 0.98 < axes.get_xlim()[0] < 0.99
        assert axes.get_xlim()[1] == 1.0
        last = axes.patches[-1]
        assert last.get_x() + last.get_width() <= 1 + 1e-12
        shares = sum(bar.get_height() for bar in axes.patches)
        assert np.isclose(shares, 100 * n / (202 if axes is saved[0].axes[0] else 200))
        assert any(np.allclose(line.get_xdata(), 0.998) for line in axes.lines)
        assert len(axes.get_yticks()) > 1
    assert "mated  (n 202, 2 lower)" in words
    assert "real  (n 200)" in words


def test_more_classes_than_colours_still_look_different():
    names = [f"g{i}" for i in range(50)]
    looks = {tuple(sorted(class_style(names, name).items())) for name in names}
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
