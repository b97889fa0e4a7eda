"""The page of `pycharrnn studio` against a server that learns nothing: its sentences, the keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_modules import modules, script
from page_tools import (
    By,
    Keys,
    Select,
    begins_at_the_right,
    click,
    copied,
    downloaded,
    element,
    fill,
    needs_browser,
    screen,
    text,
    wait,
    webdriver,
)
from pretended_studio import BEST, HOSTILE, QUICK, SAMPLE, estimates, model, run, text_facts
from studio_page import KEEP_ANNOUNCED, count_of, drop, drop_folders, focused, hold_queue, opened, press, shown

from pycharrnn.page.page_files import page_files
from pycharrnn.server.studio import trash
from pycharrnn.server.studio.run_schemas import ShownSample, StudioLimits
from pycharrnn.server.studio.studio_paths import Refusal
from pycharrnn.server.studio.text_schemas import FileFacts


@needs_browser
def test_from_a_dropped_text_to_a_run(chromium, studio):
    opened(chromium, studio)
    assert "No training yet" in element(chromium, "runs").text
    chromium.execute_script(KEEP_ANNOUNCED)
    drop(chromium, "drop", {"poems.txt": "A poem.\n" * 50})
    shown(chromium, "found", "118,200 characters, 120,345 bytes, 71 distinct bytes, UTF-8 and cp1252.")
    assert "118,200 characters, 120,345 bytes found. Start is ready." in chromium.execute_script("return announced")
    assert "Left out, since they are not plain text: scan.pdf" in element(chromium, "found").text
    shown(chromium, "new-run", "about 75 seconds, with 160 units per layer")
    assert focused(chromium) == "start-run"
    chromium.switch_to.active_element.send_keys(Keys.ENTER)
    shown(chromium, "current-run", "Learning: iteration 420 of 3,600")
    assert focused(chromium) == "run-title"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert chromium.execute_script(outline) == "none"
    assert SAMPLE.split("\n")[0] in element(chromium, "current-run").text
    started = [body for method, path, body in studio.requests if path == "/api/studio/runs"]
    assert [(body["text"], body["name"], body["choice"], body["flags"]) for body in started] == [
        ("t1", "poems", "quick", {})
    ]
    assert element(chromium, "drop").is_displayed()


@needs_browser
@pytest.mark.parametrize(
    ("folders", "begun"),
    [
        ({"boys": {"b.txt": "Ben"}}, {"name": "boys", "is_folder": True}),
        ({"boys": {"b.txt": "Ben"}, "girls2": {"g.txt": "Gil"}}, {"name": "", "is_folder": False}),
    ],
)
def test_a_text_is_a_folder_if_one_is_dropped(chromium, studio, folders, begun):
    """Of several, each keeps its name, which may be a label."""
    opened(chromium, studio, "learn")
    drop_folders(chromium, "drop", folders)
    shown(chromium, "found", "118,200 characters")
    assert ("POST", "/api/studio/texts", begun) in studio.requests


@needs_browser
def test_what_the_server_would_refuse_is_not_sent(chromium, studio, tmp_path):
    studio.about.limits = StudioLimits(files=1000, file_bytes=2000, model_bytes=1500)
    opened(chromium, studio, "learn")
    drop(chromium, "drop", {f"{k}.txt": "a" for k in range(1001)})
    shown(chromium, "learn-problem", "A text has 1,000 files at most; join some, or leave some out.")
    drop(chromium, "drop", {"a.txt": "a" * 2000, "b.txt": "b" * 2001})
    shown(chromium, "learn-problem", "b.txt: a file has 2,000 bytes at most; choose a smaller one.")
    assert element(chromium, "drop").is_displayed()
    click(chromium, "show-bring")
    path = tmp_path / "lm_old.t7"
    path.write_bytes(bytes(1501))
    element(chromium, "model-file").send_keys(str(path))
    shown(chromium, "bring-problem", "lm_old.t7: a file has 1,500 bytes at most; choose a smaller one.")
    assert studio.requests == []


@needs_browser
def test_a_text_that_needs_an_encoding_stays(chromium, studio, poems):
    said = 'poems.txt has a byte 0: keep all bytes by "Encoding of the files" bytes.'
    studio.refusals["/api/studio/texts/t1/read"] = Refusal(422, said)
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "run-problem", said)
    shown(chromium, "found", "poems.txt")
    assert focused(chromium) == "run-text-encoding"
    assert not element(chromium, "start-run").is_enabled()
    studio.refusals.clear()
    chromium.switch_to.active_element.send_keys("bytes" + Keys.TAB)
    shown(chromium, "found", "118,200 characters")
    wait(chromium, lambda: element(chromium, "start-run").is_enabled())
    shown(chromium, "new-run", "about 75 seconds")
    assert text(chromium, "run-problem") == ""
    assert count_of(studio, "/api/studio/upload") == 1
    read = [body for _, path, body in studio.requests if path.endswith("/read")]
    assert read[-1] == {"items": "", "label": "", "text_encoding": "bytes"}


@needs_browser
def test_changed_names_are_said_where_they_are_labels(chromium, studio, poems):
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "found", "118,200 characters")
    Select(element(chromium, "run-items")).select_by_value("file")
    shown(chromium, "found", "It is read as a list: each file is an item.")
    studio.facts = text_facts(renamed="names were changed, and labels follow: a b is a_b.")
    Select(element(chromium, "run-label")).select_by_value("file")
    shown(chromium, "found", "Names were changed, and labels follow: a b is a_b.")


@needs_browser
def test_the_settings_of_a_list(chromium, studio, poems):
    header = "the first line of a.csv, 'Name,Age', looks like the header of a table."
    studio.facts = text_facts(kind="list", suggested_items="line", headers=[header])
    studio.models = [model("lm_old_best")]
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "found", "It looks like a list.")
    shown(chromium, "found", "The first line of a.csv, 'Name,Age', looks like the header of a table.")
    assert Select(element(chromium, "run-items")).first_selected_option.text == "a list: each line is an item"
    studio.refusals["/api/studio/texts/t1/read"] = Refusal(422, "the item 'Ada' has no tab.")
    Select(element(chromium, "run-label")).select_by_value("file")
    shown(chromium, "run-problem", "has no tab")
    checked = count_of(studio, "/api/studio/command")
    element(chromium, "run-name").send_keys("x")
    wait(chromium, lambda: count_of(studio, "/api/studio/command") > checked)
    assert "has no tab" in element(chromium, "run-problem").text  # the command does not depend on it
    studio.refusals.clear()
    Select(element(chromium, "run-label")).select_by_value("column")
    shown(chromium, "found", "It is read as a list: each line is an item.")
    wait(chromium, lambda: not text(chromium, "run-problem"))
    click(chromium, "more")
    shown(chromium, "flag-rnn_size-help", "size of LSTM internal state. With quick: 160. Allowed: at least 1.")
    assert "0 = no dropout. With quick: 0. Allowed" in text(chromium, "flag-dropout-help")
    chromium.execute_script("document.querySelector('[name=choice][value=best]').click()")
    assert "0 = no dropout. With best: 0.2. Allowed" in text(chromium, "flag-dropout-help")
    Select(element(chromium, "run-init")).select_by_value("lm_old_best")
    assert "0 = no dropout. As in lm_old_best. Allowed" in text(chromium, "flag-dropout-help")
    estimates = chromium.find_elements("css selector", "[data-estimate]")
    assert not any(estimate.is_displayed() for estimate in estimates)  # they are for the size of the recipe
    Select(element(chromium, "run-init")).select_by_value("")
    assert any(estimate.is_displayed() for estimate in estimates)
    element(chromium, "flag-rnn_size").send_keys("64")
    Select(element(chromium, "flag-model")).select_by_value("gru")
    chromium.execute_script("document.querySelector('[name=choice][value=minutes]').click()")
    assert "0 = no dropout. As in char-rnn: 0. Allowed" in text(chromium, "flag-dropout-help")
    studio.refusals["/api/studio/command"] = Refusal(422, "-rnn_size must be at least 1, not 0.")
    element(chromium, "flag-dropout").send_keys("0")
    shown(chromium, "run-problem", "-rnn_size must be at least 1")
    size = element(chromium, "flag-rnn_size")
    assert size.get_attribute("aria-invalid") == "true"
    assert size.get_attribute("aria-describedby") == "flag-problem flag-rnn_size-help"
    shown(chromium, "flag-problem", "-rnn_size must be at least 1, not 0.")  # where the user looks
    studio.refusals["/api/studio/command"] = Refusal(422, "there is no model lm_old_best any more: keep to another.")
    element(chromium, "flag-dropout").send_keys(".5")
    shown(chromium, "run-problem", "There is no model")
    assert chromium.find_elements(By.CSS_SELECTOR, "#flags [aria-invalid], #flag-problem") == []  # words, not flags
    assert size.get_attribute("aria-describedby") == "flag-rnn_size-help"
    studio.refusals.clear()
    click(chromium, "start-run")
    shown(chromium, "current-run", "Learning")
    (body,) = (body for method, path, body in studio.requests if path == "/api/studio/runs")
    assert (body["choice"], body["minutes"], body["items"], body["label"]) == ("minutes", 10, "line", "column")
    assert body["flags"] == {"rnn_size": 64, "model": "gru", "dropout": 0.5}
    read = [body for method, path, body in studio.requests if path.endswith("/read")]
    assert read == [{}, {"items": "line", "label": "column", "text_encoding": ""}]


@needs_browser
def test_advice_on_the_encoding_until_another_is_chosen(chromium, studio, poems):
    advice = 'the model learns bytes: train with "A character is: code points".'
    studio.facts = text_facts(encoding_advice=advice)
    studio.models = [model("lm_old_best")]
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "found", "The model learns bytes")
    words = element(chromium, "encoding-advice")
    click(chromium, "more")
    for name, value in (("run-unit", "utf8"), ("run-init", "lm_old_best")):
        Select(element(chromium, name)).select_by_value(value)
        wait(chromium, lambda: not words.is_displayed())
        Select(element(chromium, name)).select_by_value("")
        wait(chromium, words.is_displayed)


@needs_browser
def test_a_problem_of_a_text_does_not_keep_the_next_one_from_starting(chromium, studio, poems, monkeypatch):
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    wait(chromium, lambda: element(chromium, "start-run").is_displayed())
    paths = studio._paths

    def refuse() -> None:
        raise Refusal(422, "the item 'Ada' has no tab.")

    monkeypatch.setattr(studio, "_paths", lambda query, body: [(".*/read", refuse), *paths(query, body)])
    studio.open.clear()
    asked = count_of(studio, "/api/studio/texts/t1/read")
    Select(element(chromium, "run-items")).select_by_value("line")
    wait(chromium, lambda: count_of(studio, "/api/studio/texts/t1/read") > asked)
    click(chromium, "other-text")
    studio.open.set()
    chromium.execute_async_script("setTimeout(arguments[0], 300)")  # an answer to the first text would come by now
    assert text(chromium, "run-problem") == ""
    assert element(chromium, "start-run").is_enabled()


@needs_browser
def test_choices_that_are_the_same_training(chromium, studio, poems):
    studio.estimates = estimates(QUICK, QUICK.model_copy(update={"choice": "best"}))
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "new-run", "about 75 seconds")
    best = chromium.find_element(By.CSS_SELECTOR, "[data-estimate=best]")
    assert best.text == "the same as Quick for a text this short"
    Select(element(chromium, "run-items")).select_by_value("line")
    wait(chromium, lambda: best.text == "the same as Quick for a list this short")


@needs_browser
def test_flags_with_a_comma(chromium, studio, poems):
    """A decimal may have one; in a whole number it may stand before thousands, so the server refuses it."""
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    wait(chromium, lambda: element(chromium, "new-run").is_displayed())
    click(chromium, "more")
    for name, typed in [("dropout", "0,8"), ("rnn_size", "1,000")]:
        element(chromium, f"flag-{name}").send_keys(typed)
    click(chromium, "start-run")
    wait(chromium, lambda: count_of(studio, "/api/studio/runs") == 1)
    shown(chromium, "run-problem", "-rnn_size needs a whole number, not '1,000'.")
    (body,) = (body for method, path, body in studio.requests if path == "/api/studio/runs")
    assert body["flags"] == {"dropout": 0.8, "rnn_size": "1,000"}


@needs_browser
def test_a_text_that_is_too_short_does_not_start(chromium, studio, poems):
    problem = "the text has 3 characters, too few to learn from."
    unknown = {"seconds": None, "iterations": None, "rnn_size": None, "flags": {}}
    studio.estimates = estimates(*(one.model_copy(update=unknown) for one in (QUICK, BEST)), problem=problem)
    studio.facts = text_facts(too_short=problem)
    opened(chromium, studio)
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "run-problem", "The text has 3 characters, too few to learn from.")
    assert "looks like" not in text(chromium, "found")
    assert not element(chromium, "start-run").is_enabled()
    assert focused(chromium) == "other-text"
    studio.estimates, studio.facts = estimates(QUICK, BEST), text_facts()
    Select(element(chromium, "run-items")).select_by_value("line")
    wait(chromium, lambda: element(chromium, "start-run").is_enabled())
    shown(chromium, "new-run", "about 75 seconds")
    assert text(chromium, "run-problem") == ""


@needs_browser
def test_a_pasted_text_and_its_command(chromium, studio):
    opened(chromium, studio)
    click(chromium, "paste")
    assert focused(chromium) == "pasted"
    click(chromium, "use-pasted")
    shown(chromium, "learn-problem", "Paste or write a text first.")
    chromium.switch_to.active_element.send_keys("x")
    element(chromium, "pasted").send_keys("a text")
    click(chromium, "use-pasted")
    shown(chromium, "found", "118,200")
    assert [body for method, path, body in studio.requests if method == "PUT"] == [b"a text"]
    chromium.execute_script("document.querySelector('.command-of').open = true")
    command = "pycharrnn train studio/texts/t1/poems.txt -recipe quick -savefile poems -log cv/poems.csv"
    wait(chromium, lambda: text(chromium, "command").startswith(command))
    click(chromium, "copy-command")
    shown(chromium, "copied", "command copied")
    assert copied(chromium) == text(chromium, "command")
    chromium.execute_script("document.querySelector('[name=choice][value=minutes]').click()")
    for wrong in ("abc", "0", "-3", "1000001"):
        fill(chromium, "run-minutes", "1")
        wait(chromium, lambda: text(chromium, "run-problem") == "")
        fill(chromium, "run-minutes", wrong)
        shown(chromium, "run-problem", "Minutes: a number above 0, at most 1,000,000")
    click(chromium, "start-run")
    assert count_of(studio, "/api/studio/runs") == 0
    fill(chromium, "run-minutes", "1,5")
    commands = "/api/studio/command"
    wait(chromium, lambda: [b.get("minutes") for _, path, b in studio.requests if path == commands][-1] == 1.5)
    click(chromium, "other-text")
    assert focused(chromium) == "pasted"
    assert element(chromium, "pasted").get_property("value") == "a text"
    click(chromium, "use-pasted")
    shown(chromium, "found", "118,200")
    click(chromium, "start-run")
    wait(chromium, lambda: focused(chromium) == "run-title")
    assert element(chromium, "pasted").get_property("value") == ""
    assert not element(chromium, "paste-form").is_displayed()


@needs_browser
def test_a_pasted_text_stays_when_a_file_is_learnt(chromium, studio, poems):
    opened(chromium, studio)
    click(chromium, "paste")
    element(chromium, "pasted").send_keys("a text")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "found", "118,200")
    click(chromium, "start-run")
    wait(chromium, lambda: focused(chromium) == "run-title")
    assert element(chromium, "pasted").get_property("value") == "a text"
    assert element(chromium, "paste-form").is_displayed()


@needs_browser
def test_the_browser_asks_before_it_leaves_a_pasted_text(chromium, studio):
    leaving = """
        const event = new Event("beforeunload", { cancelable: true });
        dispatchEvent(event);
        return event.defaultPrevented;
    """
    opened(chromium, studio)
    assert not chromium.execute_script(leaving)
    click(chromium, "paste")
    element(chromium, "pasted").send_keys("a text")
    assert chromium.execute_script(leaving)
    click(chromium, "use-pasted")
    shown(chromium, "found", "118,200")
    assert chromium.execute_script(leaving)
    click(chromium, "start-run")
    wait(chromium, lambda: focused(chromium) == "run-title")
    assert not chromium.execute_script(leaving)


@needs_browser
def test_a_double_click_on_paste_opens_its_form(chromium, studio):
    opened(chromium, studio)
    webdriver.ActionChains(chromium).double_click(element(chromium, "paste")).perform()
    assert element(chromium, "paste-form").is_displayed()
    assert focused(chromium) == "pasted"
    click(chromium, "paste")
    assert not element(chromium, "paste-form").is_displayed()


def said_again(browser, selector: str, do) -> None:
    """Do something, and wait until an alert that has words is filled again, perhaps with the same words."""
    browser.execute_script(
        "window.said = 0;"
        "const added = (list) => list.some(({ addedNodes }) => addedNodes.length);"
        "new MutationObserver((list) => (said += added(list)))"
        ".observe(document.querySelector(arguments[0]), {childList: true})",
        selector,
    )
    do()
    wait(browser, lambda: browser.execute_script("return said") == 1)


@needs_browser
def test_a_text_that_is_missing_again_is_said_again(chromium, studio):
    opened(chromium, studio)
    click(chromium, "paste")
    click(chromium, "use-pasted")
    shown(chromium, "learn-problem", "Paste or write a text first.")
    said_again(chromium, "#learn-problem", lambda: click(chromium, "use-pasted"))


@needs_browser
def test_wrong_minutes_are_said_at_each_start(chromium, studio, poems):
    studio.runs = [run("poems", "finished")]
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "new-run", "about 75 seconds")
    chromium.execute_script("document.querySelector('[name=choice][value=minutes]').click()")
    fill(chromium, "run-minutes", "0")
    shown(chromium, "run-problem", "Minutes: a number above 0")
    said_again(chromium, "#run-problem", lambda: click(chromium, "start-run"))
    press(chromium, "stop")
    shown(chromium, "dialog", "How many more minutes")
    element(chromium, "more-minutes").send_keys("x" + Keys.ENTER)
    shown(chromium, "dialog", "Minutes: a number above 0")
    said_again(chromium, "dialog [role=alert]", lambda: element(chromium, "more-minutes").send_keys(Keys.ENTER))


@needs_browser
def test_a_file_or_an_undo_that_is_refused_again_is_said_again(chromium, studio, tmp_path):
    studio.about.limits = StudioLimits(files=1000, file_bytes=2000, model_bytes=1500)
    studio.runs = [run("poems", "finished")]
    opened(chromium, studio, "learn")
    delete(chromium)
    refused = "cv/lm_poems_best.t7 is there by now: rename it, or delete it."
    studio.refusals["/api/studio/trash/"] = Refusal(409, refused)
    chromium.switch_to.active_element.send_keys(Keys.ENTER)
    shown(chromium, "undo", refused)
    wait(chromium, lambda: text(chromium, "studio-announced") == refused)
    said_again(chromium, "#studio-announced", lambda: chromium.switch_to.active_element.send_keys(Keys.ENTER))
    click(chromium, "show-bring")
    path = tmp_path / "lm_old.t7"
    path.write_bytes(bytes(1501))
    element(chromium, "model-file").send_keys(str(path))
    shown(chromium, "bring-problem", "a file has 1,500 bytes at most")
    said_again(chromium, "#bring-problem", lambda: element(chromium, "model-file").send_keys(str(path)))


HOLD_START = """
const [send, held] = [fetch, new Promise((resolve) => (window.letGo = resolve))];
window.fetch = (path, options) =>
  (path === "api/studio/runs" && options.method ? held : Promise.resolve()).then(() => send(path, options));
"""


@needs_browser
def test_no_other_text_while_the_server_is_asked_to_start(chromium, studio, poems):
    """The answer would close the form of the other text."""
    opened(chromium, studio)
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "found", "118,200")
    chromium.execute_script(HOLD_START)
    studio.refusals["/api/studio/runs"] = Refusal(507, "the disk is full.")
    click(chromium, "start-run")
    wait(chromium, lambda: not element(chromium, "other-text").is_enabled())
    assert not element(chromium, "start-run").is_enabled()
    chromium.execute_script("letGo()")
    shown(chromium, "run-problem", "The disk is full.")
    wait(chromium, lambda: element(chromium, "start-run").is_enabled())
    assert focused(chromium) == "start-run"
    click(chromium, "other-text")
    assert element(chromium, "drop").is_displayed()


@needs_browser
def test_a_text_that_is_read_again_while_the_server_is_asked_to_start(chromium, studio, poems):
    """The answer does not allow a second start."""
    opened(chromium, studio)
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "new-run", "about 75 seconds")
    chromium.execute_script(HOLD_START)
    studio.open.clear()
    Select(element(chromium, "run-items")).select_by_value("line")
    click(chromium, "start-run")
    studio.open.set()
    shown(chromium, "found", "It is read as a list: each line is an item.")
    assert not element(chromium, "start-run").is_enabled()
    assert not element(chromium, "other-text").is_enabled()
    chromium.execute_script("letGo()")
    wait(chromium, lambda: focused(chromium) == "run-title")
    element(chromium, "files").send_keys(str(poems))
    wait(chromium, lambda: element(chromium, "start-run").is_enabled())
    assert element(chromium, "other-text").is_enabled()


@needs_browser
def test_an_upload_has_words_and_can_be_cancelled(chromium, studio, poems):
    studio.open.clear()
    opened(chromium, studio)
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "new-text", "Cancel")
    assert focused(chromium) == "cancel-upload"
    # WebDriver's click can return before the page handles it. The answer that begins the upload must come later.
    chromium.execute_script("document.activeElement.click()")
    studio.open.set()
    wait(chromium, lambda: element(chromium, "drop").is_displayed())
    assert text(chromium, "learn-problem") == ""
    assert count_of(studio, "/api/studio/upload") == 0
    studio.refusals["/api/studio/upload"] = Refusal(507, "the disk is full: nothing was kept.")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "learn-problem", "The disk is full: nothing was kept.")
    studio.refusals.clear()
    studio.refusals["/api/studio/texts/t1/read"] = Refusal(422, "there is no text in it.")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "learn-problem", "There is no text in it.")
    assert focused(chromium) == "choose-files"


@needs_browser
def test_stop_go_on_delete_undo_by_keyboard(chromium, studio):
    studio.runs = [run("poems", "running")]
    studio.models = [model("lm_poems_best")]
    opened(chromium, studio)
    press(chromium, "stop")
    shown(chromium, "current-run", "Stopped after iteration 420")
    assert "poems: stopped after" in text(chromium, "studio-announced")
    chromium.execute_script("document.querySelector('[data-key^=stop]').focus()")
    chromium.switch_to.active_element.send_keys(Keys.ENTER)
    shown(chromium, "current-run", "Learning")
    assert focused(chromium) == "stop r-poems"
    chromium.switch_to.active_element.send_keys(Keys.ENTER)
    shown(chromium, "current-run", "Go on")
    chromium.execute_script("document.querySelector('[data-key^=delete]').focus()")
    chromium.switch_to.active_element.send_keys(Keys.ENTER)
    shown(chromium, "dialog", "cv/lm_poems_best.t7")
    chromium.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait(chromium, lambda: focused(chromium) == "delete r-poems")
    chromium.switch_to.active_element.send_keys(Keys.ENTER)
    shown(chromium, "dialog", "This moves 1 file, 1.2 MB")
    chromium.switch_to.active_element.send_keys(Keys.TAB + Keys.ENTER)
    shown(chromium, "undo", "Deleted poems. Moved cv/lm_poems_best.t7 to trash/d")
    shown(chromium, "runs", "No training yet")
    wait(chromium, lambda: element(chromium, "trash").is_displayed())  # where the run was, not only in Bring
    assert focused(chromium) == "undo-button"
    chromium.switch_to.active_element.send_keys(Keys.ENTER)
    shown(chromium, "current-run", "poems")
    assert not element(chromium, "undo").is_displayed()


def delete(browser) -> None:
    """Delete the run that is shown."""
    press(browser, "delete")
    wait(browser, lambda: element(browser, "dialog").is_displayed())
    browser.switch_to.active_element.send_keys(Keys.TAB + Keys.ENTER)
    wait(browser, lambda: focused(browser) == "undo-button")


@needs_browser
def test_undo_in_another_section_or_page(chromium, studio):
    studio.runs = [run("poems", "finished")]
    opened(chromium, studio, "learn")
    delete(chromium)
    click(chromium, "show-play")
    element(chromium, "undo-button").send_keys(Keys.ENTER)
    wait(chromium, lambda: not element(chromium, "undo").is_displayed())
    assert focused(chromium) == "show-play"
    click(chromium, "show-learn")
    delete(chromium)
    wait(chromium, lambda: element(chromium, "trash").is_displayed())
    studio.undo(trash.entries()[0].trash)
    wait(chromium, lambda: not element(chromium, "undo").is_displayed())
    shown(chromium, "current-run", "poems")


@needs_browser
def test_the_queue_of_runs(chromium, studio):
    studio.runs = [
        run("ships", "waiting"),
        run("letters", "waiting"),
        run("poems", "running"),
        run("diary", "failed", error="it diverged."),
    ]
    studio.queue = ["r-letters", "r-ships"]
    opened(chromium, studio, "learn")
    shown(chromium, "waiting-list", "ships")
    rows = "return [...document.querySelectorAll('#waiting-list .what')].map((row) => row.textContent)"
    assert chromium.execute_script(rows) == ["letters", "ships"]
    press(chromium, "up r-ships")
    wait(chromium, lambda: chromium.execute_script(rows) == ["ships", "letters"])
    assert text(chromium, "studio-announced") == "ships is now number 1 of 2."
    studio.refusals["/api/studio/queue"] = Refusal(409, "other runs wait by now: look at the queue again.")
    press(chromium, "down r-ships")
    shown(chromium, "current-run", "Other runs wait by now: look at the queue again.")
    press(chromium, "show r-diary")
    shown(chromium, "current-run", "It diverged. Go on begins it anew.")
    assert chromium.find_element(By.CSS_SELECTOR, "#current-run [data-key^=stop]").text == "Go on"
    shown(chromium, "other-list", "Learning now")


@needs_browser
def test_a_queue_that_is_held_has_go_on(chromium, studio, monkeypatch):
    hold_queue(studio)
    monkeypatch.setattr(studio, "_become", lambda name, state: studio._run(name))  # it stays held, however late a click
    opened(chromium, studio, "learn")
    shown(
        chromium, "waiting", "Waiting since before the studio was started: look at the command, Go on starts the queue."
    )
    press(chromium, "go on r-ships")
    wait(chromium, lambda: ("POST", "/api/studio/runs/r-ships/go_on", {}) in studio.requests)
    press(chromium, "go on r-poems")
    wait(chromium, lambda: ("POST", "/api/studio/runs/r-poems/go_on", {}) in studio.requests)


@needs_browser
def test_a_finished_run_goes_on_for_half_a_minute(chromium, studio):
    """With a decimal comma, key by key."""
    studio.runs = [run("poems", "finished")]
    opened(chromium, studio, "learn")
    press(chromium, "stop")
    shown(chromium, "dialog", "How many more minutes")
    minutes = element(chromium, "more-minutes")
    minutes.clear()
    minutes.send_keys("-" + Keys.ENTER)
    shown(chromium, "dialog", "Minutes: a number above 0")
    minutes.clear()
    minutes.send_keys("Infinity" + Keys.ENTER)
    shown(chromium, "dialog", "Minutes: a number above 0")
    minutes.clear()
    minutes.send_keys("0,5" + Keys.ENTER)
    wait(chromium, lambda: ("POST", "/api/studio/runs/r-poems/go_on", {"minutes": 0.5}) in studio.requests)


@needs_browser
def test_what_one_reads_and_selects_stays_while_a_run_trains(chromium, studio):
    def sample(iteration: int) -> ShownSample:
        return ShownSample(iteration=iteration, epoch=iteration / 300, text=f"sample {iteration}\n" + SAMPLE * 4)

    def trained(iterations: range, seconds: float) -> None:
        samples, notes = [sample(k) for k in iterations], ["a note", "another note"]
        studio.runs = [run("poems", "running", samples=samples, notes=notes, seconds=seconds)]

    def until_shown(words: str) -> None:
        wait(chromium, lambda: words in chromium.execute_script(f"return {pre}.textContent"))

    def select(place: int) -> None:
        chromium.execute_script(f"getSelection().selectAllChildren({pre}.querySelectorAll('.sample')[{place}])")

    def top(place: int) -> float:
        code = f"{pre}.querySelectorAll('.sample')[{place}].getBoundingClientRect().top"
        return chromium.execute_script(f"return {code} - {pre}.getBoundingClientRect().top")

    selected = "return getSelection().toString()"
    pre = "document.querySelector('#current-run pre')"
    trained(range(1, 4), 31.0)
    opened(chromium, studio, "learn")
    until_shown("sample 3")
    chromium.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    chromium.execute_script("getSelection().selectAllChildren(document.querySelector('#current-run details li'))")
    trained(range(1, 5), 77.0)
    until_shown("sample 4")
    shown(chromium, "current-run", "77 seconds")
    assert chromium.execute_script(selected) == "a note"
    assert chromium.execute_script(f"return {pre}.scrollTop") == 0  # where the newest is
    chromium.execute_script(f"{pre}.scrollTop = 500")
    select(1)
    before = top(1)
    trained(range(3, 6), 88.0)  # the oldest are left out
    until_shown("sample 5")
    assert "sample 2" not in chromium.execute_script(f"return {pre}.textContent")
    assert top(2) == pytest.approx(before, abs=1)
    assert chromium.execute_script(selected).startswith("sample 3")
    hebrew = ShownSample(iteration=2, epoch=1.0, text="\u05d0\u05d1.\n")
    studio.runs = [run("ships", "running", samples=[sample(1), hebrew])]
    shown(chromium, "run-title", "ships")
    wait(chromium, lambda: chromium.execute_script(f"return {pre}.querySelectorAll('.sample').length") == 2)
    assert begins_at_the_right(chromium, ".sample")
    assert chromium.execute_script(f"return {pre}.scrollTop") == 0


@needs_browser
def test_a_double_click_on_stop_stops_once(chromium, studio):
    """A second stop would end the training without saving, and a second click would press Go on in its place."""
    studio.runs = [run("poems", "running")]
    opened(chromium, studio, "learn")
    wait(chromium, lambda: chromium.find_elements(By.CSS_SELECTOR, "[data-key^=stop]"))
    webdriver.ActionChains(chromium).double_click(chromium.find_element(By.CSS_SELECTOR, "[data-key^=stop]")).perform()
    shown(chromium, "current-run", "Stopped after iteration 420")
    assert studio.requests == [("POST", "/api/studio/runs/r-poems/stop", {"at_once": False})]


@needs_browser
def test_stop_at_once(chromium, studio):
    studio.runs = [run("poems", "stopping")]
    opened(chromium, studio, "learn")
    shown(chromium, "current-run", "Stop at once")
    press(chromium, "stop")
    wait(chromium, lambda: studio.requests == [("POST", "/api/studio/runs/r-poems/stop", {"at_once": True})])


@needs_browser
def test_a_file_that_is_dragged_beside_the_zone(chromium, studio):
    """The browser would show it in place of the studio. A text may be dragged anywhere."""
    opened(chromium, studio, "learn")
    drag = """
        const data = new DataTransfer();
        data.items.add(...arguments[0]);
        const event = new DragEvent("dragover", {bubbles: true, cancelable: true, dataTransfer: data});
        document.getElementById("runs-title").dispatchEvent(event);
        return event.defaultPrevented;
    """
    assert not chromium.execute_script(drag, ["a text", "text/plain"])
    assert chromium.execute_script(drag.replace("...arguments[0]", "new File(['a text'], 'a.txt')"))


@needs_browser
def test_bring_send_play(chromium, studio, tmp_path):
    opened(chromium, studio, "bring")
    assert "No model yet" in element(chromium, "models").text
    path = tmp_path / "lm_old.t7"
    path.write_bytes(b"a model")
    element(chromium, "model-file").send_keys(str(path))
    shown(chromium, "brought", "One model is here to play with: models/lm_old.t7.")
    long = tmp_path / f"lm_{'old' * 12}.t7"
    long.write_bytes(b"a model")
    with screen(chromium, 360):
        element(chromium, "model-file").send_keys(str(long))
        shown(chromium, "brought", long.name)
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= 360
    press(chromium, "Send lm_old")
    shown(chromium, "dialog", "a page that runs the model in a browser")
    chromium.find_element(By.CSS_SELECTOR, ".formats button").click()
    shown(chromium, "dialog", "lm_old.html is in your downloads.")
    downloaded(chromium, "lm_old.html").unlink()
    fill(chromium, "send-title", "..Sea: a/b?")
    chromium.find_element(By.CSS_SELECTOR, ".formats button").click()
    shown(chromium, "dialog", "Sea_ a_b_.html is in your downloads.")
    with screen(chromium, 360, 500):
        for scrolled in (0, 9999):  # to the first format, and to the last one
            top, bottom = chromium.execute_script(
                "document.getElementById('dialog').scrollTop = arguments[0];"
                "const { top, bottom } = document.querySelector('dialog [role=status]').getBoundingClientRect();"
                "return [top, bottom]",
                scrolled,
            )
            assert 0 < top < bottom < 500
    assert downloaded(chromium, "Sea_ a_b_.html")
    chromium.switch_to.active_element.send_keys(Keys.ESCAPE)
    press(chromium, "Play lm_old")
    wait(chromium, lambda: text(chromium).startswith(SAMPLE[:20]))
    click(chromium, "show-learn")
    chromium.execute_script("location.hash = location.hash.replace('seed=123', 'seed=5')")
    wait(chromium, lambda: element(chromium, "text").is_displayed())
    click(chromium, "show-learn")
    chromium.refresh()  # the address still names the sample
    wait(chromium, lambda: chromium.execute_script("return document.body.dataset.section") == "learn")
    studio.refusals["/api/studio/bring"] = Refusal(422, "lm_old.t7 is not a checkpoint.")
    click(chromium, "show-bring")
    element(chromium, "model-file").send_keys(str(path))
    shown(chromium, "bring-problem", "lm_old.t7 is not a checkpoint.")


@needs_browser
def test_a_dialog_returns_the_focus_to_a_list_that_has_changed(chromium, studio):
    studio.models = [model("lm_poems_best")]
    opened(chromium, studio, "bring")
    wait(chromium, lambda: chromium.find_elements(By.CSS_SELECTOR, "[data-key='Send lm_poems_best']"))
    chromium.find_element(By.CSS_SELECTOR, "[data-key='Send lm_poems_best']").send_keys(Keys.ENTER)
    shown(chromium, "dialog", "lm_poems_best")
    studio.models = [model("lm_ships_best"), *studio.models]
    wait(chromium, lambda: "lm_ships_best" in text(chromium, "model-list"))
    chromium.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait(chromium, lambda: focused(chromium) == "Send lm_poems_best")


@needs_browser
@pytest.mark.parametrize(("key", "name", "state"), [("stop", "poems", "running"), ("delete", "ships", "finished")])
def test_a_dialog_does_not_return_the_focus_to_another_button(chromium, studio, key, name, state):
    """The card has changed: Enter would stop the run, which goes on again, or delete another run."""
    studio.runs = [run("poems", "finished")]
    opened(chromium, studio, "learn")
    shown(chromium, "current-run", "poems")
    chromium.find_element(By.CSS_SELECTOR, f"[data-key^={key}]").send_keys(Keys.ENTER)
    shown(chromium, "dialog", "poems")
    studio.runs = [run(name, state)]
    shown_state = "Learning" if state == "running" else "Finished"
    wait(chromium, lambda: text(chromium, "run-title") == name and shown_state in text(chromium, "current-run"))
    chromium.switch_to.active_element.send_keys(Keys.ESCAPE)
    # The event that a dialog is closed comes after it has been hidden.
    chromium.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 100))")
    assert not element(chromium, "dialog").is_displayed() and focused(chromium) == ""


@needs_browser
def test_the_focus_does_not_go_to_the_same_button_of_another_run(chromium, studio):
    studio.runs = [run("poems", "finished")]
    opened(chromium, studio, "learn")
    wait(chromium, lambda: chromium.find_elements(By.CSS_SELECTOR, "[data-key^=delete]"))
    chromium.execute_script("document.querySelector('[data-key^=delete]').focus()")
    studio.runs = [run("ships", "finished")]
    wait(chromium, lambda: text(chromium, "run-title") == "ships")
    assert focused(chromium) == "run-title"


@needs_browser
def test_a_list_whose_encoding_had_to_be_named_is_a_list(chromium, studio, poems):
    studio.refusals["/api/studio/texts/t1/read"] = Refusal(422, 'name the encoding by "Encoding of the files".')
    studio.facts = text_facts(name="names", suggested_items="line")
    opened(chromium, studio, "learn")
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "run-problem", "Name the encoding")
    studio.refusals.clear()
    chromium.switch_to.active_element.send_keys("cp1252" + Keys.TAB)
    shown(chromium, "new-run", "about 75 seconds")
    assert element(chromium, "run-items").get_attribute("value") == "line"
    assert element(chromium, "run-name").get_attribute("value") == "names"
    assert element(chromium, "run-text-encoding").get_attribute("value") == "cp1252"
    estimated = [body for _, path, body in studio.requests if path.endswith("/estimates")]
    assert estimated == [{"items": "line", "label": "", "text_encoding": "cp1252"}]
    Select(element(chromium, "run-items")).select_by_value("")  # which is the user's choice then
    shown(chromium, "new-run", "about 75 seconds")
    wait(chromium, lambda: len([path for _, path, _ in studio.requests if path.endswith("/estimates")]) == 2)
    assert element(chromium, "run-items").get_attribute("value") == ""


@needs_browser
def test_nothing_that_a_text_says_is_run(chromium, studio, poems):
    sentences = ("renamed", "encoding_advice", "too_short")
    studio.facts = text_facts(
        name=HOSTILE,
        files=[FileFacts(name=HOSTILE, bytes=1, encoding=HOSTILE)],
        **dict.fromkeys(("facts", "left_out", "headers"), [HOSTILE]),
        **dict.fromkeys(sentences, HOSTILE),
    )
    said = {"error": HOSTILE, "words": ("train", HOSTILE)}
    sample = ShownSample(iteration=1, epoch=1.0, text=HOSTILE)
    studio.runs = [
        run(HOSTILE, "failed", id="r-x", samples=[sample], notes=[HOSTILE], **said),
        run(HOSTILE, "stopped", id="r-y", **said),
    ]
    studio.models = [model(HOSTILE, text=HOSTILE)]
    Path("cv/lm_old.t7").touch()
    trash.delete(["cv/lm_old.t7"], HOSTILE, "model")
    opened(chromium, studio, "learn")
    shown(chromium, "current-run", HOSTILE)
    element(chromium, "files").send_keys(str(poems))
    shown(chromium, "found", HOSTILE)
    click(chromium, "show-bring")
    shown(chromium, "model-list", HOSTILE)
    assert chromium.title == "pycharrnn studio"
    assert chromium.find_elements(By.TAG_NAME, "img") == []


@needs_browser
@pytest.mark.parametrize(
    "seconds, words",
    [
        (2, "5 seconds"),
        (74, "75 seconds"),
        (89, "90 seconds"),
        (90, "2 minutes"),
        (5700, "1 h 35 min"),
        (100_000, "28 hours"),
    ],
)
def test_an_estimate_has_the_words_of_the_time_left(chromium, seconds, words):
    code = """
        const { duration } = await import("./studio_dom.js");
        const { estimateWords } = await import("./studio_found.js");
        return [estimateWords({ seconds: args[0], rnn_size: null }), duration(args[0])];
    """
    with modules(chromium, []):
        estimated, left = script(chromium, code, seconds)
    assert estimated == f"about {words}" and (left == words or seconds < 90)


@needs_browser
@pytest.mark.parametrize(
    "size, words",
    [
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 KB"),
        (99_949, "99.9 KB"),
        (99_951, "100 KB"),
        (999_499, "999 KB"),
        (999_950, "1.0 MB"),
        (999_999_999, "1.0 GB"),
    ],
)
def test_a_size_has_the_unit_of_its_rounded_number(chromium, size, words):
    code = 'const { size } = await import("./studio_dom.js"); return size(args[0])'
    with modules(chromium, []):
        assert script(chromium, code, size) == words


@needs_browser
def test_what_happens_twice_is_announced_twice(chromium):
    code = """
        const { announce } = await import("./studio_dom.js");
        const live = document.body.appendChild(document.createElement("p"));
        live.id = "studio-announced";
        const observer = new MutationObserver(() => {});
        observer.observe(live, { childList: true });
        return [1, 2].map(() => {
          announce("Brought back.");
          return observer.takeRecords().length;
        });
    """
    with modules(chromium, []):
        assert script(chromium, code) == [1, 1]


def test_only_the_studio_serves_its_files():
    added = set(page_files(studio=True)) - set(page_files())
    assert {"studio.js", "studio_runs.js"} <= added
    assert all(name.startswith("studio") and name.endswith(".js") for name in added)
    assert b"studio" not in b"".join(page_files().values())
