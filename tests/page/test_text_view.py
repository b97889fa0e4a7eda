"""Keyboard navigation in a generated text, and its announcements for screen readers."""

from __future__ import annotations

import re

import pytest
from page_tools import Keys, begins_at_the_right, click, element, fill, needs_browser, screen, text, wait

pytestmark = [needs_browser, pytest.mark.slow]


def chosen(browser) -> dict:
    """Index and place of the chosen character, and `ends`, where its line ends."""
    return browser.execute_script(
        "const all = [...document.querySelectorAll('#text span')];"
        "const k = all.findIndex((one) => one.classList.contains('here'));"
        "const { left, right, top } = all[k].getBoundingClientRect();"
        "const places = all.map((one) => one.getBoundingClientRect());"
        "const lines = [...new Set(places.map((one) => one.top))].sort((a, b) => a - b);"
        "const ends = Math.max(...places.filter((one) => one.top === top).map((one) => one.right));"
        "return { k, left, right, top, ends, lines };"
    )


@pytest.mark.parametrize("width", [360, 1280])
def test_up_and_down_move_by_line(page, width):
    with screen(page, width):
        text = element(page, "text")
        text.send_keys(Keys.ARROW_DOWN)
        assert chosen(page)["k"] == 0
        text.send_keys(Keys.ARROW_RIGHT * 12)
        before = chosen(page)
        lines = before["lines"]
        assert len(lines) > 8
        place = lines.index(before["top"])
        middle = (before["left"] + before["right"]) / 2
        for _ in range(len(lines) - place - 1):
            text.send_keys(Keys.ARROW_DOWN)
            now = chosen(page)
            place += 1
            assert now["lines"].index(now["top"]) == place  # the next line on the screen, also within a long one
            if now["ends"] > middle:
                assert now["left"] <= middle + 1
                assert now["right"] >= middle - 1  # the column holds, after shorter lines too
            else:
                assert now["right"] == now["ends"]
        last = now["k"]
        text.send_keys(Keys.ARROW_DOWN)
        assert chosen(page)["k"] == last
        text.send_keys(Keys.ARROW_UP * len(lines))
        first = chosen(page)
        assert first["lines"].index(first["top"]) == 0
        text.send_keys(Keys.ARROW_RIGHT)
        assert chosen(page)["k"] == first["k"] + 1


def test_keys_of_the_browser_stay_its_own(page):
    """Alt and an arrow key go back to the page before."""
    text = element(page, "text")
    text.send_keys(Keys.ARROW_RIGHT * 2)
    script = (
        "const event = new KeyboardEvent('keydown', { ...arguments[1], cancelable: true });"
        "arguments[0].dispatchEvent(event);"
        "return event.defaultPrevented"
    )
    for modifier in ("altKey", "ctrlKey", "metaKey"):
        assert not page.execute_script(script, text, {"key": "ArrowLeft", modifier: True})
        assert chosen(page)["k"] == 1
    assert page.execute_script(script, text, {"key": "ArrowLeft"})
    assert chosen(page)["k"] == 0


def test_a_line_from_right_to_left(page):
    """It begins at the right, where the arrow keys go as one sees; a line in other letters stays as it is."""
    click(page, "tab-score")
    fill(page, "own", "\u05d0\u05d1.\nab.")
    for name in ("own", "primetext"):
        assert element(page, name).get_attribute("dir") == "auto"
    click(page, "score-button")
    wait(page, lambda: text(page, "scored"))
    assert begins_at_the_right(page, "#scored div")
    assert not begins_at_the_right(page, "#scored div + div")
    scored = element(page, "scored")
    chosen = "return [...document.querySelectorAll('#scored span')].findIndex((one) => one.matches('.here'))"
    for keys, index in [
        (Keys.ARROW_RIGHT, 0),
        (Keys.ARROW_LEFT * 2, 2),
        (Keys.ARROW_RIGHT, 1),
        (Keys.END, 6),
        (Keys.ARROW_LEFT, 5),
    ]:
        scored.send_keys(keys)
        assert page.execute_script(chosen) == index


def announced(browser) -> str:
    return browser.execute_script("return document.getElementById('announced').textContent")


@pytest.mark.parametrize("width", [360, 1280])
def test_a_screen_reader_hears_the_character_and_its_first_alternative(page, width):
    with screen(page, width):
        live = page.execute_script("return [...document.querySelectorAll('[aria-live]')].map((one) => one.id)")
        assert live == ["announced"]
        assert announced(page) == ""
        for _ in range(8):
            element(page, "text").send_keys(Keys.ARROW_RIGHT)
            alternative = page.execute_script(
                "return document.querySelector('#candidates tr:not(.chosen) th').innerText"
            )
            assert re.fullmatch(
                rf".+, [\d.]+ %; alternative {re.escape(alternative)}, [\d.]+ %", announced(page), re.DOTALL
            )
        element(page, "text").send_keys(Keys.ESCAPE)
        assert announced(page) == ""
        click(page, "tab-score")
        fill(page, "own", "The")
        click(page, "score-button")
        wait(page, lambda: "bits per character" in element(page, "score-status").text)
        element(page, "scored").send_keys(Keys.END)
        assert re.fullmatch(r"e: [\d.]+ bits, [\d.]+ %", announced(page))
