"""The page of `pycharrnn studio`, its server and its trainings: the whole way from a text to a model."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest
from conftest import sampled
from page_tools import By, Keys, click, downloaded, element, generated, logged, needs_browser, status, text, wait
from serving_tools import LSTM, server
from studio_page import drop, press, shown

from pycharrnn.checkpoints import checkpoint

pytestmark = [needs_browser, pytest.mark.slow]

PROSE = "".join(f"The old sailor number {k} told us of the sea, and went home again.\n\n" for k in range(100))
_ENDS = ("na", "ro", "li", "ba", "ke", "mi", "su", "to", "vi", "ze")
NAMES = "".join(f"{a}{b}{c}\n" for c in _ENDS for b in "aeiou" for a in ("An", "Do", "Be", "Ca"))
BACK = Keys.SHIFT + Keys.TAB
LONG = {"rnn_size": "16", "num_layers": "1", "max_epochs": "5000", "print_every": "5"}


@pytest.fixture
def folder(tmp_path):
    """Of a studio; its trainings end with the test."""
    yield tmp_path / "voices"
    for lock in (tmp_path / "voices" / "studio" / "runs").glob("*/.lock"):
        with contextlib.suppress(ProcessLookupError, TypeError, OSError):
            os.kill(process_of(lock), signal.SIGKILL)


@contextlib.contextmanager
def studio(folder: Path, port: int = 0):
    with server(str(folder), "-open", "0", command="studio", port=port) as running:
        yield running.url


def process_of(lock: Path) -> int:
    """The number of the process that holds a lock file."""
    return int(re.search(r"process (\d+) on", lock.read_text(encoding="utf-8"))[1])


def opened(browser, url: str):
    browser.get("about:blank")
    browser.get(url)
    browser.execute_script("sessionStorage.clear()")
    browser.get(url)
    wait(browser, lambda: browser.execute_script("return document.body.dataset.section"))


def set_flags(browser, flags: dict[str, str]) -> None:
    browser.execute_script("document.getElementById('more').open = true")
    for name, value in flags.items():
        element(browser, f"flag-{name}").send_keys(value)


def learn(browser, name: str, content: str, flags: dict[str, str]) -> None:
    """Drop a text, and start a run with these flags."""
    drop(browser, "drop", {name: content})
    shown(browser, "found", name)
    set_flags(browser, flags)
    wait(browser, lambda: text(browser, "how") not in ("", "Timing this machine\u2026"))
    click(browser, "start-run")


def state(browser, words: str) -> None:
    """Waits until the sentence of the shown run has some words."""
    code = "return document.querySelector('.run .state')?.textContent ?? ''"
    wait(browser, lambda: words in browser.execute_script(code))


def test_the_whole_way(chromium, folder):
    with studio(folder) as url:
        opened(chromium, url)
        assert chromium.execute_script("return document.body.dataset.section") == "learn"
        learn(chromium, "sailor.txt", PROSE, LONG)
        wait(chromium, lambda: chromium.find_elements(By.CSS_SELECTOR, "#current-run .sample"))
        state(chromium, "Learning: iteration")
        first_tab = chromium.current_window_handle
        chromium.switch_to.new_window("tab")
        chromium.get(url)
        state(chromium, "Learning: iteration")
        press(chromium, "stop")
        state(chromium, "Stopped after iteration")
        chromium.close()
        chromium.switch_to.window(first_tab)
        state(chromium, "Stopped after iteration")
        press(chromium, "stop")
        state(chromium, "Learning: iteration")
        port = int(url.rstrip("/").rpartition(":")[2])
    shown(chromium, "studio-notice", "The server can't be reached.")
    with studio(folder, port):
        wait(chromium, lambda: text(chromium, "studio-notice") == "")
        state(chromium, "Learning: iteration")
        (lock,) = folder.glob("studio/runs/*/.lock")
        os.kill(process_of(lock), signal.SIGKILL)
        state(chromium, "The training was killed")
        press(chromium, "stop")
        state(chromium, "Learning: iteration")
        press(chromium, "stop")
        state(chromium, "Stopped after iteration")
        press(chromium, "play")
        assert generated(chromium, 600)
        click(chromium, "show-learn")
        send(chromium)
        delete_and_undo(chromium, folder)
    logged(chromium)  # where the server's absence stands


def send(browser) -> None:
    press(browser, "send")
    shown(browser, "dialog", ".html")
    browser.find_element(By.CSS_SELECTOR, ".formats button").click()
    shown(browser, "dialog", "is in your downloads.")
    file = downloaded(browser, "lm_sailor_*.html")
    assert file.read_bytes().startswith(b"<!DOCTYPE html>")
    file.unlink()
    browser.find_element(By.XPATH, "//dialog//button[.='Close']").click()


def delete_and_undo(browser, folder: Path) -> None:
    checkpoints = sorted(folder.glob("cv/*"))
    press(browser, "delete")
    shown(browser, "dialog", "cv/lm_sailor_best.t7")
    browser.find_element(By.CSS_SELECTOR, "dialog .danger").click()
    shown(browser, "undo", "Deleted sailor.")
    shown(browser, "runs", "No training yet")
    assert list(folder.glob("cv/*")) == []
    click(browser, "undo-button")
    shown(browser, "current-run", "Stopped after iteration")
    wait(browser, lambda: sorted(folder.glob("cv/*")) == checkpoints)


def keys(browser, *typed: str) -> None:
    """Type on the control that has the focus."""
    browser.switch_to.active_element.send_keys(*typed)


def is_focused(browser, selector: str) -> bool:
    return browser.execute_script("return document.activeElement.matches(arguments[0])", selector)


def tab_to(browser, selector: str, key: str = Keys.TAB) -> None:
    """Press Tab, or another key, until this control has the focus."""
    for _ in range(150):
        if is_focused(browser, selector):
            return
        keys(browser, key)
    raise AssertionError(f"no key leads to {selector}")


def test_the_whole_way_by_keyboard(chromium, folder):
    with studio(folder) as url:
        opened(chromium, url)
        tab_to(chromium, "#paste")
        keys(chromium, Keys.ENTER)
        assert is_focused(chromium, "#pasted")
        keys(chromium, PROSE[:2000])
        tab_to(chromium, "#use-pasted")
        keys(chromium, Keys.ENTER)
        wait(chromium, lambda: is_focused(chromium, "#start-run"))
        tab_to(chromium, "#more summary", BACK)
        keys(chromium, Keys.ENTER)
        for name, value in LONG.items():
            tab_to(chromium, f"#flag-{name}")
            keys(chromium, value)
        tab_to(chromium, "#start-run")
        keys(chromium, Keys.ENTER)
        wait(chromium, lambda: chromium.find_elements(By.CSS_SELECTOR, "#current-run .sample"))
        state(chromium, "Learning: iteration")
        assert is_focused(chromium, "#run-title")
        tab_to(chromium, "[data-key^=stop]")
        keys(chromium, Keys.ENTER)
        state(chromium, "Stopped after iteration")
        keys(chromium, Keys.ENTER)  # Go on, which has the place of Stop and its focus
        state(chromium, "Learning: iteration")
        keys(chromium, Keys.ENTER)
        state(chromium, "Stopped after iteration")
        tab_to(chromium, "[data-key^=play]", BACK)
        keys(chromium, Keys.ENTER)
        assert generated(chromium, 600)
        wait(chromium, lambda: is_focused(chromium, "#generate"))
        tab_to(chromium, "#show-learn", BACK)
        keys(chromium, Keys.ENTER)
        tab_to(chromium, "[data-key^=send]")
        keys(chromium, Keys.ENTER)
        shown(chromium, "dialog", ".html")
        keys(chromium, Keys.TAB + "Our lamps" + Keys.TAB + "For Agn\u00e8s" + Keys.TAB + Keys.ENTER)
        shown(chromium, "dialog", "is in your downloads.")
        file = downloaded(chromium, "Our lamps.html")
        page = file.read_text()
        assert '<h1 id="title" data-fixed>Our lamps</h1>' in page
        assert re.search('<p id="about"[^>]*>For Agn\u00e8s</p>', page)
        file.unlink()
        keys(chromium, Keys.ESCAPE)
        wait(chromium, lambda: is_focused(chromium, "[data-key^=send]"))
        checkpoints = sorted(folder.glob("cv/*"))
        tab_to(chromium, "[data-key^=delete]")
        keys(chromium, Keys.ENTER)
        shown(chromium, "dialog", "cv/lm_pasted_best.t7")
        keys(chromium, Keys.TAB + Keys.ENTER)
        shown(chromium, "undo", "Deleted pasted.")
        wait(chromium, lambda: is_focused(chromium, "#undo-button"))
        assert list(folder.glob("cv/*")) == []
        keys(chromium, Keys.ENTER)
        shown(chromium, "current-run", "Stopped after iteration")
        wait(chromium, lambda: sorted(folder.glob("cv/*")) == checkpoints)


def test_a_list(chromium, folder):
    with studio(folder) as url:
        opened(chromium, url)
        drop(chromium, "drop", {"names.txt": NAMES})
        shown(chromium, "found", "It looks like a list")
        set_flags(chromium, {"rnn_size": "16", "max_epochs": "2"})
        click(chromium, "start-run")
        state(chromium, "Finished after")
        click(chromium, "show-play")  # of a page that was open before there was a model
        wait(chromium, lambda: status(chromium).startswith("10 items"))


def test_an_old_checkpoint_and_a_file_that_is_none(chromium, folder, tmp_path):
    with studio(folder) as url:
        opened(chromium, url)
        click(chromium, "show-bring")
        element(chromium, "model-file").send_keys(str(LSTM))
        shown(chromium, "brought", f"models/{LSTM.name}")
        press(chromium, f"Play {LSTM.stem}")
        expected = sampled(LSTM, ["-length", "600", "-temperature", "0.7", "-seed", "123", "-primetext", "\n"])
        assert generated(chromium, 600) == expected.decode().strip("\n")
        click(chromium, "show-bring")
        checkpoint.convert(checkpoint.load(LSTM), tmp_path / "lm_a.json")
        names = ("lm_a_best.json", "lm_a_latest.json")  # of one checkpoint
        drop(chromium, "bring-drop", dict.fromkeys(names, (tmp_path / "lm_a.json").read_text(encoding="utf-8")))
        shown(chromium, "brought", "models/lm_a_best.t7")
        assert [button.text for button in element(chromium, "brought").find_elements(By.TAG_NAME, "button")] == ["Play"]
        (tmp_path / "photo.t7").write_bytes(b"no model" * 100)
        element(chromium, "model-file").send_keys(str(tmp_path / "photo.t7"))
        shown(chromium, "bring-problem", "photo.t7")
        assert sorted(path.name for path in folder.glob("models/*")) == ["lm_a_best.t7", LSTM.name]
    logged(chromium)  # where the refusal stands
