"""The map page as text."""

import json
import math

import pytest

from probekit import reports
from probekit.errors import RunError

from . import run_folders
from .page_checks import check


def data_of(html):
    return json.loads(html.split("data-points>")[1].split("</script>")[0])


def test_a_map_page_holds_every_point_and_nothing_from_elsewhere():
    points = run_folders.points(40)
    html = reports.map_page(points, "t-SNE of npr", [run_folders.picture("JPEG")] * 39 + [None])
    check(html)
    data = data_of(html)
    assert [data["prefix"] + path for path in data["paths"]] == list(points["path"])
    assert data["prefix"] == "images/"
    assert data["x"] == pytest.approx(points["x"].to_list(), rel=1e-4)
    colouring = data["colourings"][0]
    assert colouring["classes"][0] == "real"
    assert [colouring["classes"][code] for code in colouring["codes"]] == list(points["generator"])
    assert [entry["name"] for entry in data["colourings"]] == ["generator", "split"]
    assert data["thumbnails"][39] is None
    assert data["thumbnails"][0].startswith("/9j/")


def test_the_caption_stands_under_the_title():
    page = check(reports.map_page(run_folders.points(5), "t-SNE", caption="trustworthiness 0.93 <i>"))
    assert "t-SNE trustworthiness 0.93 <i> 5 images" in " ".join(page.text.split())


def test_paths_that_look_like_markup_stay_text():
    points = run_folders.points(5)
    points.loc[0, "path"] = "</script><script>alert(1)</script>.png"
    html = reports.map_page(points, "<b>title</b>", None)
    page = check(html)
    assert "<b>title</b>" in page.text
    assert data_of(html)["paths"][0] == "</script><script>alert(1)</script>.png"


@pytest.mark.parametrize("n", [0, 1])
def test_maps_of_no_or_one_point_are_pages_too(n):
    assert len(data_of(reports.map_page(run_folders.points(5).head(n), "small"))["paths"]) == n


def test_a_point_without_a_place_is_an_error_that_names_it():
    points = run_folders.points(5)
    points.loc[3, "x"] = math.nan
    with pytest.raises(RunError, match=r"point 3 \(images/.*photo-00003\.png\) has no place"):
        reports.map_page(points, "broken")


def test_a_missing_column_is_named():
    with pytest.raises(RunError, match="no column generator, x"):
        reports.map_page(run_folders.points(5).drop(columns=["x", "generator"]), "broken")
