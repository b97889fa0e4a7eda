"""The title of a page and the text below it: `pycharrnn convert -title TEXT -about TEXT`."""

from __future__ import annotations

import dataclasses
import os
import shutil

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


@pytest.fixture(scope="module")
def titled(tmp_path_factory):
    """The address of a page of two models."""
    page = tmp_path_factory.mktemp("titled") / "poems.html"
    long_name = page.with_name(f"lm_{'names_and_others_' * 3}epoch20.00_1.0747.t7")  # which no column is as wide as
    shutil.copy(LSTM, long_name)
    convert(long_name, GRU, page, "-title", TITLE, "-about", ABOUT)
    return page.as_uri()


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_title_and_text_are_shown_as_typed(chromium, titled, width):
    with screen(chromium, width):
        visit(chromium, titled)
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
        assert ", trained on corpus, validation loss " in element(chromium, "facts").text
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
def test_the_title_is_that_of_the_models_text(chromium, tmp_path):
    loaded = checkpoint.load(LSTM)
    opt = {key: value for key, value in loaded.opt.items() if key != "data_dir"}
    titles = {}
    for name, place, title in [
        ("lm_a", {"data_dir": "data/my_text"}, "my_text"),
        ("lm_b", {"input_h5": "data/tiny-shakespeare.h5"}, "tiny-shakespeare"),
        ("lm_c", {"data_dir": "C:\\data\\my_text\\"}, "my_text"),
        ("lm_d", {"data_dir": "."}, "lm_d"),
        ("lm_e", {}, "lm_e"),
    ]:
        charrnn.save(tmp_path / f"{name}.t7", dataclasses.replace(loaded, opt={**opt, **place}))
        titles[name] = title
    convert(*(tmp_path / f"{name}.t7" for name in titles), tmp_path / "page.html")
    visit(chromium, (tmp_path / "page.html").as_uri())
    assert chromium.title == element(chromium, "title").text == "my_text"
    assert "trained on" not in element(chromium, "facts").text
    assert not element(chromium, "about").is_displayed()
    for name, title in titles.items():
        Select(element(chromium, "model")).select_by_value(name)
        wait(chromium, lambda title=title: chromium.title == element(chromium, "title").text == title)


@pytest.mark.skipif(os.name == "nt", reason="arguments are text there")
def test_a_title_of_invalid_utf8(tmp_path):
    convert(LSTM, tmp_path / "page.html", "-title", os.fsdecode(b"caf\xe9"))
    assert "<title>caf\ufffd</title>" in (tmp_path / "page.html").read_text(encoding="utf-8")
