"""The page of a folder that training writes to: the list, the losses and the text follow."""

from __future__ import annotations

import os
import shutil

import pytest
from conftest import GOLDEN, run
from page_tools import Select, click, drawn, element, fill, needs_browser, status, text, visit, wait
from serving_tools import LSTM, server

pytestmark = needs_browser

WORSE = GOLDEN / "lstm2" / "lm_lstm2_epoch2.71_2.9394.t7"


@pytest.fixture
def folder(chromium, tmp_path):
    """An empty folder, of which the browser shows the page."""
    with server(tmp_path, "-follow", "1") as running:
        visit(chromium, running.url)
        yield tmp_path
        chromium.get("about:blank")


def write(file, folder) -> None:
    """Copy a checkpoint as training writes one: it appears whole."""
    os.replace(shutil.copy(file, folder / "half"), folder / file.name)


def options(browser) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('#model option')].map((one) => one.value)")


def about(browser) -> str:
    return element(browser, "about").text


def test_the_first_checkpoint_is_drawn_from_when_it_comes(chromium, folder):
    assert element(chromium, "notice").text == "No checkpoint yet: the page waits for the first one."
    assert not element(chromium, "draw").is_enabled()
    fill(chromium, "length", 50)
    write(LSTM, folder)
    wait(chromium, lambda: about(chromium).startswith(f"{LSTM.stem}: lstm, 2"))
    drawn(chromium, 50)
    assert element(chromium, "notice").text == ""
    assert chromium.title == f"Text of {LSTM.stem} - pycharrnn"


def test_the_text_and_the_losses_follow_the_newest(chromium, folder):
    write(WORSE, folder)
    wait(chromium, lambda: about(chromium).startswith(WORSE.stem))
    fill(chromium, "length", 60)
    first = drawn(chromium, 60)
    words = element(chromium, "losses-words")
    wait(chromium, lambda: "after epoch 2.71" in words.text)
    write(LSTM, folder)
    wait(chromium, lambda: about(chromium).startswith(LSTM.stem))
    wait(chromium, lambda: text(chromium) != first)
    drawn(chromium, 60)
    wait(chromium, lambda: "after epoch 3.00" in words.text)
    assert Select(element(chromium, "model")).first_selected_option.text == "the newest"
    assert "follow=newest" in chromium.current_url
    click(chromium, "link")
    wait(chromium, lambda: status(chromium) == "link copied")
    link = chromium.execute_script("return navigator.clipboard.readText()")
    assert f"model={LSTM.stem}" in link  # whose text a friend gets, whatever is the newest then
    assert "follow" not in link


def test_the_best_so_far(chromium, folder):
    write(LSTM, folder)
    wait(chromium, lambda: about(chromium).startswith(LSTM.stem))
    Select(element(chromium, "model")).select_by_visible_text("the best so far")
    fill(chromium, "length", 60)
    first = drawn(chromium, 60)
    write(WORSE, folder)
    wait(chromium, lambda: len(options(chromium)) == 4)
    assert about(chromium).startswith(LSTM.stem)
    assert text(chromium) == first
    visit(chromium, chromium.current_url)
    assert Select(element(chromium, "model")).first_selected_option.text == "the best so far"
    assert drawn(chromium, 60) == first


def test_a_model_that_was_chosen_by_name_stays(chromium, folder):
    write(WORSE, folder)
    wait(chromium, lambda: WORSE.stem in options(chromium))
    Select(element(chromium, "model")).select_by_value(WORSE.stem)
    fill(chromium, "length", 60)
    first = drawn(chromium, 60)
    write(LSTM, folder)
    wait(chromium, lambda: options(chromium)[2:] == [LSTM.stem, WORSE.stem])  # the best first
    assert element(chromium, "model").get_attribute("value") == WORSE.stem
    assert text(chromium) == first


def test_a_training_is_watched(chromium, tmp_path):
    """One trains, and sees in the browser how the loss falls."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "input.txt").write_bytes((GOLDEN / "corpus" / "input.txt").read_bytes())
    flags = "-rnn_size 8 -num_layers 1 -seq_length 10 -batch_size 10 -max_epochs 1 -eval_val_every 100 -gpuid -1"
    (tmp_path / "cv").mkdir()
    with server(tmp_path / "cv", "-follow", "1") as running:
        visit(chromium, running.url)
        fill(chromium, "length", 30)
        result = run("train", "-data_dir", "data", *flags.split(), cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        losses = [name.stem for name in (tmp_path / "cv").glob("*epoch*")]
        wait(chromium, lambda: set(options(chromium)[2:]) >= set(losses))
        drawn(chromium, 30)
        newest = max(losses, key=lambda name: float(name.split("epoch")[1].split("_")[0]))
        wait(chromium, lambda: about(chromium).startswith(newest))
        wait(chromium, lambda: "after epoch 1.00" in element(chromium, "losses-words").text)
        chromium.get("about:blank")
