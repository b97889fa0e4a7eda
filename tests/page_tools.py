"""A browser for tests of the page: headless Chromium, where it and its driver are installed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402, F401
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402, F401

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

_MISSING = "" if CHROMIUM and DRIVER else "chromium and chromedriver are not installed"

# For a test whose other fixtures should not be made in vain: that of the browser skips, too.
needs_browser = pytest.mark.skipif(bool(_MISSING), reason=_MISSING)


def skip_without_browser() -> None:
    if _MISSING:
        pytest.skip(_MISSING)


_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1200,900",
]


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[webdriver.Chrome]:
    """A browser that keeps its things in a folder; each test opens its pages with `visit`."""
    options = Options()
    options.binary_location = CHROMIUM
    downloads = folder / "downloads"
    for flag in [*_FLAGS, f"--user-data-dir={folder / 'profile'}"]:
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(DRIVER))
    running.downloads = downloads
    running.set_script_timeout(300)
    running.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    try:
        yield running
    finally:
        running.quit()


# One script, since each of selenium's questions about an element takes as long as all of it.
_IS_OPEN = """
const status = document.getElementById("status").textContent.trim();
const isIdle = document.getElementById("generate").disabled || !arguments[0].includes(status);
return document.querySelectorAll("#model option").length > 0 && isIdle;
"""


def visit(browser, address: str) -> None:
    """Load an address anew, its fragment included; wait for the text with which it opens, if it has a model."""
    browser.get("about:blank")
    browser.get(address)
    wait(browser, lambda: browser.execute_script(_IS_OPEN, ["", "generating\u2026"]))


def wait(browser, holds, seconds: float = 300):
    """The value of holds(), once that is true."""
    return WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda _: holds())


def element(browser, name: str):
    return browser.find_element(By.ID, name)


def click(browser, name: str) -> None:
    element(browser, name).click()


def text(browser, name: str = "text") -> str:
    """All of a text, including the part that is scrolled out of sight."""
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", name)


def spans(browser, selector: str = "#text span") -> list:
    return browser.find_elements(By.CSS_SELECTOR, selector)


def status(browser) -> str:
    return text(browser, "status").strip()


def fill(browser, name: str, value) -> None:
    """Set a control and leave it, as a person would."""
    browser.execute_script(
        "const box = document.getElementById(arguments[0]); box.value = arguments[1];"
        "for (const kind of ['input', 'change']) box.dispatchEvent(new Event(kind, {bubbles: true}))",
        name,
        str(value),
    )


def generated(browser, count: int | None = None) -> str:
    """The text, once the page shows that it is complete."""
    wait(browser, lambda: status(browser) == f"{count} characters" if count else status(browser).endswith("characters"))
    return text(browser)


def saved(browser, path: Path) -> str:
    """The address of the page as the browser saves it: with what its scripts have made."""
    content = browser.execute_script("return document.documentElement.outerHTML")
    path.write_text(f"<!DOCTYPE html>\n{content}", encoding="utf-8")
    return path.as_uri()


_DISTANCE = """
const node = document.querySelector(arguments[0]);
let first = node;
while (first.firstChild) first = first.firstChild;
const range = document.createRange();
range.setStart(first, 0);
range.setEnd(first, 1);
return node.getBoundingClientRect().right - range.getBoundingClientRect().right;
"""


def begins_at_the_right(browser, selector: str) -> bool:
    """Whether the line in an element is one from right to left."""
    return browser.execute_script(_DISTANCE, selector) < 20


@contextlib.contextmanager
def screen(browser, width: int, height: int = 740, scheme: str = "light") -> Iterator[None]:
    """Another size of the screen; a narrow one is a phone's."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
