"""The page of a folder that training writes to: the list, the losses and the text follow."""

from __future__ import annotations

import os
import shutil
import time

import pytest
from conftest import GOLDEN, run
from page_tools import click, copied, element, fill, generated, logged, needs_browser, status, text, visit, wait
from serving_tools import LSTM, get, server, until

pytestmark = [needs_browser, pytest.mark.slow]

WORSE = GOLDEN / "lstm2" / "lm_lstm2_epoch2.71_2.9394.t7"


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A folder, and the address of a server that follows it."""
    path = tmp_path_factory.mktemp("cv")
    with server(path, "-follow", "1") as running:
        yield path, running.url


@pytest.fixture
def folder(chromium, followed):
    """That folder, empty, of which the browser shows the page."""
    path, url = followed
    for file in path.iterdir():
        file.unlink()
    until(lambda: not get(f"{url}api/models").json()["models"])
    logged(chromium)
    visit(chromium, url)
    yield path
    chromium.get("about:blank")
    assert logged(chromium) == []


def write(file, folder) -> None:
    """Copy a checkpoint as training writes one: it appears whole."""
    os.replace(shutil.copy(file, folder / "half"), folder / file.name)


def options(browser) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('#model option')].map((one) => one.value)")


def chosen(browser) -> str:
    return browser.execute_script("return document.getElementById('model').selectedOptions[0].text")


def about(browser) -> str:
    return element(browser, "facts").text


def test_the_first_checkpoint_is_drawn_from_when_it_comes(chromium, folder):
    assert element(chromium, "notice").text == "No checkpoint yet: waiting for the first one."
    notice, main = (element(chromium, name).rect for name in ("notice", "main"))
    assert notice["y"] + notice["height"] + 10 <= main["y"]
    assert not element(chromium, "generate").is_enabled()
    assert not element(chromium, "dice").is_enabled()
    fill(chromium, "length", 50)
    write(LSTM, folder)
    wait(chromium, lambda: about(chromium).startswith(f"{LSTM.stem}: lstm, 2"))
    generated(chromium, 50)
    assert element(chromium, "notice").text == ""
    assert chromium.title == "corpus"


def test_the_first_checkpoint_is_drawn_from_when_score_is_left(chromium, folder):
    click(chromium, "tab-score")
    write(LSTM, folder)
    wait(chromium, lambda: about(chromium).startswith(LSTM.stem))
    fill(chromium, "length", 50)
    click(chromium, "tab-sample")
    generated(chromium, 50)


def test_the_text_and_the_losses_follow_the_newest(chromium, folder):
    write(WORSE, folder)
    wait(chromium, lambda: about(chromium).startswith(WORSE.stem))
    fill(chromium, "length", 60)
    first = generated(chromium, 60)
    words = element(chromium, "losses-words")
    wait(chromium, lambda: "after epoch 2.71" in words.text)
    write(LSTM, folder)
    wait(chromium, lambda: about(chromium).startswith(LSTM.stem))
    wait(chromium, lambda: text(chromium) != first)
    generated(chromium, 60)
    wait(chromium, lambda: "after epoch 3.00" in words.text)
    assert chosen(chromium) == "the newest"
    assert "follow=newest" in chromium.current_url
    click(chromium, "link")
    wait(chromium, lambda: status(chromium) == "link copied")
    link = copied(chromium)
    assert f"model={LSTM.stem}" in link  # whose text a friend gets, whatever is the newest then
    assert "follow" not in link


def test_a_checkpoint_that_comes_while_a_text_is_sampled(chromium, folder):
    """The text is completed, then sampled from the new one."""
    write(WORSE, folder)
    wait(chromium, lambda: about(chromium).startswith(WORSE.stem))
    wait(chromium, lambda: status(chromium).endswith("characters"))
    chromium.execute_script(
        "const fetch = window.fetch;"
        "window.fetch = async (path, options) => {"
        "  const response = await fetch(path, options);"
        "  if (path !== 'api/sample' || window.release) return response;"
        "  const content = await response.text();"
        "  await new Promise((resolve) => (window.release = resolve));"
        "  return new Response(content);"
        "};"
    )
    fill(chromium, "length", 60)
    wait(chromium, lambda: chromium.execute_script("return !!window.release"))
    write(LSTM, folder)
    wait(chromium, lambda: about(chromium).startswith(LSTM.stem))
    assert WORSE.stem in chromium.current_url
    chromium.execute_script("window.release()")
    wait(chromium, lambda: LSTM.stem in chromium.current_url)
    generated(chromium, 60)


def test_the_best_so_far(chromium, folder):
    write(LSTM, folder)
    wait(chromium, lambda: about(chromium).startswith(LSTM.stem))
    fill(chromium, "model", "\tbest")
    fill(chromium, "length", 60)
    first = generated(chromium, 60)
    write(WORSE, folder)
    wait(chromium, lambda: len(options(chromium)) == 4)
    assert about(chromium).startswith(LSTM.stem)
    assert text(chromium) == first
    visit(chromium, chromium.current_url)
    assert chosen(chromium) == "the best so far"
    assert generated(chromium, 60) == first


def test_a_model_that_was_chosen_by_name_stays(chromium, folder):
    write(WORSE, folder)
    wait(chromium, lambda: WORSE.stem in options(chromium))
    fill(chromium, "model", WORSE.stem)
    fill(chromium, "length", 60)
    first = generated(chromium, 60)
    write(LSTM, folder)
    wait(chromium, lambda: options(chromium)[2:] == [LSTM.stem, WORSE.stem])  # the best first
    assert element(chromium, "model").get_attribute("value") == WORSE.stem
    assert text(chromium) == first


def test_a_model_whose_file_is_replaced(chromium, folder):
    """Its text and its score become those of the new checkpoint, which the page describes, also in the other tab."""
    shutil.copy(WORSE, folder / "a.t7")
    wait(chromium, lambda: "a" in options(chromium))
    fill(chromium, "model", "a")
    fill(chromium, "length", 60)
    worse = generated(chromium, 60)
    os.replace(shutil.copy(LSTM, folder / "half"), folder / "a.t7")
    wait(chromium, lambda: text(chromium) != worse)
    assert "follow" not in chromium.current_url and "seed=123&" in chromium.current_url
    better = generated(chromium, 60)
    click(chromium, "tab-score")
    fill(chromium, "own", "The night")
    click(chromium, "score-button")
    wait(chromium, lambda: "bits" in score_words(chromium))
    scored = score_words(chromium)
    os.replace(shutil.copy(WORSE, folder / "half"), folder / "a.t7")
    wait(chromium, lambda: "bits" in score_words(chromium) and score_words(chromium) != scored)
    click(chromium, "tab-sample")
    wait(chromium, lambda: text(chromium) == worse != better)


def score_words(browser) -> str:
    return element(browser, "score-status").text


def test_a_model_whose_file_is_gone(chromium, folder):
    write(LSTM, folder)
    wait(chromium, lambda: LSTM.stem in options(chromium))
    fill(chromium, "model", LSTM.stem)
    fill(chromium, "length", 40)
    first = generated(chromium, 40)
    (folder / LSTM.name).unlink()
    wait(chromium, lambda: chosen(chromium) == f"{LSTM.stem} (gone)")
    assert text(chromium) == first
    assert not element(chromium, "generate").is_enabled()
    write(WORSE, folder)
    wait(chromium, lambda: WORSE.stem in options(chromium))
    fill(chromium, "model", WORSE.stem)
    wait(chromium, lambda: WORSE.stem in chromium.current_url)
    assert generated(chromium, 40) != first


def test_a_training_is_watched(chromium, folder, tmp_path):
    """One trains, and sees in the browser how the loss falls."""
    (tmp_path / "data").mkdir()
    shutil.copy(GOLDEN / "corpus" / "input.txt", tmp_path / "data")
    fill(chromium, "length", 30)
    flags = "-rnn_size 8 -num_layers 1 -seq_length 10 -batch_size 10 -max_epochs 1 -eval_val_every 100 -gpuid -1"
    result = run("train", "-data_dir", "data", "-checkpoint_dir", str(folder), *flags.split(), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    names = [file.stem for file in folder.glob("*epoch*")]
    assert len(names) > 3
    wait(chromium, lambda: set(options(chromium)[2:]) == set(names))
    newest = max(names, key=lambda name: float(name.split("epoch")[1].split("_")[0]))
    wait(chromium, lambda: about(chromium).startswith(newest))
    generated(chromium, 30)
    wait(chromium, lambda: "after epoch 1.00" in element(chromium, "losses-words").text)


def test_a_new_checkpoint_does_not_move_the_focus(chromium, folder):
    write(WORSE, folder)
    fill(chromium, "length", 50)
    generated(chromium, 50)
    fill(chromium, "seed", "")
    element(chromium, "primetext").send_keys("The ")
    before = about(chromium)
    write(LSTM, folder)
    wait(chromium, lambda: about(chromium) != before)
    time.sleep(0.2)
    assert chromium.switch_to.active_element.get_attribute("id") == "primetext"
