"""What the page says when something is wrong, and when it stops saying so."""

from __future__ import annotations

import pytest
from browsers import BROWSER
from page_tools import (
    By,
    Keys,
    Select,
    click,
    element,
    fill,
    generated,
    logged,
    needs_browser,
    status,
    text,
    visit,
    wait,
)
from serving_tools import LSTM, server

pytestmark = [needs_browser, pytest.mark.slow]


def forget_refusals(browser, *statuses: int) -> None:
    """A browser may log every refusal; that all of these were expected."""
    messages = logged(browser)
    assert messages or not BROWSER.logs_refusals
    assert all(any(f" {status} " in message for status in statuses) for message in messages), messages


def problem(browser, name: str) -> str:
    """What stands beside a control, which a screen reader hears with it."""
    described = element(browser, name).get_attribute("aria-describedby")
    return element(browser, described).text if described else ""


def test_what_the_model_has_never_seen(page):
    fill(page, "length", 40)
    first = generated(page, 40)
    fill(page, "primetext", "\u00fc")
    wait(page, lambda: "problem" in element(page, "status").get_attribute("class"))
    assert status(page) == "Prompt has the character '\u00fc', which the model has never seen: leave it out."
    assert text(page) == first
    opacity = "return getComputedStyle(document.getElementById('text')).opacity"
    assert page.execute_script(opacity) == "0.35"
    element(page, "primetext").send_keys(Keys.BACKSPACE)
    assert status(page) == ""
    assert page.execute_script(opacity) == "1"
    assert "problem" not in element(page, "status").get_attribute("class")
    forget_refusals(page, 422)


def test_a_control_says_what_is_wrong_until_it_is_mended(page):
    fill(page, "length", 30)
    first = generated(page)
    for name, wrong, words, right in [
        ("primetext", "x" * 2001, "Prompt: at most 2000 characters", "x" * 2000),
        ("topk", "-1", "Top-k: a number from 0 to 1000", "1000"),
        ("topp", "3", "Top-p: a number from 0.01 to 1", "0.5"),
        ("topp", "", "Top-p: a number from 0.01 to 1", "0.555"),
        ("topp", "0.5x", "Top-p: a number from 0.01 to 1", "0,55"),
        ("seed", "1.5", "Seed: a whole number", "1"),
        ("seed", "", "Seed: a number from 0 to 4294967295", "4294967295"),
        ("length", "10001", "Length: a number from 1 to 10000", "50"),
    ]:
        fill(page, name, wrong)
        assert problem(page, name) == words
        assert element(page, name).get_attribute("aria-invalid") == "true"
        click(page, "generate")
        assert page.switch_to.active_element.get_attribute("id") == name
        assert text(page) == first
        box = element(page, name)
        page.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
            box,
            right,
        )
        assert problem(page, name) == ""
        assert not page.find_elements(By.CSS_SELECTOR, ".problem:not(:empty), [aria-invalid]")


def test_emoji_are_one_character_each(page):
    fill(page, "primetext", "\U0001f600" * 2000)
    click(page, "generate")
    wait(page, lambda: status(page).startswith("Prompt has the character '\U0001f600'"))  # so the request was sent
    assert problem(page, "primetext") == ""
    fill(page, "primetext", "\U0001f600" * 2001)
    click(page, "generate")
    assert problem(page, "primetext") == "Prompt: at most 2000 characters"
    forget_refusals(page, 422)


def test_emoji_of_a_text_to_score_are_one_character_each(page):
    click(page, "tab-score")
    fill(page, "own", "\U0001f600" * 20_000)
    click(page, "score-button")
    wait(
        page, lambda: element(page, "score-status").text.endswith("left out 60000 bytes that the model has never seen")
    )
    assert problem(page, "own") == ""
    assert len(text(page, "scored")) == 20_000


def test_a_stream_that_ends_without_its_last_line(page):
    """The server is killed, or a proxy closes the connection."""
    page.execute_script(
        "const fetch = window.fetch;"
        "window.fetch = async (path, options) => {"
        "  const response = await fetch(path, options);"
        "  if (path !== 'api/sample') return response;"
        "  const lines = (await response.text()).split('\\n');"
        "  return new Response(lines.slice(0, -2).join('\\n') + '\\n');"
        "};"
    )
    fill(page, "length", 40)
    wait(page, lambda: status(page) == "The connection was lost.")
    assert len(text(page)) == 40
    assert "problem" in element(page, "status").get_attribute("class")


def test_a_score_of_which_the_end_is_missing(page):
    page.execute_script(
        "const fetch = window.fetch;"
        "window.fetch = async (path, options) => {"
        "  const response = await fetch(path, options);"
        "  return path === 'api/score' ? new Response((await response.text()).slice(0, -1)) : response;"
        "};"
    )
    generated(page)
    click(page, "tab-score")
    element(page, "own").send_keys("The night", Keys.CONTROL, Keys.ENTER)
    wait(page, lambda: text(page, "score-status") == "The connection was lost.")
    assert "problem" in element(page, "score-status").get_attribute("class")


def test_a_text_to_score_that_is_missing_or_too_long(page):
    click(page, "tab-score")
    click(page, "score-button")
    assert problem(page, "own") == "Your text: write or paste something first"
    element(page, "own").send_keys("T")
    assert problem(page, "own") == ""
    fill(page, "own", "x" * 20_001)
    click(page, "score-button")
    assert problem(page, "own") == "Your text: at most 20000 characters"
    assert text(page, "scored") == ""


def test_units_of_the_model(page):
    Select(element(page, "color")).select_by_value("unit")
    fill(page, "unit", 17)
    click(page, "generate")
    assert problem(page, "unit") == "Unit: a number from 1 to 16"
    Select(element(page, "color")).select_by_value("none")  # and nobody asks for a unit
    click(page, "generate")
    generated(page)


def test_a_link_to_a_model_that_is_not_there(page, address):
    visit(page, address + "#model=another&seed=5")
    wait(page, lambda: status(page) == "This page has no model another.")
    assert text(page) == ""


def test_a_server_that_ends_leaves_the_text(chromium):
    with server(LSTM) as running:
        visit(chromium, running.url)
        fill(chromium, "length", 40)
        first = generated(chromium)
    click(chromium, "generate")
    wait(chromium, lambda: status(chromium) == "The server can't be reached.")
    fill(chromium, "temperature", 1)
    wait(chromium, lambda: status(chromium) == "The server can't be reached.")
    assert text(chromium) == first
    logged(chromium)  # the connections that were refused


def test_a_token_from_the_link_or_typed(chromium):
    token = "0123456789abcdef"
    with server(LSTM, "-token", token) as running:
        address = running.url.partition("#")[0]
        visit(chromium, running.url)
        assert token not in chromium.current_url
        fill(chromium, "length", 50)
        generated(chromium)
        assert token not in chromium.current_url
        chromium.execute_script("sessionStorage.clear()")
        chromium.get("about:blank")
        chromium.get(address)
        wait(chromium, lambda: element(chromium, "token").is_displayed())
        assert element(chromium, "token-problem").text == ""
        assert not element(chromium, "generate").is_displayed()
        assert not element(chromium, "model").is_displayed()
        for wrong in ("wrong wrong wrong", f"\u201c{token}\u201d", f"{token}\u2026"):
            element(chromium, "token").send_keys(Keys.CONTROL, "a")
            element(chromium, "token").send_keys(wrong)
            assert element(chromium, "token-problem").text == ""
            element(chromium, "token").send_keys(Keys.ENTER)
            wait(chromium, lambda: element(chromium, "token-problem").text == "This token is wrong.")
        assert not element(chromium, "generate").is_displayed()
        element(chromium, "token").send_keys(Keys.CONTROL, "a")
        element(chromium, "token").send_keys("0")
        assert element(chromium, "token-problem").text == ""
        element(chromium, "token").send_keys(token[1:], Keys.ENTER)
        wait(chromium, lambda: element(chromium, "generate").is_displayed())
        assert not element(chromium, "token").is_displayed()
        chromium.execute_script("sessionStorage.clear()")
        chromium.get("about:blank")
        chromium.get(address)
        wait(chromium, lambda: element(chromium, "token").is_displayed())
        element(chromium, "token").send_keys(running.url, Keys.ENTER)  # the whole link
        wait(chromium, lambda: element(chromium, "generate").is_displayed())
        chromium.get("about:blank")
        chromium.get(f"{address}#token=another&seed=5")
        wait(chromium, lambda: element(chromium, "token-problem").text == "This token is wrong.")
        chromium.get("about:blank")
        chromium.get(address)  # which asks anew
        wait(chromium, lambda: element(chromium, "token").is_displayed())
        assert element(chromium, "token-problem").text == ""
    forget_refusals(chromium, 401)


def test_a_link_with_a_token_opens_the_page_that_asks_for_it(chromium):
    token = "0123456789abcdef"
    with server(LSTM, "-token", token) as running:
        address = running.url.partition("#")[0]
        chromium.get("about:blank")
        chromium.get(address)
        wait(chromium, lambda: element(chromium, "token").is_displayed())
        chromium.get(f"{address}#token=another")  # in the same tab: the page is not loaded anew
        wait(chromium, lambda: element(chromium, "token-problem").text == "This token is wrong.")
        chromium.get(f"{address}#token={token}&model={LSTM.stem}&length=50&seed=5")
        wait(chromium, lambda: element(chromium, "generate").is_displayed())
        assert not element(chromium, "token").is_displayed() and token not in chromium.current_url
        first = generated(chromium)
        assert len(first) == 50
        chromium.get(f"{address}#token={token}&model={LSTM.stem}&length=50&seed=6")  # while the page shows a text
        wait(chromium, lambda: text(chromium) != first and len(text(chromium)) == 50)
    forget_refusals(chromium, 401)
