"""The title of a page and the text below it: `pycharrnn convert -title TEXT -about TEXT`."""

from __future__ import annotations

import dataclasses
import os

import pytest
from conftest import run
from page_tools import Select, element, fill, needs_browser, screen, visit, wait
from serving_tools import GRU, LSTM

from compat import charrnn
from pycharrnn.checkpoints import checkpoint

ABOUT = "Poems of <b>a</b> network &amp; its owner.\n\n</p><script>document.title='hit'</script> \u00e9"
TITLE = "Anna's \"poems\" </title><script>document.title='hit'</script>"


def convert(*args: object) -> None:
    done = run("convert", *map(str, args))
    assert done.returncode == 0, done.stderr


def trained_on(path, folder, place: dict[str, str]):
    """A copy of a checkpoint that records another place of its text."""
    loaded = checkpoint.load(path)
    opt = {key: value for key, value in loaded.opt.items() if key != "data_dir"}
    charrnn.save(folder / path.name, dataclasses.replace(loaded, opt={**opt, **place}))
    return folder / path.name


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_title_and_text_are_shown_as_typed(chromium, tmp_path, width):
    convert(LSTM, GRU, tmp_path / "poems.html", "-title", TITLE, "-about", ABOUT)
    with screen(chromium, width):
        visit(chromium, (tmp_path / "poems.html").as_uri())
        assert chromium.title == element(chromium, "title").text == TITLE
        assert element(chromium, "about").text == ABOUT
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
        metas = {
            name: chromium.execute_script(
                "const name = CSS.escape(arguments[0]);"
                "return document.querySelector(`meta[name=${name}], meta[property=${name}]`).content",
                name,
            )
            for name in ("description", "og:title", "og:description")
        }
        assert metas["og:title"] == TITLE
        assert metas["description"] == metas["og:description"] == " ".join(ABOUT.split())
        fill(chromium, "model", GRU.stem)
        wait(chromium, lambda: element(chromium, "facts").text.startswith(GRU.stem))
        assert chromium.title == TITLE


@needs_browser
def test_a_long_text_leaves_the_prompt_in_sight(chromium, tmp_path):
    convert(LSTM, tmp_path / "poems.html", "-about", "A network wrote this. " * 50)
    with screen(chromium, 360):
        visit(chromium, (tmp_path / "poems.html").as_uri())
        assert chromium.execute_script("return scrollY") == 0
        prompt = element(chromium, "primetext").rect
        assert prompt["y"] + prompt["height"] <= 740


@needs_browser
@pytest.mark.parametrize(
    "place, title",
    [
        ({"data_dir": "data/my_text"}, "my_text"),
        ({"data_dir": "C:\\data\\my_text\\"}, "my_text"),
        ({"input_h5": "data/tiny-shakespeare.h5"}, "tiny-shakespeare"),
        ({"data_dir": "."}, LSTM.stem),
        ({}, LSTM.stem),
    ],
)
def test_the_title_is_that_of_the_text(chromium, tmp_path, place, title):
    convert(trained_on(LSTM, tmp_path, place), tmp_path / "page.html")
    visit(chromium, (tmp_path / "page.html").as_uri())
    assert chromium.title == element(chromium, "title").text == title
    assert not element(chromium, "about").is_displayed()


@needs_browser
def test_the_title_follows_the_model(chromium, tmp_path):
    files = [trained_on(path, tmp_path, {"data_dir": f"data/{path.parent.name}"}) for path in (LSTM, GRU)]
    convert(*files, tmp_path / "page.html")
    visit(chromium, (tmp_path / "page.html").as_uri())
    assert chromium.title == "lstm2"
    Select(element(chromium, "model")).select_by_value(GRU.stem)
    wait(chromium, lambda: chromium.title == element(chromium, "title").text == "gru2")


@pytest.mark.skipif(os.name == "nt", reason="arguments are text there")
def test_a_title_of_invalid_utf8(tmp_path):
    convert(LSTM, tmp_path / "page.html", "-title", os.fsdecode(b"caf\xe9"))
    assert "<title>caf\ufffd</title>" in (tmp_path / "page.html").read_text(encoding="utf-8")
