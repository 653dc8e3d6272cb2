"""A real browser for the pages, where one is installed."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)

OF_THE_PAGE_OR_THE_BROWSER = ("file://", "data:", "chrome://")
"""The last are of the browser's own first tab, which may still be loading; no page can ask for them."""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Chrome]":
    """Headless Chromium with a fresh profile, recording its console and its network."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver on this machine (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.get("about:blank")  # away from the browser's own first tab, which asks for much
    yield chrome
    chrome.quit()


@pytest.fixture
def show(browser: "Chrome", tmp_path: Path) -> "Iterator[Callable[..., Chrome]]":
    """Opens a page from disk; afterwards there was no console message and no request beyond the file."""

    def opened(html: str, *, dark: bool = False, width: int = 1280, height: int = 900) -> "Chrome":
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        file = tmp_path / "page.html"
        file.write_text(html, encoding="utf-8")
        browser.get_log("performance")
        browser.get_log("browser")
        browser.get(file.as_uri())
        return browser

    yield opened
    assert browser.get_log("browser") == []
    assert [url for url in _requested(browser) if not url.startswith(OF_THE_PAGE_OR_THE_BROWSER)] == []


def _requested(browser: "Chrome") -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert any(url.startswith("file://") for url in sent), "the network was not recorded"
    return sent
