"""The page's colors, characters and list of models: as Python's pages have them."""

from __future__ import annotations

import pytest
from page_modules import modules, script
from page_tools import needs_browser

from pycharrnn.analysis import html_style
from pycharrnn.common import display

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(chromium):
    with modules(chromium, []):
        yield chromium


def test_shades_of_surprise(page):
    bits = [k / 8 for k in range(100)]
    code = 'const { scoreClasses } = await import("./colors.js"); return args.map((bits) => scoreClasses({ bits })[0]);'
    assert script(page, code, *bits) == [html_style.shade(html_style.surprise_level(b)) for b in bits]


def test_control_characters_have_pictures(page):
    characters = [chr(code) for code in range(0x180)]
    code = 'const { controlPictures } = await import("./text_view.js"); return args[0].map(controlPictures);'
    assert script(page, code, characters) == list(map(display.control_pictures, characters))


def test_the_newest_and_the_best_of_models_with_and_without_a_loss(page):
    code = """
        const { ModelList } = await import("./models.js");
        const models = args[0].map(([id, val_loss, saved]) => ({ id, val_loss, saved }));
        return ["newest", "best"].map((name) => {
          const list = new ModelList(document.createElement("select"));
          list.setModels({ models, follow: true, limits: {} });
          list.select("", name);
          return list.selected.id;
        });
    """
    for models, newest, best in (
        ([["a", None, 5], ["b", 2.5, 1], ["c", 1.5, 3], ["d", None, 4]], "a", "c"),
        ([["a", None, 1], ["b", None, 2]], "b", "a"),
        ([["a", 0, 2], ["b", 0, 1]], "a", "a"),
    ):
        assert script(page, code, models) == [newest, best]
