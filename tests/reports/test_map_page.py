"""The map page as text."""

import json
import math
from base64 import b64decode

import pandas as pd
import pytest

from probekit import figures, reports
from probekit.errors import RunError
from probekit.reports import maps
from probekit.reports.maps import MOST_CLASSES, map_data
from probekit.reports.runs import load, named_apart
from probekit.reports.section import section_for

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
    assert (data["total"], data["muted"]) == (40, 0)
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


def test_the_chosen_column_comes_first_and_of_many_texts_the_rarest_are_one():
    points = run_folders.points(400).assign(camera=[f"camera {i}" for i in [*range(100)] * 3 + [*range(10)] * 10])
    data = map_data(points, colour="camera")
    camera = data["colourings"][0]
    assert [entry["name"] for entry in data["colourings"]] == ["camera", "generator", "split"]
    assert len(camera["classes"]) == MOST_CLASSES
    assert camera["classes"][-1] == f"{100 - MOST_CLASSES + 1} other classes"
    assert {f"camera {i}" for i in range(10)} < set(camera["classes"])
    assert [camera["classes"][code] for code in camera["codes"][:3]] == ["camera 0", "camera 1", "camera 2"]
    assert camera["rest"]
    assert "camera" not in [entry["name"] for entry in map_data(points)["colourings"]]


def test_many_different_numbers_are_a_scale_and_few_are_classes():
    points = run_folders.points(40).assign(quality=[None, *range(39)], steps=[1, 2, 3, 4] * 10, none="")
    found = {entry["name"]: entry for entry in map_data(points)["colourings"]}
    assert found["quality"]["values"][:3] == [None, 0, 1]
    assert found["steps"]["classes"] == ["1", "2", "3", "4"]
    assert "none" not in found


def test_figures_and_pages_take_the_same_columns_for_classes():
    points = run_folders.points(40).assign(
        quality=[None, *range(39)], twelve=[i % 12 for i in range(40)], camera=["", None, *["a", "b"] * 19]
    )
    found = {entry["name"]: entry for entry in map_data(points)["colourings"]}
    assert [figures.is_scale(points[name]) for name in ("quality", "twelve", "camera")] == [True, False, False]
    assert ["values" in found[name] for name in ("quality", "twelve", "camera")] == [True, False, False]
    camera = found["camera"]
    assert [camera["classes"][code] for code in camera["codes"]] == list(figures.classes_of(points["camera"]))
    assert list(figures.classes_of(points["camera"])[:4]) == ["–", "–", "a", "b"]


def test_a_sample_of_the_points_keeps_its_own_thumbnails_and_says_how_many_there_are(monkeypatch):
    monkeypatch.setattr(maps, "MOST_POINTS", 30)
    points = run_folders.points(100).assign(placed=[i % 2 == 0 for i in range(100)])
    data = map_data(points, [str(i).encode() for i in range(100)], seed=4)
    assert data["total"] == 100
    assert len(data["paths"]) == len(data["thumbnails"]) == 30
    for path, thumbnail in zip(data["paths"], data["thumbnails"], strict=True):
        assert path.endswith(f"{int(b64decode(thumbnail)):05d}.png")
    numbers = [int(b64decode(thumbnail)) for thumbnail in data["thumbnails"]]
    assert [number % 2 for number in numbers] == [1] * data["muted"] + [0] * (30 - data["muted"])
    assert map_data(points, seed=4) | {"thumbnails": data["thumbnails"]} == data
    assert map_data(points, seed=5)["paths"] != data["paths"]


def test_the_same_points_give_the_same_bytes():
    page = reports.map_page(run_folders.points(40), "t-SNE", [run_folders.picture("JPEG")] * 40)
    assert page == reports.map_page(run_folders.points(40), "t-SNE", [run_folders.picture("JPEG")] * 40)


def test_a_report_says_what_was_placed_and_how_well_the_attribution_probe_does(tmp_path):
    placed = {**run_folders.SUBJECT, "n_placed": 9, "n_old": 1036, "purity_map": 0.5, "purity_chance": 0.25}
    accuracy = {"balanced_acc": 0.83, "evaluation": "5-fold out of fold by group"}
    mapped = {**run_folders.SUBJECT, "trustworthiness": 0.96, "purity_map": 0.61, "accuracy": accuracy}
    table = run_folders.points(20).assign(placed=[False] * 11 + [True] * 9)
    runs = [
        run_folders.write_run(tmp_path, "map", {"runs": [part]}, tables={"map": table}) for part in (placed, mapped)
    ]
    page = check(reports.build(runs))
    words = " ".join(page.text.split())
    assert "9 images placed among 1,036; of their nearest, 0.500 are of their generator (chance 0.250)." in words
    assert "k-NN purity 0.610; attribution probe 0.830 (5-fold out of fold by group)." in words
    assert "the earlier map’s 11 images, pale" in words


def test_two_views_and_two_precisions_of_one_model_are_maps_of_their_own(tmp_path):
    kinds = [
        {**run_folders.SUBJECT, "view": view, "precision": precision}
        for view, precision in (("native", "float32"), ("center224", "float32"), ("native", "float16"))
    ]
    table = pd.concat([run_folders.points(10 * n).assign(**kind) for n, kind in enumerate(kinds, start=1)])
    parts = [{**kind, "trustworthiness": 0.9, "purity_map": 0.5} for kind in kinds]
    path = run_folders.write_run(tmp_path, "map", {"runs": parts}, tables={"map": table})
    (run,) = named_apart([load(path)])
    found = section_for("map").context(run)["maps"]
    assert [(name, data["total"]) for name, data in found] == [
        ("npr+srm#blocks · native · float32", 10),
        ("npr+srm#blocks · center224 · float32", 20),
        ("npr+srm#blocks · native · float16", 30),
    ]
