"""The report for readers without a mouse, without sight, on a phone, and on paper; in headless Chromium."""

from itertools import pairwise

import pytest

from probekit import reports

from . import run_folders

TAB, RIGHT = "\ue004", "\ue014"
HOSTILE = "</script><img src=x onerror=alert(1)>"

UNNAMED = """
const words = (id) => document.getElementById(id)?.textContent.trim();
const named = (e) => e.ariaLabel || e.alt || e.textContent.trim() || e.closest('label')?.textContent.trim()
  || words(e.getAttribute('aria-labelledby'));
const controls = document.querySelectorAll(
  'a, button, input, select, summary, canvas, img, table, fieldset, nav, [role=region], [role=group], [role=grid]');
return [...controls].filter((e) => !named(e)).map((e) => e.outerHTML.slice(0, 200));"""

LEVELS = "return [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((h) => Number(h.tagName[1]))"

# Every text against what lies behind it, by the formula of WCAG 2.2 (1.4.3); large text needs 3 and not 4.5.
FAINT = """
const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
const context = canvas.getContext('2d', { willReadFrequently: true });
const rgba = (colour) => {
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = rgba(getComputedStyle(e).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.data.trim() || !element.checkVisibility() || element.closest('script, style')) continue;
  const style = getComputedStyle(element);
  const [a, b] = [luminance(rgba(style.color)), luminance(behind(element))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const told = `${element.tagName}.${element.className} ${node.data.trim()}`;
  if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${told}`);
}
return [...new Set(found)];"""

WIDE_ON_PAPER = """
const cut = (table) => table.checkVisibility() && table.getBoundingClientRect().right > innerWidth + 1;
return [...document.querySelectorAll('.scroll > table')].filter(cut).map((table) => table.textContent.slice(0, 80));"""

FOCUSED = """
const e = document.activeElement, style = getComputedStyle(e);
return [e.tagName, e.outerHTML.slice(0, 120), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
  || [...e.parentElement.children].some((s) => getComputedStyle(s).outlineStyle !== 'none')];"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return reports.build(run_folders.every_question(tmp_path_factory.mktemp("runs"), HOSTILE), "Everything")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return reports.build(run_folders.demo(tmp_path_factory.mktemp("runs")), "Demo")


def find(page, css):
    return page.find_element("css selector", css)


def opened(page):
    page.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    return page


def in_view(page, element):
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    return element


def test_hostile_names_stay_text_in_every_section(show, report):
    page = opened(show(report))
    assert page.find_elements("css selector", "img[src='x']") == []
    for part in page.find_elements("css selector", "main > section[id^=run-]"):
        assert HOSTILE in part.get_attribute("textContent"), part.get_attribute("id")
    assert page.execute_script("return document.querySelectorAll('script:not([type])').length") == 1


def test_everything_that_can_be_used_or_seen_has_a_name(show, report):
    assert opened(show(report)).execute_script(UNNAMED) == []


def test_headings_go_down_one_level_at_a_time(show, report):
    levels = opened(show(report)).execute_script(LEVELS)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_there_are_landmarks_and_a_way_past_the_contents(show, plain):
    page = show(plain)
    for landmark in ("header", "nav[aria-label]", "main", "footer"):
        assert len(page.find_elements("css selector", f"body {landmark}")) == 1
    find(page, "body").send_keys(TAB)
    skip = page.switch_to.active_element
    assert skip.text == "Skip to the report"
    skip.send_keys("\ue007")
    assert page.switch_to.active_element.get_attribute("id") == "main"


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_stands_out_from_its_ground(show, report, dark):
    assert opened(show(report, dark=dark)).execute_script(FAINT) == []


def test_every_tab_stop_of_the_keyboard_is_seen(show, plain):
    page = show(plain)
    find(page, "body").send_keys(TAB)
    stops = []
    for _ in range(40):
        tag, html, seen = page.execute_script(FOCUSED)
        if tag == "BODY":
            break
        stop = page.switch_to.active_element
        stops.append(stop.id)
        assert seen, html
        stop.send_keys(TAB)
    assert len(stops) == len(set(stops)) > 20, "a stop was met twice"


def test_pointer_keyboard_and_touch_tell_the_same_of_a_cell(show, plain):
    from selenium.webdriver import ActionChains

    page = show(plain)
    cell, details = find(page, "#run-2 td[data-row='0'][data-column='1']"), find(page, "#run-2 [data-details]")
    ActionChains(page).move_to_element(in_view(page, cell)).perform()
    by_pointer = details.text
    assert "Trained on telea, tested on navier-stokes" in by_pointer
    assert f"AUC\n{cell.text}\nTest images\n48" in by_pointer
    assert "Selection: C\n0.1\nSelection: By\nlog-loss over 5 folds" in by_pointer
    ActionChains(page).move_to_element(find(page, "#run-2 td[data-row='3'][data-column='3']")).perform()
    assert details.text != by_pointer
    first = find(page, "#run-2 td[tabindex='0']")
    page.execute_script("arguments[0].focus()", first)
    first.send_keys(RIGHT)
    assert details.text == by_pointer
    page = show(plain)
    cell = in_view(page, find(page, "#run-2 td[data-row='0'][data-column='1']"))
    x, y = page.execute_script("const r = arguments[0].getBoundingClientRect(); return [r.x + 9, r.y + 9]", cell)
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.execute_async_script("setTimeout(arguments[0], 400)")
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert find(page, "#run-2 [data-details]").text == by_pointer


def test_switching_the_metric_keeps_the_place_and_the_cell_that_is_told(show, plain):
    page = show(plain, height=600)
    cell = in_view(page, find(page, "#run-2 td[data-row='0'][data-column='1']"))
    page.execute_script("arguments[0].focus()", cell)
    before = page.execute_script("return scrollY")
    find(page, "#run-2 input[value='eer'] + span").click()  # the switch stays in view
    assert page.execute_script("return scrollY") == before
    told = find(page, "#run-2 [data-details]").text
    assert "Trained on telea, tested on navier-stokes" in told
    assert f"EER\n{run_folders.pairs()[1]['eer']:.3f}" in told


def test_home_and_end_lead_to_the_ends_of_a_row(show, plain):
    page = show(plain)
    cell = find(page, "#run-2 td[tabindex='0']")
    page.execute_script("arguments[0].focus()", cell)
    cell.send_keys("\ue010")  # end
    last = page.switch_to.active_element
    assert (last.get_attribute("data-row"), last.get_attribute("data-column")) == ("0", "3")
    last.send_keys("\ue011")  # home
    assert page.switch_to.active_element == cell


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_only_boxes_scroll_sideways(show, report, width):
    page = opened(show(report, width=width, height=844))
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_no_table_is_cut_on_paper(show, report):
    page = show(report, width=1280)
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    paper = {"width": 703, "height": 995, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", paper)
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")  # it is laid out
    wide = page.execute_script(WIDE_ON_PAPER)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert wide == []


def test_the_page_opens_within_two_seconds(show, report):
    page = show(report)
    opening = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    wait = "const end = arguments[0], look = () => {open} ? end({open}) : setTimeout(look, 10); look()"
    took = page.execute_async_script(wait.replace("{open}", opening))  # the load event may still be under way
    assert 0 < took < 2000
