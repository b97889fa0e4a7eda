"""/api/copied: what a text has in common with a model's training text."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx
import item_models
import pytest
from conftest import run, working_in
from page_modules import modules, script
from page_tools import click, element, fill, generated, logged, needs_browser, status, visit, wait
from serving_tools import server

from pycharrnn.analysis import copied
from pycharrnn.page import copied_page
from pycharrnn.server import copied_passages
from pycharrnn.server.app import create_app
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.text import recorded_text

TEXT = "One\nday, the größte of all cats\nsat on the mat.\n"
SAMPLE = "of größte of all dogs, the größte of all cats sat on the mat."


@pytest.fixture
def home(tmp_path):
    """The current folder, with a model of a text and the text."""
    item_models.saved(tmp_path, "", TEXT.encode())
    with working_in(tmp_path):
        yield tmp_path


def answer(**request) -> httpx.Response:
    app = create_app(Registry(["cv/lm_list_best.t7"], print, print), Scheduler(2, threads=1), None, "")

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.post("/api/copied", json={"model": "lm_list_best", **request})

    return asyncio.run(post())


def test_the_passages_of_the_command_line(home):
    found = answer(text=SAMPLE, least=10).json()["passages"]
    (home / "s.txt").write_text(SAMPLE, encoding="utf-8")
    done = run("copied", "s.txt", "cv/lm_list_best.t7", "-least", "10", "-json", "1", cwd=home)
    expected = json.loads(done.stdout)["passages"]
    assert [passage["length"] for passage in found] == [24, 15, 15] == [p["length"] for p in expected]
    for passage, other in zip(found, expected, strict=True):
        assert SAMPLE[passage["start"] :].startswith(other["passage"])
        assert (passage["text_line"], passage["text_column"]) == (other["text"]["line"], other["text"]["column"])
    assert answer(text=SAMPLE, least=99).json() == {"passages": []}


def test_without_the_training_text_there_are_none(home, monkeypatch):
    with monkeypatch.context() as changed:
        changed.setattr(recorded_text, "MAX_UNASKED", 10)
        assert answer(text=SAMPLE).json() == {"passages": None}
    (home / "data" / "list" / "input.txt").write_bytes(b"another text\n")
    assert answer(text=SAMPLE).json() == {"passages": None}
    (home / "data" / "list" / "input.txt").unlink()
    assert answer(text=SAMPLE).json() == {"passages": None}


def test_a_comparison_ends_when_nobody_wants_it_any_more(home, monkeypatch):
    """With a text that never ends."""
    model = Registry(["cv/lm_list_best.t7"], print, print)
    read, asked, ended = threading.Event(), [], []

    def pieces():
        try:
            while True:
                read.set()
                yield TEXT.encode()
        finally:
            ended.append(True)

    monkeypatch.setattr(copied, "text_of_record", lambda recorded: copied.Text("text", 10, pieces))

    async def is_wanted():
        asked.append(read.is_set())
        return not read.is_set()

    async def compare():
        recorded = (await model.model("lm_list_best")).text.recorded
        with pytest.raises(copied_passages.Unwanted):
            await copied_passages.CopiedPassages().of(recorded, SAMPLE.encode(), (), 10, is_wanted)

    asyncio.run(compare())
    assert ended == [True] and asked[0] is False and asked[-1] is True


def test_invalid_requests(home):
    assert answer(text="").status_code == answer(text="a", least=0).status_code == 422
    assert answer(text="a", model="other").status_code == 404


@needs_browser
def test_the_page_marks_the_longest_copy_at_each_character(chromium):
    passages = [{"start": 1, "length": 4, "text_line": 7}, {"start": 3, "length": 3, "text_line": 9}]
    code = """
        const { copiesSentence, markCopies } = await import("./copies.js");
        const { copyLevel } = await import("./colors.js");
        const items = [..."a\\u{1F600}bcdefg"].map((text) => ({ text }));
        const isAsked = ({ text, least }) => [...text].length === 8 && least === 20; // as the sentence says
        const source = { copied: async (request) => ({ passages: isAsked(request) ? args[0] : [] }) };
        const longest = await markCopies(source, "m", items);
        const lengths = items.map((item) => item.copied?.length ?? 0);
        const said = [longest, undefined].map((one) => copiesSentence(one, "8 characters", "poems"));
        said.push(copiesSentence(longest, "8 characters", ""));
        items.slice(0, 5).forEach((item) => (item.given = true)); // a prompt, in which the longest passage lies
        said.push(copiesSentence(await markCopies(source, "m", items), "8 characters", ""));
        const drawn = items.map((item) => item.copied?.length ?? 0);
        const none = await markCopies({ copied: async () => ({ passages: null }) }, "m", items);
        return [lengths, drawn, said, copiesSentence(none, "8 characters", "poems"), args[1].map(copyLevel)];
    """
    lengths = [1, 11, 12, 20, 34, 191, 192, 1000]
    with modules(chromium, []):
        marked, drawn, said, none, levels = script(chromium, code, passages, lengths)
    assert marked == [0, 4, 4, 4, 4, 3, 0, 0] and drawn == [0, 0, 0, 3, 3, 3, 0, 0]
    assert said == [
        "8 characters; copied from poems: 4 characters, line 7",
        "8 characters; copied from poems: no passage of 20 or more",
        "8 characters; copied: 4 characters, line 7",
        "8 characters; copied: 3 characters, line 9",
    ]
    assert none == "8 characters; the server does not have the training text"
    assert levels == [copied_page.level(length) for length in lengths]


@needs_browser
def test_the_color_of_copies_leaves_the_problem_of_a_later_prompt(chromium, home):
    """The page still has the text before that prompt."""
    with server("cv/lm_list_best.t7") as running:
        visit(chromium, running.url)
        fill(chromium, "length", 40)
        generated(chromium, 40)
        element(chromium, "primetext").send_keys("Q")
        click(chromium, "generate")
        wait(chromium, lambda: status(chromium).startswith("Prompt has the character 'Q'"))
        said = status(chromium)
        chromium.execute_script(
            "const fetch = window.fetch;"
            "window.fetch = async (path, options) => {"
            "  const response = await fetch(path, options);"
            "  if (path === 'api/copied') window.answered = true;"
            "  return response;"
            "};"
        )
        for value in ("copied", "probability"):
            fill(chromium, "color", value)
            wait(chromium, lambda: chromium.execute_script("return window.answered"))
            wait(chromium, lambda: not element(chromium, "stop").is_enabled())
            assert status(chromium) == said
            opacity = "return getComputedStyle(document.getElementById('text')).opacity"
            assert chromium.execute_script(opacity) == "0.35"
        fill(chromium, "primetext", "")
        assert status(chromium) == ""
    logged(chromium)  # the refusal of the prompt
