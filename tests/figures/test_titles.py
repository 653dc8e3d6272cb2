"""Titles and legends: lines end between names, and inside one only if it alone is too long."""

import numpy as np
import pytest

from probekit import figures
from probekit.figures.style import breadth, legend_width, wrapped
from tests.figures.drawn import BINS, RATES, boxes_of

POOL = "lama+telea+navier-stokes+mat-places+sdxl+kandinsky-2.2"
LONG = "stable-diffusion-xl-1.0-inpainting-0.1_guidance7.5_steps50_v2"
TITLE = "AUC under blur, trained on lama+telea+npr#b/locks · vit_tiny_patch16_224#pool · crop 224, logistic probe"


@pytest.mark.parametrize("width", [3.0, 3.5, 4.0, 6.0, 20.0])
def test_a_title_is_broken_between_names_and_fits(width):
    lines = wrapped(TITLE, width).splitlines()
    assert breadth(lines, 12, "bold") <= width
    assert " ".join(lines).replace("+ ", "+") == TITLE
    for name in ["lama+", "npr#b/locks", "vit_tiny_patch16_224#pool"]:
        assert sum(name in line for line in lines) == 1
    assert not any(line.startswith("·") for line in lines)


def test_what_stands_between_dots_is_kept_whole_where_it_fits_into_a_line():
    assert wrapped("AUC by tap · crop 224, logistic · mean", 2.1).splitlines() == [
        "AUC by tap ·",
        "crop 224, logistic ·",
        "mean",
    ]


def test_a_name_longer_than_a_line_is_broken_after_its_own_signs():
    lines = wrapped(f"AUC · {LONG}", 2.4).splitlines()
    assert "".join(lines[1:]) in (LONG, LONG.removeprefix(lines[0].removeprefix("AUC · ")))
    assert all(line[-1] in "_-·" for line in lines[:-1])
    assert breadth(lines, 12, "bold") <= 2.4


@pytest.mark.parametrize("title", ["", "x" * 200, "生成器" * 40])
def test_any_title_is_kept_to_the_letter(title):
    lines = wrapped(title, 3.0).split("\n")
    assert "".join(lines) == title
    assert breadth(lines, 12, "bold") <= 3.0


def test_long_names_widen_a_legend_by_a_few_inches_only():
    assert legend_width([LONG * 3]) < 4.2
    assert legend_width(["lama"], LONG) > legend_width(["lama"])


@pytest.mark.parametrize("name", ["roc_curves", "det_curves", "reliability"])
@pytest.mark.parametrize("train", [LONG, f"lama+{LONG}+telea", POOL])
def test_the_title_of_a_long_training_set_stays_clear_of_the_legend(name, train, monkeypatch):
    curve = BINS if name == "reliability" else (RATES, RATES)
    title = f"Curves, trained on {train} · vit_tiny_patch16_224#pool · crop 224, logistic"
    draw = getattr(figures, name)
    boxes = boxes_of(monkeypatch, lambda: draw({"lama": curve}, title=title, legend_title="tested on"))
    (place,) = [box for text, box in boxes if "".join(text.split()) == "".join(title.split())]
    keys = [box for text, box in boxes if text == "tested on" or text.startswith(("chance", "equal", "perfect"))]
    assert len(keys) == 2
    handles = np.min([box.x0 for box in keys])  # the title of the legend begins where its handles do
    beneath = np.max([box.y1 for box in keys]) < place.y0  # a legend inside the axes
    assert beneath or place.x1 < handles - 5
