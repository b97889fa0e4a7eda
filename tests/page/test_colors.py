"""The page's colors, characters, list of models and caption of losses, without a page."""

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


def test_the_newest_and_the_best_of_the_models(page):
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
    for models, newest, best in (  # in the server's order: the best of the run that trained last is the first
        ([["a", 2.5, 5], ["b", 1.5, 1]], "a", "a"),
        ([["a", None, 1], ["b", 1.5, 2], ["c", None, 2]], "b", "a"),
    ):
        assert script(page, code, models) == [newest, best]


@pytest.mark.parametrize(
    "val, caption",
    [
        ([2.5, 2, 2, 3], "Validation loss 3.0000 after epoch 2.00; the lowest is 2.0000 after epoch 1.00. In nats"),
        ([2.5, 2], "Validation loss 2.0000 after epoch 1.00, the lowest of 2. In nats"),
        ([2.5], "Validation loss 2.5000 after epoch 0.50. In nats"),
    ],
)
def test_the_caption_of_the_losses(page, val, caption):
    code = """
        const { showLosses } = await import("./loss_curve.js");
        const figure = document.createElement("figure");
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        figure.append(svg, document.createElement("figcaption"));
        const iterations = args[0].map((_, k) => 5 * k + 5);
        const val = { iterations, losses: args[0] };
        showLosses(figure, { train: { iterations: [], losses: [] }, val, epochs_per_iteration: 0.1, window: 1 });
        return figure.textContent;
    """
    assert script(page, code, val).endswith(f"{caption} per character.")
