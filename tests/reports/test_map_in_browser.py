"""The interactive map as a person meets it, in headless Chromium: colours, scales, keys, samples, background."""

import numpy as np
import pytest

from probekit import reports
from probekit.reports.maps import MOST_POINTS

from . import run_folders
from .test_in_browser import COLOURED, find, settle

SCRIPT = "<script>document.title = 'owned'</script>"
DOWN, RIGHT, ENTER, SHIFT = "\ue015", "\ue014", "\ue007", "\ue008"


@pytest.fixture(scope="module")
def points():
    table = run_folders.points(300)
    random = np.random.default_rng(1)
    table["quality"] = np.where(np.arange(300) < 5, np.nan, random.normal(size=300))
    table["outcome"] = random.choice(["right", "missed", "false alarm"], 300)
    table.loc[7, ["path", "generator"]] = [f"images/{SCRIPT}.png", f"lama{SCRIPT}"]
    return table


@pytest.fixture(scope="module")
def html(points):
    thumbnails = [run_folders.picture("JPEG", colour=(i % 256, 80, 120)) for i in range(len(points))]
    return reports.map_page(points, "Map", thumbnails, "trustworthiness 0.93\nattribution probe 0.83")


def colour_by(page, name):
    from selenium.webdriver.support.ui import Select

    Select(find(page, "[data-colour]")).select_by_visible_text(name)
    settle(page)


def classes(page):
    return [box.get_attribute("value") for box in page.find_elements("css selector", "[data-classes] input")]


def test_a_file_and_a_generator_that_look_like_a_script_stay_text(show, html):
    page = show(html)
    settle(page)
    assert page.title == "Map"
    assert f"lama{SCRIPT}" in classes(page)
    find(page, "[data-search]").send_keys("owned", ENTER)
    settle(page)
    assert f"images/{SCRIPT}.png" in find(page, "[data-card]").text
    assert page.title == "Map"


def test_searching_finds_generators_too_and_every_caption_line_stands(show, html, points):
    page = show(html)
    find(page, "[data-search]").send_keys("Navier")
    n = int((points["generator"] == "navier-stokes").sum())
    assert find(page, "[data-found]").text.startswith(f"{n} of 300 match")
    lines = [line.text for line in page.find_elements("css selector", ".meta")]
    assert lines[:2] == ["trustworthiness 0.93", "attribution probe 0.83"]


def test_a_column_of_numbers_is_a_scale_with_a_bar(show, html):
    page = show(html)
    settle(page)
    colour_by(page, "quality")
    bar = find(page, ".map-bar")
    assert "5 without a value" in bar.text
    assert classes(page) == []
    assert not find(page, "[data-all]").is_displayed()
    assert page.execute_script(COLOURED) > 1000
    colour_by(page, "generator")
    assert len(classes(page)) == 6


def test_mistakes_of_a_probe_have_colours_of_their_own(show, html):
    page = show(html)
    colour_by(page, "outcome")
    assert classes(page) == ["false alarm", "missed", "right"]
    middle = """return [...document.querySelectorAll('[data-classes] canvas')].map((c) =>
        [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data].slice(0, 3).join())"""
    assert page.execute_script(middle) == ["0,114,178", "213,94,0", "169,173,181"]


def test_all_classes_are_switched_off_and_on_again(show, html):
    page = show(html)
    settle(page)
    full = page.execute_script(COLOURED)
    find(page, "[data-show='none']").click()
    settle(page)
    assert page.execute_script(COLOURED) == 0
    assert find(page, "[data-found]").text == "0 of 300 shown"
    find(page, "[data-show='all']").click()
    settle(page)
    assert page.execute_script(COLOURED) == full


def test_keys_walk_from_point_to_point_and_show_their_thumbnails(show, html):
    from selenium.webdriver import ActionChains

    page = show(html)
    canvas = find(page, ".map-stage canvas")
    canvas.send_keys(ENTER)
    settle(page)
    card = find(page, "[data-card]")
    first = card.text
    assert card.find_element("css selector", "img").get_attribute("src").startswith("data:image/jpeg;base64,")
    ActionChains(page).key_down(SHIFT).send_keys(RIGHT).key_up(SHIFT).perform()
    settle(page)
    assert card.text != first
    said = find(page, "[data-found]").text
    assert said.startswith("images/")
    assert said.split(" (")[0] in card.text
    canvas.send_keys("\ue00c")
    assert not card.is_displayed()


def test_the_samples_of_an_earlier_map_are_background_and_can_be_put_away(show):
    table = run_folders.points(300)
    table["placed"] = np.arange(300) >= 250
    page = show(reports.map_page(table, "Placed"))
    settle(page)
    both = page.execute_script(COLOURED)
    counts = table[250:]["generator"].value_counts()
    label = find(page, "label:has(input[value='telea'])")
    assert label.text.split() == ["telea", str(counts["telea"])]
    find(page, "[data-earlier]").click()
    settle(page)
    assert page.execute_script(COLOURED) < both
    assert find(page, "[data-found]").text == "50 of 300 shown"


def test_of_too_many_points_a_sample_is_shown_and_the_page_says_so(show):
    page = show(reports.map_page(run_folders.points(MOST_POINTS + 10_000), "Large"))
    settle(page)
    assert "60,000 points, 50,000 shown: a seeded sample" in find(page, ".map-side").text
    assert "without thumbnails" in find(page, "header").text
    assert page.execute_script(COLOURED) > 10_000


@pytest.mark.parametrize("width", [320, 390])
def test_the_map_fits_a_phone_in_light_and_dark(show, html, width):
    page = show(html, width=width, height=844, dark=width == 390)
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert find(page, ".map-stage").size["width"] > width * 0.8
