"""The page's colors, characters, list of models and caption of losses, without a page."""

from __future__ import annotations

import pytest
from page_modules import modules, script
from page_tools import needs_browser

from pycharrnn.common import display
from pycharrnn.page import html_style

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


def test_characters_that_cannot_be_seen_have_names(page):
    code = 'const { characterName } = await import("./text_view.js"); return args[0].map(characterName);'
    invisible = ["\xa0", "\u202f", "\u3000", "\xad", "\u200d", "\ufe0f", "\u2028", "\U000e0061"]
    names = [display.quote_code_point(character).split()[0] for character in invisible]
    assert script(page, code, invisible) == names
    assert names[:4] == ["U+00A0", "U+202F", "U+3000", "U+00AD"]
    named = {" ": "space", "\n": "newline", "\x1e": "record separator", "0xE2": "byte 0xE2", "\x00": "\u2400"}
    shown = {"\u0301": "\u25cc\u0301", "\u05b8": "\u25cc\u05b8", "e\u0301": "e\u0301", "\u05d0": "\u05d0", "a": "a"}
    assert script(page, code, list(named | shown)) == list((named | shown).values())


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


def test_the_options_of_the_models(page):
    """Loss, then the time of today or the day, then the name without what the loss has said."""
    code = """
        const { ModelList } = await import("./models.js");
        const now = new Date();
        const [today, newYear] = [now, new Date(now.getFullYear(), 0, 1, 12)].map((date) => date / 1000);
        const old = new Date(2001, 8, 9, 12) / 1000;
        const models = [["lm_a_b_epoch8.60_1.0177", 1.0177, today], ["lm_a_best", 2, newYear], ["names", null, old],
          ["lm_epoch1.00_2.5000", 2.5, null]].map(([id, val_loss, saved]) => ({ id, val_loss, saved }));
        const select = document.createElement("select");
        new ModelList(select).setModels({ models, follow: false, limits: {} });
        const time = now.toLocaleTimeString("en-GB").slice(0, 5);
        return [...select.options].map((option) => [option.text.replace(time, "TIME"), option.title]);
    """
    found = script(page, code)
    found[1][0] = found[1][0].replace("1 Jan", "DAY").replace("12:00", "DAY")  # the time if it is New Year today
    assert found == [
        ["loss 1.0177 \u00b7 TIME \u00b7 a_b", "lm_a_b_epoch8.60_1.0177"],
        ["loss 2.0000 \u00b7 DAY \u00b7 a_best", "lm_a_best"],
        ["no loss \u00b7 9 Sept 2001 \u00b7 names", "names"],
        ["loss 2.5000 \u00b7 epoch1.00_2.5000", "lm_epoch1.00_2.5000"],
    ]


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        (["debates", "stock", "poems", ""], ["debates \u00b7 gru", "stock \u00b7 gru", "poems", "lstm_best"]),
        (["debates"] * 4, ["gru", "gru", "poems", "lstm_best"]),
    ],
)
def test_the_options_name_texts_that_differ(page, texts, options):
    code = """
        const { ModelList } = await import("./models.js");
        const ids = ["lm_lstm_epoch1.00_1.2", "lm_lstm_epoch2.00_1.2", "lm_poems_epoch1.00_1.2", "lm_lstm_best"];
        const models = ids.map((id, k) => ({ id, text: args[0][k], model: "gru", val_loss: 1.2, saved: null }));
        const select = document.createElement("select");
        new ModelList(select).setModels({ models, follow: false, limits: {} });
        return [...select.options].map((option) => option.text);
    """
    assert script(page, code, texts) == [f"loss 1.2000 \u00b7 {option}" for option in options]


@pytest.mark.parametrize(
    "val, caption",
    [
        ([2.5, 2, 2, 3], "Validation loss 3.0000 after epoch 2.00; the lowest is 2.0000 after epoch 1.00. In nats"),
        ([2.5, 2], "Validation loss 2.0000 after epoch 1.00, the lowest of 2. In nats"),
        ([2.5], "Validation loss 2.5000 after epoch 0.50. In nats"),
    ],
)
def test_the_caption_of_the_losses(page, val, caption):
    iterations = [5 * k + 5 for k in range(len(val))]
    assert _caption(page, {"val": {"iterations": iterations, "losses": val}}).endswith(f"{caption} per character.")


@pytest.mark.parametrize("window, words", [(1, ", of one batch. In"), (25, ", the mean of 25 iterations. In")])
def test_the_caption_says_of_what_the_training_loss_is(page, window, words):
    """The log of a run has losses of single batches, its checkpoint means of many: the two are not the same."""
    caption = _caption(page, {"train": {"iterations": [5, 10], "losses": [3, 2]}, "window": window})
    assert f"Training loss 2.0000 after epoch 1.00{words}" in caption


@pytest.mark.parametrize(
    "losses, labels",
    [
        ([2.5e9, 5e8], ["1e9", "2e9"]),
        ([14000, 8000], ["8000", "1e4", "1.2e4", "1.4e4"]),
        ([9000, 7000], ["7000", "8000", "9000"]),
    ],
)
def test_the_losses_of_a_run_that_diverges_are_in_the_picture(page, losses, labels):
    code = """
        svg.style.font = ".75rem sans-serif"; // as in the page's style sheet
        document.body.append(figure);
        const left = svg.getBoundingClientRect().left;
        const ticks = [...svg.querySelectorAll("text[text-anchor=end]")];
        const places = ticks.map((tick) => tick.getBoundingClientRect().left - left);
        figure.remove();
        return [ticks.map((tick) => tick.textContent), Math.min(...places)];
    """
    found, left = _drawn(page, {"train": {"iterations": [5, 10], "losses": losses}}, code)
    assert found == labels
    assert left >= 0


def _caption(page, losses) -> str:
    return _drawn(page, losses, "return figure.textContent;")


def _drawn(page, losses, code):
    """What the code returns of a `figure` of losses with its `svg`."""
    drawing = """
        const { showLosses } = await import("./loss_curve.js");
        const figure = document.createElement("figure");
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        figure.append(svg, document.createElement("figcaption"));
        const none = { iterations: [], losses: [] };
        showLosses(figure, { train: none, val: none, epochs_per_iteration: 0.1, window: 1, ...args[0] });
    """
    return script(page, drawing + code, losses)
