"""The page of `pycharrnn studio` whose server is gone, refuses, or asks for a token."""

from __future__ import annotations

import pytest
from page_tools import Keys, Select, click, element, logged, needs_browser, network, text, wait
from pretended_studio import model, run
from studio_page import count_of, drop, focused, opened, shown

from pycharrnn.server.studio.studio_paths import Refusal

pytestmark = [needs_browser, pytest.mark.slow]


def test_a_server_that_is_gone_and_comes_back(chromium, studio):
    studio.runs = [run("poems", "running")]
    opened(chromium, studio, "learn")
    shown(chromium, "current-run", "poems")
    studio.refusals["/api/studio/runs"] = Refusal(503, "the server is stopping.")
    shown(chromium, "studio-notice", "The server is stopping.")
    studio.refusals.clear()
    studio.runs = [run("poems", "finished")]
    shown(chromium, "current-run", "Finished")
    wait(chromium, lambda: text(chromium, "studio-notice") == "")


def change_next_answer(browser, answer: str) -> None:
    """Give the page, in place of the next list of runs that has changed, an expression; `response` is the server's."""
    browser.execute_script(
        "const { fetch } = window;"
        "window.fetch = async (path, options) => {"
        "  const response = await fetch(path, options);"
        "  if (path !== 'api/studio/runs' || !response.ok) return response;"
        "  window.fetch = fetch;"
        f"  return {answer};"
        "};"
    )


def test_an_answer_of_which_the_end_is_missing(chromium, studio):
    """The server is killed, or the machine sleeps; the page goes on asking."""
    studio.runs = [run("poems", "running")]
    opened(chromium, studio, "learn")
    change_next_answer(chromium, "new Response((await response.text()).slice(0, -1))")
    studio.runs = [run("poems", "finished")]
    wait(chromium, lambda: "native code" in chromium.execute_script("return window.fetch.toString()"))
    studio.runs = [run("poems", "stopped")]
    shown(chromium, "current-run", "Stopped")
    wait(chromium, lambda: text(chromium, "studio-notice") == "")


def test_an_answer_of_something_else_than_the_server(chromium, studio):
    """The page of a proxy's login, for example; the browser logs the error, and the page goes on asking."""
    studio.runs = [run("poems", "running")]
    opened(chromium, studio, "learn")
    shown(chromium, "current-run", "poems")
    change_next_answer(chromium, "new Response('{}')")
    studio.runs = [run("poems", "finished")]
    wait(chromium, lambda: "native code" in chromium.execute_script("return window.fetch.toString()"))
    shown(chromium, "current-run", "Finished")
    logged(chromium)


def test_a_lost_answer_about_a_run_that_has_ended(chromium, studio):
    """No other news of the run follow, so the page asks again."""
    studio.runs = [run("poems", "running")]
    opened(chromium, studio, "learn")
    shown(chromium, "current-run", "poems")
    chromium.execute_script(
        "const { fetch } = window;"
        "let hasEnded = false;"
        "window.fetch = async (path, options) => {"
        "  if (hasEnded && path.startsWith('api/studio/runs/')) {"
        "    window.fetch = fetch;"
        "    throw new TypeError('lost');"
        "  }"
        "  const response = await fetch(path, options);"
        "  if (path === 'api/studio/runs') hasEnded ||= (await response.clone().text()).includes('\"finished\"');"
        "  return response;"
        "};"
    )
    studio.runs = [run("poems", "finished")]
    shown(chromium, "current-run", "Finished")
    assert "native code" in chromium.execute_script("return window.fetch.toString()")


def test_a_text_is_read_again_once_the_server_is_back(chromium, studio, poems):
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "new-run", "about 75 seconds")
    chromium.execute_script(
        "const { fetch } = window;"
        "window.fetch = async (path, options) => {"
        "  if (path.endsWith('/read')) throw new TypeError('lost');"
        "  return fetch(path, options);"
        "};"
        "window.back = () => (window.fetch = fetch);"
    )
    Select(element(chromium, "run-items")).select_by_value("line")
    shown(chromium, "run-problem", "The server can't be reached.")
    assert not element(chromium, "start-run").is_enabled()
    chromium.execute_script("window.back()")
    wait(chromium, lambda: element(chromium, "start-run").is_enabled())
    assert text(chromium, "run-problem") == ""
    read = [body for _, path, body in studio.requests if path.endswith("/read")]
    assert read == [{}, {"items": "line", "label": "", "text_encoding": ""}]


def test_a_pasted_text_stays_while_the_server_is_gone(chromium, studio):
    opened(chromium, studio, "learn")
    click(chromium, "paste")
    element(chromium, "pasted").send_keys("a text")
    chromium.execute_script(
        "const { fetch } = window;"
        "window.fetch = async () => { throw new TypeError('lost') };"
        "window.back = () => (window.fetch = fetch);"
    )
    click(chromium, "use-pasted")
    shown(chromium, "learn-problem", "The server can't be reached.")
    assert element(chromium, "pasted").get_attribute("value") == "a text"
    assert focused(chromium) == "pasted"
    click(chromium, "show-play")
    shown(chromium, "studio-notice", "The server can't be reached.")
    wait(chromium, lambda: text(chromium, "notice") == "The server can't be reached.")
    assert not element(chromium, "notice").is_displayed()  # once is enough
    chromium.execute_script("window.back()")
    wait(chromium, lambda: text(chromium, "studio-notice") == text(chromium, "learn-problem") == "")
    click(chromium, "show-learn")
    click(chromium, "use-pasted")
    shown(chromium, "found", "118,200 characters")


@pytest.mark.parametrize("path", ["/api/studio/runs", "/api/studio/flags", "/api/models"])
def test_a_server_that_refuses_at_first(chromium, studio, path):
    opened(chromium, studio)
    studio.refusals[path] = Refusal(503, "the server is stopping.")
    chromium.refresh()
    shown(chromium, "studio-notice", "The server is stopping.")
    assert chromium.execute_script("return document.body.dataset.section") is None
    studio.refusals.clear()
    wait(chromium, lambda: chromium.execute_script("return document.body.dataset.section"))
    drop(chromium, "drop", {"poems.txt": "A poem."})
    shown(chromium, "found", "118,200 characters")
    assert count_of(studio, "/api/studio/texts") == 1


def test_a_token_is_asked_for(chromium, studio):
    studio.token = "secret"
    opened(chromium, studio)
    assert not element(chromium, "sections").is_displayed()
    element(chromium, "token").send_keys("secret" + Keys.ENTER)
    wait(chromium, lambda: element(chromium, "learn").is_displayed())


def test_a_link_with_a_token_opens_the_page_that_asks_for_it(chromium, studio):
    studio.token = "secret"
    opened(chromium, studio)
    chromium.get(f"{studio.address}#token=secret")
    wait(chromium, lambda: element(chromium, "learn").is_displayed())


@pytest.mark.parametrize("section", ["learn", "play"])
def test_another_token_is_asked_for_after_an_outage(chromium, studio, section):
    studio.token, studio.models = "secret", [model("lm_old_best")]
    opened(chromium, studio)
    element(chromium, "token").send_keys("secret" + Keys.ENTER)
    wait(chromium, lambda: chromium.execute_script("return document.body.dataset.section"))
    click(chromium, f"show-{section}")
    with network(chromium, offline=True):
        shown(chromium, "studio-notice", "The server can't be reached.")
        if section == "play":
            wait(chromium, lambda: text(chromium, "notice") == "The server can't be reached.")
        studio.token = "another"
    logged(chromium)  # where the outage stands
    wait(chromium, lambda: element(chromium, "token-problem").text == "This token is wrong.")
    wait(chromium, lambda: text(chromium, "studio-notice") == text(chromium, "notice") == "")
    assert not element(chromium, "sections").is_displayed()
    element(chromium, "token").send_keys("another" + Keys.ENTER)
    studio.runs = [run("poems", "running")]
    wait(chromium, lambda: "Learning" in text(chromium, "current-run"))
    assert element(chromium, "learn" if section == "learn" else "main").is_displayed()
