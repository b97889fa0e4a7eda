"""The pages that score, activations and copied write, in a real browser."""

from __future__ import annotations

import shutil

import pytest
from conftest import run
from page_tools import By, Keys, needs_browser, screen
from serving_tools import LSTM

pytestmark = needs_browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Title -> address of each page, of a checkpoint with a long name."""
    folder = tmp_path_factory.mktemp("pages")
    name = f"lm_{'verylong' * 5}_epoch3.00_2.8734"
    shutil.copy(LSTM, folder / f"{name}.t7")
    (folder / "text.txt").write_bytes(b"The night was long,\nand the list of its stars was longer. " * 9)
    (folder / "sample.txt").write_bytes(
        b"So the list of its stars was long.\n" + b"x\n" * 99 + b"The night was long,\nand"
    )
    for command in (
        ["score", f"{name}.t7", "text.txt", "-html", "surprise.html"],
        ["activations", f"{name}.t7", "-primefile", "text.txt", "-o", "units.html"],
        ["copied", "sample.txt", "-text", "text.txt", "-html", "copies.html"],
    ):
        result = run(*command, cwd=folder)
        assert result.returncode == 0, result.stderr
    return {
        f"Surprise of {name} - pycharrnn": (folder / "surprise.html").as_uri(),
        f"Hidden units of {name} - pycharrnn": (folder / "units.html").as_uri(),
        "Copies in sample.txt - pycharrnn": (folder / "copies.html").as_uri(),
    }


def test_title_and_heading_agree(chromium, pages):
    for title, address in pages.items():
        chromium.get(address)
        assert chromium.title == title
        assert f"{chromium.find_element(By.TAG_NAME, 'h1').text} - pycharrnn" == title


def test_pages_and_their_legends_fit_the_screen(chromium, pages):
    for address in pages.values():
        chromium.get(address)
        for width in (320, 360, 800, 1280):
            with screen(chromium, width):
                assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
                too_wide = chromium.execute_script(
                    "return [...document.querySelectorAll('h1, h2, p, p *')]"
                    ".filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML)"
                )
                assert too_wide == []


def test_the_legend_of_the_activations_shows_its_shades(chromium, pages):
    chromium.get(list(pages.values())[1])
    with screen(chromium, 320):
        legend = chromium.find_element(By.CSS_SELECTOR, ".scale")
        assert legend.get_property("innerText").split() == ["\u22121", "+1"]
        blocks = legend.find_elements(By.TAG_NAME, "i")
        assert len({block.value_of_css_property("background-color") for block in blocks}) == len(blocks) == 11
        assert len({block.rect["y"] for block in blocks}) == 1
        assert min(block.rect["width"] for block in blocks) > 10


def test_a_tap_on_a_copy_shows_its_length_and_its_place(chromium, pages):
    chromium.get(pages["Copies in sample.txt - pycharrnn"])
    copies, panel = chromium.find_elements(By.TAG_NAME, "b"), chromium.find_element(By.ID, "character")
    for width in (390, 1280):
        with screen(chromium, width):
            chromium.find_element(By.TAG_NAME, "pre").click()
            assert panel.is_displayed() == (width > 1000)
            for copy, words in zip(
                copies, ("31 characters, line 2, column 4", "23 characters, line 1, column 1"), strict=True
            ):
                copy.click()
                assert panel.text.split() == f"Copied copied: {words}".split()
                assert chromium.find_elements(By.CSS_SELECTOR, "b.here") == [copy]
                box = chromium.execute_script("return arguments[0].getBoundingClientRect().toJSON()", panel)
                assert box["top"] >= 0 and box["bottom"] <= chromium.execute_script("return innerHeight")
            chromium.find_element(By.TAG_NAME, "h1").click()


def test_the_copies_by_keyboard(chromium, pages):
    chromium.get(pages["Copies in sample.txt - pycharrnn"])
    copies = chromium.find_elements(By.TAG_NAME, "b")
    words = ["copied: 31 characters, line 2, column 4", "copied: 23 characters, line 1, column 1"]
    chromium.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    box = chromium.switch_to.active_element
    assert (box.tag_name, box.accessible_name) == ("pre", "Sample")
    for key, chosen in (("RIGHT", 0), ("RIGHT", 1), ("RIGHT", 1), ("LEFT", 0), ("LEFT", 0)):
        box.send_keys(getattr(Keys, f"ARROW_{key}"))
        assert chromium.find_elements(By.CSS_SELECTOR, "b.here") == [copies[chosen]]
        announced = chromium.find_element(By.ID, "announced")
        assert announced.get_attribute("textContent") == words[chosen]
        place = chromium.execute_script("return arguments[0].getBoundingClientRect().toJSON()", copies[chosen])
        assert place["top"] >= 0 and place["bottom"] <= chromium.execute_script("return innerHeight")
    box.send_keys(Keys.ESCAPE)
    assert chromium.find_elements(By.CSS_SELECTOR, "b.here") == []


def test_the_legend_of_the_copies_begins_at_the_least(chromium, pages):
    chromium.get(pages["Copies in sample.txt - pycharrnn"])
    with screen(chromium, 320):
        legend = chromium.find_element(By.CSS_SELECTOR, ".scale")
        assert legend.get_property("innerText").splitlines() == ["20", "192 or more"]
        blocks = legend.find_elements(By.TAG_NAME, "i")
        assert [block.get_attribute("class") for block in blocks] == [f"o{level}" for level in range(3, 11)]
        assert legend.rect["height"] < 2 * blocks[0].rect["height"]
