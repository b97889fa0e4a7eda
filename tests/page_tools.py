"""The browser of the tests of the page, where it and its driver are installed: see browsers.py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import BROWSER, webdriver
from click.testing import CliRunner
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: F401

from pycharrnn.cli.commands import cli

# For a test whose other fixtures should not be made in vain: that of the browser skips, too.
needs_browser = pytest.mark.skipif(bool(BROWSER.missing), reason=BROWSER.missing)


def skip_without_browser() -> None:
    if BROWSER.missing:
        pytest.skip(BROWSER.missing)


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[webdriver.Remote]:
    """A browser that keeps its things in a folder; each test opens its pages with `visit`."""
    downloads = folder / "downloads"
    downloads.mkdir()
    running = BROWSER.start(folder, downloads)
    running.downloads = downloads
    running.set_script_timeout(300)
    try:
        yield running
    finally:
        running.quit()


def logged(browser) -> list[str]:
    """What went wrong on the page, as the browser logs it, since the last call."""
    return BROWSER.logged(browser)


def copied(browser) -> str:
    """The text on the clipboard, which not every browser gives to a script: it is pasted."""
    browser.execute_script(
        "window.left = document.activeElement; document.body.append(document.createElement('textarea'))"
    )
    area = browser.find_elements(By.TAG_NAME, "textarea")[-1]
    area.send_keys(Keys.CONTROL + "v")
    pasted = area.get_property("value")
    browser.execute_script("arguments[0].remove(); left.focus()", area)
    return pasted


def convert(*args: object) -> None:
    """Write a page by `pycharrnn convert` with these arguments."""
    result = CliRunner().invoke(cli, ["convert", *map(str, args)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


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
    BROWSER.listen(browser)
    wait(browser, lambda: browser.execute_script(_IS_OPEN, ["", "generating\u2026"]))


def wait(browser, holds, seconds: float = 300):
    """The value of holds(), once that is true."""
    return WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda _: holds())


def downloaded(browser, pattern: str) -> Path:
    """The file of a download; browsers first make an empty one of its name."""
    return wait(browser, lambda: next((path for path in browser.downloads.glob(pattern) if path.stat().st_size), None))


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
    with media(browser, color_scheme=scheme), BROWSER.screen(browser, width, height):
        yield


def media(browser, medium: str = "", **features: str) -> contextlib.AbstractContextManager[None]:
    """Another medium, such as print, or features that a user prefers, such as reduced_motion."""
    return BROWSER.media(browser, medium, {name.replace("_", "-"): value for name, value in features.items()})


def network(browser, **limits) -> contextlib.AbstractContextManager[None]:
    """A network that is `offline`, or of a `throughput` in bytes a second."""
    return BROWSER.network(browser, **limits)
