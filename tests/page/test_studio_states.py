"""The page of `pycharrnn studio` in each of its states: it fits all screens, and axe finds nothing to complain of."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from page_tools import click, element, needs_browser, screen, text, wait
from pretended_studio import model, run
from studio_page import hold_queue, opened, press, shown

# axe.min.js of the npm package axe-core
AXE = Path(path).read_text(encoding="utf-8") if (path := os.environ.get("AXE_CORE")) else ""


def _busy(studio) -> None:
    studio.runs = [
        run("ships", "waiting"),
        run("letters", "waiting"),
        run("poems", "running"),
        run("diary", "failed", error="it diverged."),
        run("old", "stopped"),
    ]
    studio.queue = ["r-letters", "r-ships"]
    studio.models = [model("lm_poems_best"), model("lm_lstm_epoch17.33_1.5834")]
    studio.delete("r-old")


def _one(state: str, **fields):
    def prepare(studio) -> None:
        studio.runs = [run("poems", state, **fields)]
        studio.models = [model("lm_poems_best")]

    return prepare


def _begun(studio) -> None:
    studio.runs = [run("poems", "running", samples=[])]


def _nothing(studio) -> None:
    pass


def _holding(studio) -> None:
    studio.open.clear()


def _choosing(browser, poems) -> None:
    element(browser, "files").send_keys(str(poems))
    wait(browser, lambda: element(browser, "upload").is_displayed() or element(browser, "found").is_displayed())


def _found(browser, poems) -> None:
    _choosing(browser, poems)
    shown(browser, "new-run", "about 75 seconds")
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")


def _pressed(key: str):
    def prepare(browser, poems) -> None:
        press(browser, key)
        wait(browser, lambda: element(browser, "dialog").is_displayed())

    return prepare


def _as_it_is(browser, poems) -> None:
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")


STATES = {  # name -> section, what the server knows, what one does
    "empty": ("learn", _nothing, _as_it_is),
    "paste": ("learn", _nothing, lambda browser, poems: click(browser, "paste")),
    "uploading": ("learn", _holding, _choosing),
    "found": ("learn", _nothing, _found),
    "begun": ("learn", _begun, _as_it_is),
    "busy": ("learn", _busy, _as_it_is),
    "held": ("learn", hold_queue, _as_it_is),
    "stopping": ("learn", _one("stopping"), _as_it_is),
    "stopped": ("learn", _one("stopped"), _as_it_is),
    "finished": ("learn", _one("finished"), _as_it_is),
    "failed": ("learn", _one("failed", error="the training was killed."), _as_it_is),
    "delete": ("learn", _one("finished"), _pressed("delete")),
    "send": ("learn", _one("finished"), _pressed("send")),
    "minutes": ("learn", _one("finished"), _pressed("stop")),
    "no models": ("bring", _nothing, _as_it_is),
    "models": ("bring", _busy, _as_it_is),
    "play": ("play", _busy, lambda browser, poems: wait(browser, lambda: text(browser))),
    "nothing to play": ("play", _nothing, _as_it_is),
    "token": ("", lambda studio: vars(studio).update(token="secret"), _as_it_is),
}


def in_state(browser, studio, poems, state: str) -> None:
    """Bring the page into a state."""
    section, prepare, do = STATES[state]
    prepare(studio)
    opened(browser, studio, section)
    if section == "learn" and studio.runs:
        shown(browser, "current-run", "poems")
    do(browser, poems)


_OUTSIDE_AND_SMALL = """
const all = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest(".unseen, .skip"));
const at = (e) => e.getBoundingClientRect();
const controls = all.filter((e) => e.matches("button, input:not([type=radio]), select, textarea, summary, .choice"));
return [
  all.filter((e) => at(e).right > innerWidth + 1 || at(e).left < -1).map((e) => e.outerHTML),
  controls.filter((e) => Math.min(at(e).width, at(e).height) < 44).map((e) => e.outerHTML),
];
"""
_VIOLATIONS = """
const done = arguments[0];
const of = ({ id, nodes }) => [id, nodes.map(({ html }) => html)];
axe.run().then(({ violations }) => done(violations.map(of)));
"""


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_all_states_fit_the_screen_and_axe_finds_nothing(chromium, studio, poems, state):
    with screen(chromium, 1280):
        in_state(chromium, studio, poems, state)
    for width in (360, 768, 1280, 1600):
        with screen(chromium, width):
            assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
            outside, small = chromium.execute_script(_OUTSIDE_AND_SMALL)
            assert outside == []
            assert width > 360 or small == []
    if not AXE:
        return
    chromium.execute_script(AXE)
    for width, scheme in itertools.product((360, 1280), ("light", "dark")):
        with screen(chromium, width, scheme=scheme):
            assert chromium.execute_async_script(_VIOLATIONS) == []
