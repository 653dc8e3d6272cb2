"""The pages as a person meets them, in headless Chromium."""

import re

import pytest

from probekit import reports

from . import run_folders

BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
FITS = "return document.documentElement.scrollWidth <= window.innerWidth"
PIXELS = """
const shown = document.querySelector('.map-stage canvas');
const copy = Object.assign(document.createElement('canvas'), { width: shown.width, height: shown.height });
const context = copy.getContext('2d', { willReadFrequently: true });
context.drawImage(shown, 0, 0);
const alpha = context.getImageData(0, 0, copy.width, copy.height).data.filter((_, i) => i % 4 === 3);
"""
COLOURED = PIXELS + "return alpha.filter((a) => a > 0).length"
BRIGHT_POINT = (
    PIXELS
    + """
let x = 0, y = 0, n = 0;
alpha.forEach((a, i) => { if (a > 150) { n++; x += i % copy.width; y += Math.floor(i / copy.width); } });
return [x / n - shown.clientWidth / 2, y / n - shown.clientHeight / 2];"""
)
UNNAMED = """
const named = (e) => e.ariaLabel || e.alt || e.textContent.trim() || e.closest('label')?.textContent.trim();
const controls = document.querySelectorAll('button, input, select, canvas[role], img, [role=region]');
return [...controls].filter((e) => !named(e)).map((e) => e.outerHTML);"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return reports.build(run_folders.demo(tmp_path_factory.mktemp("runs"), nasty="<img src=x>"), "Demo")


@pytest.fixture(scope="module")
def map_html():
    thumbnails = [run_folders.picture("JPEG", colour=(i % 256, 80, 120)) for i in range(300)]
    return reports.map_page(run_folders.points(300), "Map", thumbnails)


def find(page, css):
    return page.find_element("css selector", css)


def brightness(page, script=BACKGROUND):
    channels = re.findall(r"\d+", page.execute_script(script))[:3]
    return sum(int(channel) for channel in channels) / 3


def settle(page):
    page.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")


def test_the_metric_switch_changes_the_numbers_of_the_matrix(show, report):
    page = show(report)
    first = run_folders.pairs()[0]
    cell = find(page, "td[data-row='0'][data-column='0']")
    assert cell.text == f"{first['auc']:.3f}"
    find(page, "input[value='eer'] + span").click()
    assert cell.text == f"{first['eer']:.3f}"
    assert find(page, "[data-layer]").text == "EER"
    find(page, "input[value='auc'] + span").click()
    assert cell.text == f"{first['auc']:.3f}"


def test_hovering_a_cell_shows_its_counts_interval_and_selection(show, report):
    from selenium.webdriver import ActionChains

    page = show(report)
    cell = find(page, "td[data-row='1'][data-column='2']")
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", cell)
    ActionChains(page).move_to_element(cell).perform()
    details = find(page, "[data-details]").text
    assert "Trained on navier-stokes, tested on biharmonic" in details
    for words in ("Training images\n192", "Test images\n48", "95 % interval", "Selection: C\n0.1"):
        assert words in details


def test_a_matrix_is_one_tab_stop_and_arrow_keys_move_inside_it(show, report):
    page = show(report)
    assert len(page.find_elements("css selector", "#run-2 td[tabindex='0']")) == 1
    cell = find(page, "#run-2 td[tabindex='0']")
    page.execute_script("arguments[0].focus()", cell)
    cell.send_keys("\ue014")  # right
    page.switch_to.active_element.send_keys("\ue015")  # down
    focused = page.switch_to.active_element
    assert (focused.get_attribute("data-row"), focused.get_attribute("data-column")) == ("1", "1")
    assert "Trained on navier-stokes, tested on navier-stokes" in find(page, "[data-details]").text
    assert len(page.find_elements("css selector", "#run-2 td[tabindex='0']")) == 1


def test_dark_follows_the_system_and_the_button_turns_it(show, report):
    page = show(report, dark=True)
    assert brightness(page) < 60
    ink = "return getComputedStyle(document.body).color"
    assert brightness(page, ink) > 180
    find(page, "[data-theme-toggle]").click()
    assert brightness(page) > 200
    page = show(report)
    assert brightness(page) > 200


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_nothing_sticks_out_of_the_window(show, report, width):
    assert show(report, width=width, height=844).execute_script(FITS)


def test_names_that_look_like_markup_make_no_element(show, report):
    page = show(report)
    assert page.find_elements("css selector", "img[src='x']") == []
    assert "telea<img src=x>" in find(page, "#run-2").text


def test_every_control_and_picture_has_a_name(show, report):
    page = show(report)
    unnamed = page.execute_script(UNNAMED)
    assert unnamed == []


def test_the_copy_button_offers_the_commands(show, report):
    page = show(report)
    button = find(page, "#provenance [data-copy]")
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()
    settle(page)
    assert button.text in {"Copied", "Press Ctrl+C"}


def test_a_table_can_be_copied_for_a_paper(show, report):
    page = show(report)
    fold = next(each for each in page.find_elements("css selector", "details") if "Tables to paste" in each.text)
    page.execute_script("arguments[0].open = true; arguments[0].scrollIntoView({behavior: 'instant'})", fold)
    settle(page)
    texts = {}
    for button in fold.find_elements("css selector", "[data-copy]")[:2]:
        code = button.find_element("xpath", "preceding-sibling::code")
        assert not code.is_displayed()
        texts[button.text.split(":")[0]] = code.get_attribute("textContent")
        button.click()
        settle(page)
        assert button.text.split(": ")[1] in {"Copied", "Press Ctrl+C"}
    assert texts["Markdown"].lstrip().startswith(("|", "**", "*"))
    assert "\\toprule" in texts["LaTeX"]


def test_details_open_for_print_but_for_raw_tables_and_close_again(show, report):
    page = show(report)
    closed = "return document.querySelectorAll('details:not([open])').length"
    before, raw = page.execute_script(closed), len(page.find_elements("css selector", "details.raw"))
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert page.execute_script(closed) == raw < before
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert page.execute_script(closed) == before


def test_a_class_of_the_map_can_be_switched_off(show, map_html):
    page = show(map_html)
    settle(page)
    coloured = page.execute_script(COLOURED)
    assert coloured > 1000
    counts = run_folders.points(300)["generator"].value_counts()
    label = find(page, "label:has(input[value='telea'])")
    assert label.text.split() == ["telea", str(counts["telea"])]
    label.click()
    settle(page)
    assert page.execute_script(COLOURED) < coloured
    assert find(page, "[data-found]").text == f"{300 - counts['telea']} of 300 shown"


def test_searching_the_map_counts_matches_and_enter_shows_one(show, map_html):
    page = show(map_html)
    field = find(page, "[data-search]")
    field.send_keys("PHOTO-0007")
    assert find(page, "[data-found]").text.startswith("10 of 300 match")
    field.send_keys("\ue007")  # enter
    settle(page)
    card = find(page, "[data-card]")
    assert "photo-00070.png" in card.text
    assert card.find_element("css selector", "img").get_attribute("src").startswith("data:image/jpeg;base64,")
    assert find(page, "[data-found]").text.startswith("1 of 10: images/")


def test_hovering_a_point_shows_its_thumbnail_generator_and_path(show, map_html):
    from selenium.webdriver import ActionChains

    page = show(map_html)
    field = find(page, "[data-search]")
    field.send_keys("photo-00042", "\ue007")  # its card says where the point is
    settle(page)
    assert "photo-00042" in find(page, "[data-card]").text
    find(page, ".map-stage canvas").send_keys("\ue00c")  # escape lets go
    settle(page)
    assert not find(page, "[data-card]").is_displayed()
    canvas = find(page, ".map-stage canvas")
    x, y = page.execute_script(BRIGHT_POINT)
    ActionChains(page).move_to_element_with_offset(canvas, round(x), round(y)).perform()
    settle(page)
    card = find(page, "[data-card]")
    assert "photo-00042.png" in card.text
    assert run_folders.points(300)["generator"][42] in card.text


def test_the_map_zooms_with_wheel_and_keys_and_returns(show, map_html):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    page = show(map_html)
    canvas = find(page, ".map-stage canvas")
    settle(page)
    fit = page.execute_script(COLOURED)
    ActionChains(page).scroll_from_origin(ScrollOrigin.from_element(canvas, 150, 90), 0, -1500).perform()
    settle(page)
    assert page.execute_script(COLOURED) != fit
    canvas.send_keys("0")
    settle(page)
    assert page.execute_script(COLOURED) == fit


def test_the_map_inside_the_report_lets_the_page_scroll(show, report):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    page = show(report)
    canvas = find(page, ".map-stage canvas")
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    before = page.execute_script("return scrollY")
    ActionChains(page).scroll_from_origin(ScrollOrigin.from_element(canvas), 0, 200).perform()
    page.execute_async_script("setTimeout(arguments[0], 300)")
    assert page.execute_script("return scrollY") > before


def test_moving_ten_thousand_points_keeps_ten_frames_a_second(show):
    page = show(reports.map_page(run_folders.points(10_000), "Large"))
    canvas = find(page, ".map-stage canvas")
    took = page.execute_async_script(
        """
        const [canvas, done] = arguments, times = [];
        const key = () => canvas.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft' }));
        let last = null;
        requestAnimationFrame(function next(now) {
          if (last !== null) times.push(now - last);
          last = now;
          if (times.length === 20) done(times.sort((a, b) => a - b)[10]);
          else { key(); requestAnimationFrame(next); }
        });""",
        canvas,
    )
    assert took < 100
