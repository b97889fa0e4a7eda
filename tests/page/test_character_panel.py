"""The panel about a chosen character: names, bars and percentages of the alternatives stay in it."""

from __future__ import annotations

import numpy as np
import pytest
from page_tools import convert, needs_browser, screen, spans, visit

from compat import charrnn
from compat.graph_match import Network
from compat.nngraph import parameter_shapes

pytestmark = needs_browser

# Most are parts of characters; a space and a record separator have names, too.
CHARACTERS = [b"\xe2", b"\xc3", b" ", b"\xc5", b"\x1e", b"\x93", b"\x84", b"\xbc", b"a"]

OUTSIDE = """
const box = document.getElementById("character").getBoundingClientRect();
const table = document.querySelector("#candidates table");
const range = document.createRange(); // a name that doesn't wrap is wider than its cell
range.selectNodeContents(table);
const places = [...range.getClientRects(), ...[...table.querySelectorAll("*")].map((e) => e.getBoundingClientRect())];
return places.filter(({ left, right }) => left < box.left || right > box.right + 0.5).length;
"""


@pytest.fixture(scope="module")
def bytes_page(tmp_path_factory) -> str:
    """Address of a page of a model to which all characters are as probable."""
    folder = tmp_path_factory.mktemp("bytes")
    vocab = {character: k for k, character in enumerate(CHARACTERS, 1)}
    weights = {name: np.zeros(shape) for name, shape in parameter_shapes("rnn", len(vocab), 2, 1).items()}
    charrnn.save(folder / "bytes.t7", charrnn.Checkpoint(Network("rnn", 2, 1, len(vocab), 0.0, weights), vocab))
    convert(folder / "bytes.t7", folder / "bytes.html")
    return (folder / "bytes.html").as_uri()


@pytest.mark.parametrize("width", [320, 390, 820, 1024, 1100, 1200, 1600])
def test_names_and_numbers_stay_in_the_panel(chromium, bytes_page, width):
    with screen(chromium, width):
        visit(chromium, bytes_page)
        chosen = spans(chromium)[40]
        chromium.execute_script("arguments[0].scrollIntoView({block: 'center'})", chosen)
        chosen.click()
        assert chromium.execute_script(OUTSIDE) == 0
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
        heights = chromium.execute_script(
            "return [...document.querySelectorAll('#candidates tr')].map((row) => row.getBoundingClientRect().height)"
        )
        assert len(heights) == 8
        assert sum(heights) < 9.5 * min(heights)  # the overlay must find a place: one name takes two lines


def test_a_given_character_has_its_probability_without_temperature(chromium, bytes_page):
    visit(chromium, bytes_page + "#primetext=a&temperature=0.5&length=5")
    for chosen, words in ((0, ", given: at temperature 1"), (1, "")):
        spans(chromium)[chosen].click()
        shown = chromium.find_element("id", "character").get_property("innerText")
        assert f"11 %{words}\n" in shown and ("given" in shown) == bool(words)
