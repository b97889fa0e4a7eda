"""Longest copy on the page: the field of a served model whose training text is here."""

from __future__ import annotations

import item_models
import numpy as np
import pytest
from conftest import run
from page_tools import Select, element, fill, generated, needs_browser, status, text, visit, wait
from serving_tools import LSTM, server

pytestmark = needs_browser

TEXT = bytes(np.random.default_rng(1).choice([*b"abc\n"], 120).tolist())
ITEMS = b"abca\nbcab\ncabc\naabb\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address and the folder of models of a text and of items, and of one whose text is not here."""
    folder = tmp_path_factory.mktemp("max_copy")
    for name, kind, content in (("prose", "", TEXT), ("names", "line", ITEMS)):
        (folder / name).mkdir()
        made = item_models.saved(folder / name, kind, content, letters="abc", data_dir=str(folder / name / "data/list"))
        made.rename(folder / f"{name}.t7")
    with server(str(folder / "prose.t7"), str(folder / "names.t7"), LSTM) as running:
        yield running.url, folder


def field(browser):
    return element(browser, "max_copy")


def test_a_text_copies_no_longer_passage_than_the_field_says(chromium, served):
    url, folder = served
    visit(chromium, url + "#model=prose&length=200&seed=3")
    assert field(chromium).get_attribute("value") == "0" and "max_copy" not in chromium.current_url
    plain = generated(chromium)
    fill(chromium, "max_copy", 3)
    wait(chromium, lambda: text(chromium) != plain)
    limited = generated(chromium)
    flags = ["-length", "200", "-seed", "3", "-temperature", "0.7", "-max_copy", "3", "-gpuid", "-1", "-verbose", "0"]
    printed = run("sample", str(folder / "prose.t7"), *flags).stdout
    assert limited.encode() == printed.removesuffix(b"\n")
    visit(chromium, chromium.current_url)  # the address brings it back
    assert generated(chromium) == limited and field(chromium).get_attribute("value") == "3"
    fill(chromium, "max_copy", 1)
    wait(chromium, lambda: "raise Longest copy" in status(chromium))
    assert status(chromium) == "0 characters: any further one would copy more than 1; raise Longest copy"
    assert text(chromium) == ""
    assert not element(chromium, "continue").is_enabled()
    fill(chromium, "max_copy", -1)
    wait(chromium, lambda: element(chromium, "max_copy-problem").text == "Longest copy: a number from 0 to 10000")


def test_items_too_and_no_field_without_the_text(chromium, served):
    url, _ = served
    visit(chromium, url + "#model=names&items=30&max_copy=2")
    wait(chromium, lambda: status(chromium).startswith("30 items"))
    drawn = chromium.execute_script("return [...document.querySelectorAll('.item')].map((item) => item.textContent)")
    assert any(len(item) > 3 for item in drawn)
    assert not [item for item in drawn for k in range(len(item) - 2) if item[k : k + 3] in ITEMS.decode()]
    Select(element(chromium, "model")).select_by_value(LSTM.stem)
    wait(chromium, lambda: status(chromium).endswith("characters"))
    assert not field(chromium).is_displayed() and "max_copy" not in chromium.current_url
