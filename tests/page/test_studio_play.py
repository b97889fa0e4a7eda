"""The section Play of `pycharrnn studio`: with which model it begins, and what it does when models come and go."""

from __future__ import annotations

import item_models
import pretended_studio
import pytest
from page_tools import Select, click, element, fill, generated, needs_browser, screen, spans, status, text, wait
from pretended_studio import SAMPLE, model, run
from serving_tools import server as started
from studio_page import opened, press, shown

from compat.item_options import record_labels
from pycharrnn.server import schemas

pytestmark = [needs_browser, pytest.mark.slow]

SET_HIDDEN = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true})"


def has_sample(browser, name: str) -> None:
    """Waits until Play shows the text of a model, which one can copy."""
    wait(browser, lambda: f"#model={name}&" in browser.current_url)
    assert generated(browser, len(SAMPLE)) == SAMPLE
    assert element(browser, "model").get_attribute("value") == name
    assert "follow" not in browser.current_url
    assert all(element(browser, button).is_enabled() for button in ("copy", "download", "link"))


@pytest.mark.parametrize("section", ["learn", "bring", "play"])
def test_play_begins_with_a_text_of_the_first_model(chromium, studio, section):
    """Of a page that was open before there was a model, whichever section it showed."""
    opened(chromium, studio, section)
    studio.models = [model("lm_poems_best")]
    click(chromium, "show-play")
    has_sample(chromium, "lm_poems_best")


def test_the_fields_allow_what_the_server_does(chromium, studio, monkeypatch):
    limits = {"length": 77, "items": 78, "primetext": 79, "score": 80}
    monkeypatch.setattr(pretended_studio, "_LIMITS", schemas.Limits(**limits, streams=1))
    studio.models = [model("lm_poems_best")]
    opened(chromium, studio, "play")
    wait(chromium, lambda: element(chromium, "own").get_attribute("data-max") == "80")
    most = {name: element(chromium, name).get_attribute("max") for name in ("length", "max_copy", "items")}
    assert most == {"length": "77", "max_copy": "77", "items": "78"}
    assert element(chromium, "primetext").get_attribute("data-max") == "79"


def test_play_begins_with_a_model_that_was_brought(chromium, studio, tmp_path):
    opened(chromium, studio, "bring")
    (tmp_path / "lm_old.t7").write_bytes(b"a model")
    element(chromium, "model-file").send_keys(str(tmp_path / "lm_old.t7"))
    shown(chromium, "brought", "One model is here to play with")
    click(chromium, "show-play")
    has_sample(chromium, "lm_old")


def test_the_curve_of_a_model_fills_its_width(chromium, studio):
    """The curve is drawn again when Play is shown, and when the width of the window changes."""
    studio.models = [model("lm_poems_best")]
    opened(chromium, studio, "bring")
    wait(chromium, lambda: spans(chromium, "#losses path.val"))
    click(chromium, "show-play")
    wait(chromium, lambda: _has_curve_of_full_width(chromium))
    with screen(chromium, 390):
        wait(chromium, lambda: _has_curve_of_full_width(chromium))


def _has_curve_of_full_width(browser) -> bool:
    drawn, width = browser.execute_script(
        "const svg = document.querySelector('#losses svg'); return [svg.viewBox.baseVal.width, svg.clientWidth]"
    )
    return drawn == width > 200


def test_a_run_with_the_name_that_char_rnn_gives_is_listed_by_its_network(chromium, studio):
    studio.models = [model("lm_lstm_epoch2.00_1.5000", model="gru"), model("lm_lstm2_epoch2.00_1.6000", model="gru")]
    opened(chromium, studio, "play")
    wait(chromium, lambda: spans(chromium, "#model option"))
    names = [one.text.split(" \u00b7 ")[-1] for one in Select(element(chromium, "model")).options]
    assert names[-2:] == ["gru", "lstm2"]


def test_the_first_model_comes_while_the_page_is_hidden(chromium, studio):
    opened(chromium, studio, "play")
    chromium.execute_script(SET_HIDDEN, True)
    studio.models = [model("lm_poems_best")]
    chromium.execute_script(SET_HIDDEN, False)
    has_sample(chromium, "lm_poems_best")


def test_the_first_model_comes_while_score_is_open(chromium, studio):
    opened(chromium, studio, "play")
    click(chromium, "tab-score")
    studio.models = [model("lm_poems_best")]
    wait(chromium, lambda: element(chromium, "model").get_attribute("value") == "lm_poems_best")
    click(chromium, "tab-sample")
    has_sample(chromium, "lm_poems_best")


def test_a_model_that_goes_without_a_text_leaves_its_place(chromium, studio):
    """Else Play would stay empty, with a model that nobody can generate with."""
    opened(chromium, studio, "play")
    fill(chromium, "length", 0)  # so that there is no text yet
    studio.models = [model("lm_poems_best")]
    wait(chromium, lambda: element(chromium, "model").get_attribute("value") == "lm_poems_best")
    studio.models = []
    shown(chromium, "notice", "No checkpoint yet")
    studio.models = [model("lm_ships_best")]
    wait(chromium, lambda: element(chromium, "model").get_attribute("value") == "lm_ships_best")
    assert "gone" not in text(chromium, "model")
    fill(chromium, "length", len(SAMPLE))
    has_sample(chromium, "lm_ships_best")


def test_a_model_that_goes_keeps_its_text(chromium, studio):
    studio.models = [model("lm_poems_best")]
    opened(chromium, studio, "play")
    generated(chromium, len(SAMPLE))
    studio.models = [model("lm_ships_best")]
    wait(chromium, lambda: "lm_poems_best (gone)" in text(chromium, "model"))
    assert text(chromium) == SAMPLE
    fill(chromium, "model", "lm_ships_best")
    has_sample(chromium, "lm_ships_best")


def test_play_begins_with_items_of_the_first_model(chromium, tmp_path):
    """A model with labels, in a studio that runs."""
    with started(str(tmp_path), "-open", "0", command="studio") as running:
        chromium.get("about:blank")
        chromium.get(running.url)
        wait(chromium, lambda: chromium.execute_script("return document.body.dataset.section"))
        labels = record_labels({b"ab": 3, b"b": 2})
        file = item_models.saved(tmp_path, letters="abc\t", **labels)
        click(chromium, "show-play")
        wait(chromium, lambda: spans(chromium, "#item-list li"))
        wait(chromium, lambda: "items" in status(chromium))
        assert len(Select(element(chromium, "label")).options) == 2
        file.unlink()
        wait(chromium, lambda: "gone" in text(chromium, "model"))
        assert spans(chromium, "#item-list li")
        assert all(element(chromium, name).is_enabled() for name in ("copy", "download", "link"))
        chromium.get("about:blank")


def test_play_does_not_follow_the_run_of_another_person(chromium, studio):
    """Neither the section, before a model was chosen, nor the button of a run."""
    studio.runs = [run("poems", "finished")]
    opened(chromium, studio, "play")  # before there is a model
    studio.models = [model("lm_poems_epoch2.00_1.5000", saved=1763000000.0)]
    wait(chromium, lambda: element(chromium, "model").get_attribute("value") == "lm_poems_epoch2.00_1.5000")
    studio.models.insert(0, model("lm_ships_epoch1.00_2.5000", saved=1763000099.0))
    wait(chromium, lambda: "ships" in text(chromium, "model"))
    assert element(chromium, "model").get_attribute("value") == "lm_poems_epoch2.00_1.5000"
    studio.models[1] = model("lm_poems_epoch4.00_1.4000", saved=1763000098.0)  # the training has deleted the other
    wait(chromium, lambda: element(chromium, "model").get_attribute("value") == "lm_poems_epoch4.00_1.4000")
    assert "gone" not in text(chromium, "model")
    click(chromium, "show-learn")
    chromium.refresh()
    press(chromium, "play")
    wait(chromium, lambda: "#model=lm_poems_epoch4.00_1.4000&" in chromium.current_url)
    assert "follow" not in chromium.current_url


@pytest.mark.parametrize("name", ["lm_poems_epoch2.00_1.5000", "lm_poems_epoch1.00_nan", "lm_poems_latest"])
def test_the_text_follows_when_a_training_deletes_its_checkpoint(chromium, studio, name):
    """The text stays with its own model. The page describes no other model, and asks for no copies of a deleted one."""
    studio.models = [model(name, saved=1763000000.0)]
    opened(chromium, studio, "play")
    generated(chromium, len(SAMPLE))
    studio.models = [model("lm_poems_epoch4.00_1.4000", saved=1763000098.0)]
    wait(chromium, lambda: element(chromium, "model").get_attribute("value") == "lm_poems_epoch4.00_1.4000")
    wait(chromium, lambda: "#model=lm_poems_epoch4.00_1.4000&" in chromium.current_url)
    generated(chromium, len(SAMPLE))
    assert "seed=123&" in chromium.current_url


def test_a_color_that_is_chosen_before_the_text_arrives(chromium, studio):
    studio.models = [model("lm_poems_best")]
    opened(chromium, studio, "play")
    generated(chromium, len(SAMPLE))
    chromium.execute_script(
        "const { fetch } = window;"
        "window.fetch = async (path, options) => {"
        "  if (path === 'api/sample') await new Promise((resolve) => (window.release = resolve));"
        "  return fetch(path, options);"
        "};"
    )
    fill(chromium, "seed", 7)
    wait(chromium, lambda: chromium.execute_script("return !!window.release"))
    before = element(chromium, "color").get_attribute("value")
    other = next(value for value in ("probability", "none") if value != before)
    fill(chromium, "color", other)
    chromium.execute_script("window.release()")
    wait(chromium, lambda: "seed=7&" in chromium.current_url)
    generated(chromium, len(SAMPLE))
    assert f"color={other}" in chromium.current_url


def test_a_label_that_the_user_chooses_stays(chromium, tmp_path):
    """Not that of a link before it."""
    opt = {"letters": "abcé\t", "label": "file", **record_labels({b"ab": 3, b"b": 2})}
    first = item_models.saved(tmp_path, "line", **opt)
    second = first.rename(first.with_name("lm_other_best.t7"))
    item_models.saved(tmp_path, "line", **opt)
    with started(tmp_path / "cv") as running:
        chromium.get(f"{running.url}#model={first.stem}")
        wait(chromium, lambda: "items" in status(chromium))
        chromium.execute_script("location.hash = arguments[0]", f"model={first.stem}&label=b&seed=5")
        wait(chromium, lambda: element(chromium, "label").get_attribute("value") == "b")
        fill(chromium, "label", "ab")
        fill(chromium, "model", second.stem)
        wait(chromium, lambda: f"model={second.stem}&" in chromium.current_url)
        assert element(chromium, "label").get_attribute("value") == "ab" and "label=ab" in chromium.current_url
        chromium.get("about:blank")
