"""The page of pycharrnn serve in a real browser: what one does with it."""

from __future__ import annotations

import contextlib
import dataclasses
import time

import pytest
from page_tools import (
    By,
    Keys,
    Select,
    click,
    copied,
    downloaded,
    element,
    fill,
    generated,
    needs_browser,
    network,
    spans,
    status,
    text,
    visit,
    wait,
    webdriver,
)
from serving_tools import GRU, LSTM

from pycharrnn.analysis import adapted, scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine.adapt_options import AdaptOptions

pytestmark = needs_browser


def test_a_sample_and_another_temperature(page):
    fill(page, "length", 200)
    element(page, "primetext").send_keys("The night")
    element(page, "generate").click()
    first = generated(page, 209)
    assert first.startswith("The night")
    assert len(page.find_elements(By.CSS_SELECTOR, "#text span.given")) == 9
    fill(page, "temperature", 0.2)
    assert element(page, "temperature-shown").text == "0.20"
    wait(page, lambda: text(page) != first)
    colder = generated(page, 209)
    assert colder.startswith("The night")
    fill(page, "temperature", 0.7)
    wait(page, lambda: text(page) != colder)
    assert generated(page, 209) == first


@pytest.fixture
def slow_network(page):
    """Half a minute for the longest sample, which is drawn in less time than a busy machine may take for a click."""

    with contextlib.ExitStack() as stack:
        stack.enter_context(network(page, throughput=20_000))
        yield stack


def test_stop(page, slow_network):
    assert not element(page, "stop").is_enabled()
    fill(page, "length", 10_000)
    element(page, "generate").click()
    wait(page, lambda: "length=10000" in page.current_url)
    element(page, "stop").click()
    wait(page, lambda: status(page).startswith("stopped after"))
    length = len(text(page))
    assert length < 10_000
    time.sleep(0.3)
    assert len(text(page)) == length
    assert not element(page, "stop").is_enabled()


def test_a_link_brings_the_sample_back(page, address):
    Select(element(page, "model")).select_by_value(GRU.stem)
    fill(page, "length", 150)
    fill(page, "seed", 4_000_000_000)
    fill(page, "topk", 9)
    fill(page, "topp", 0.95)
    element(page, "primetext").send_keys('a & "b"; \u00e9?\nthe ')
    element(page, "generate").click()
    wait(page, lambda: status(page).endswith("characters"))
    first, link = text(page), page.current_url
    assert link.startswith(address + "#")
    element(page, "link").click()
    wait(page, lambda: status(page) == "link copied")
    assert copied(page) == link
    visit(page, link)
    wait(page, lambda: status(page).endswith("characters"))
    assert text(page) == first
    assert element(page, "seed").get_attribute("value") == "4000000000"
    assert element(page, "model").get_attribute("value") == GRU.stem


def test_two_at_once(page, address):
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    second = page.current_window_handle
    try:
        for window, seed in ((first, 1), (second, 2)):
            page.switch_to.window(window)
            visit(page, address + f"#model={LSTM.stem}&length=3000&seed={seed}")
        texts = []
        for window in (first, second):
            page.switch_to.window(window)
            wait(page, lambda: status(page).endswith("characters"))
            texts.append(text(page))
        assert texts[0] != texts[1]
        assert min(map(len, texts)) > 2900
    finally:
        page.switch_to.window(second)
        page.close()
        page.switch_to.window(first)


def test_candidates_by_keyboard_and_mouse(page):
    fill(page, "length", 60)
    wait(page, lambda: status(page).endswith("characters"))
    assert element(page, "candidates").text == "Hover over a character."
    element(page, "text").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    rows = page.find_elements(By.CSS_SELECTOR, "#candidates tr")
    assert len(rows) == 8
    shown = page.find_element(By.CSS_SELECTOR, "#candidates caption").text
    chosen = page.find_element(By.CSS_SELECTOR, "#text .here").get_attribute("textContent")
    assert shown.startswith({" ": "space", "\n": "newline", "\t": "tab"}.get(chosen, chosen))
    shares = [float(row.get_property("innerText").split()[-2]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    element(page, "text").send_keys(Keys.END)
    spans = page.find_elements(By.CSS_SELECTOR, "#text span")
    assert "here" in spans[-1].get_attribute("class")
    letter = next(k for k, span in enumerate(spans) if span.get_attribute("textContent").isalnum())
    webdriver.ActionChains(page).move_to_element(spans[letter]).perform()
    wait(page, lambda: "here" in spans[letter].get_attribute("class"))


def test_the_whole_page_by_keyboard(page):
    """Tab reaches every control in order; Ctrl-Enter in the beginning draws."""
    page.execute_script("document.body.focus()")
    reached = []
    for _ in range(20):
        webdriver.ActionChains(page).send_keys(Keys.TAB).perform()
        reached.append(page.switch_to.active_element.get_attribute("id"))
    wanted = [
        "model",
        "temperature",
        "topk",
        "topp",
        "seed",
        "length",
        "color",
        "primetext",
        "generate",
        "dice",
        "continue",
        "text",
    ]
    assert [name for name in reached if name in wanted][: len(wanted)] == wanted
    fill(page, "length", 30)
    element(page, "primetext").send_keys("The ", Keys.CONTROL, Keys.ENTER)
    wait(page, lambda: text(page).startswith("The "))


def test_a_text_drawn_from_within_a_control_stays_when_that_is_left(page):
    fill(page, "length", 60)
    element(page, "primetext").send_keys("The ", Keys.CONTROL, Keys.ENTER)
    generated(page, 64)
    page.execute_script("document.querySelector('#text span').dataset.kept = 1")
    element(page, "text").send_keys(Keys.END)
    assert status(page) == "64 characters"
    assert page.execute_script("return document.querySelector('#text span').dataset.kept") == "1"
    assert "here" in spans(page)[-1].get_attribute("class")


def test_decimals_with_a_comma(page):
    """Typed key by key, they are those with a point: in the text, in its address, and in what a model learns by."""
    fill(page, "length", 60)
    fill(page, "topp", "0.8")
    wait(page, lambda: "topp=0.8&" in page.current_url)
    first = generated(page, 60)
    fill(page, "topp", "1")
    wait(page, lambda: "topp=1&" in page.current_url)
    generated(page, 60)
    element(page, "topp").send_keys(Keys.BACKSPACE, "0,80", Keys.ENTER)
    wait(page, lambda: "topp=0.8&" in page.current_url)
    assert generated(page, 60) == first
    click(page, "tab-score")
    fill(page, "own", "the cat")
    click(page, "score-adapt")
    for name in ("adapt_rate", "adapt_pull"):
        element(page, name).clear()
        element(page, name).send_keys("0,01")
    page.execute_script(
        "const fetch = window.fetch;"
        "window.fetch = (path, options) => {"
        "  if (path === 'api/score') window.asked = JSON.parse(options.body);"
        "  return fetch(path, options);"
        "};"
    )
    click(page, "score-button")
    asked = wait(page, lambda: page.execute_script("return window.asked"))
    assert (asked["adapt_rate"], asked["adapt_pull"]) == (0.01, 0.01)


def classes(page) -> list[str]:
    return page.execute_script("return [...document.querySelectorAll('#text span')].map((span) => span.className)")


def test_tints(page):
    fill(page, "length", 120)
    wait(page, lambda: status(page).endswith("characters"))
    first = text(page)
    assert page.find_elements(By.CSS_SELECTOR, "#text .o10, #text .o9")
    assert not element(page, "unit").is_displayed()
    Select(element(page, "color")).select_by_value("unit")
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, "#text [class*=b]"))
    assert element(page, "unit").is_displayed()
    wait(page, lambda: status(page).endswith("characters"))
    assert text(page) == first
    one = classes(page)
    fill(page, "unit", 7)
    wait(page, lambda: "unit=7" in page.current_url and status(page).endswith("characters"))
    assert "layer=1" in page.current_url
    assert classes(page) != one
    Select(element(page, "color")).select_by_value("none")
    wait(page, lambda: not page.find_elements(By.CSS_SELECTOR, "#text [class*=o1], #text [class*=b1]"))
    colours = page.execute_script(
        "const spans = [...document.querySelectorAll('#text span')];"
        "return [...new Set(spans.map(s => getComputedStyle(s).backgroundColor))]"
    )
    assert colours == ["rgba(0, 0, 0, 0)"]
    assert "color=none" in page.current_url
    assert "unit=" not in page.current_url and "layer=" not in page.current_url  # a link has what matters


def test_copy_and_download(page):
    fill(page, "length", 100)
    wait(page, lambda: status(page).endswith("characters"))
    whole = text(page)
    element(page, "copy").click()
    wait(page, lambda: status(page) == "text copied")
    assert copied(page) == whole
    element(page, "download").click()
    assert downloaded(page, "sample.txt").read_bytes().decode() == whole


def test_continue_draws_on_from_the_end(page, address):
    """What it adds is what a longer sample would have had, and its link brings all of that back."""
    fill(page, "length", 150)
    element(page, "primetext").send_keys("The night")
    click(page, "generate")
    first = generated(page, 159)
    page.execute_script("document.querySelector('#text span').dataset.kept = 1")
    click(page, "continue")
    longer = generated(page, 309)
    assert longer.startswith(first)
    assert page.execute_script("return document.querySelector('#text span').dataset.kept") == "1"  # it was not redrawn
    assert element(page, "length").get_attribute("value") == "300"
    click(page, "continue")
    longest = generated(page, 459)
    assert longest.startswith(longer)
    visit(page, page.current_url)
    assert generated(page, 459) == longest


def test_continue_up_to_the_longest_sample(page, address):
    visit(page, f"{address}#model={LSTM.stem}&length=9990")
    wait(page, lambda: status(page).endswith("characters"))
    before = text(page)
    click(page, "continue")
    wait(page, lambda: len(text(page)) > len(before) and status(page).endswith("characters"))
    assert text(page)[: len(before) - 1] == before[:-1]
    assert element(page, "length").get_attribute("value") == "10000"
    assert not element(page, "continue").is_enabled()
    assert element(page, "continue").get_attribute("title") == "Length: at most 10000 bytes"


def test_continue_after_stop(page, slow_network):
    fill(page, "length", 3000)
    wait(page, lambda: "length=3000" in page.current_url and len(text(page)) > 20)
    click(page, "stop")
    wait(page, lambda: status(page).startswith("stopped after"))
    before = text(page)
    click(page, "continue")
    slow_network.close()
    wait(page, lambda: status(page).endswith("characters") and "stopped" not in status(page))
    assert text(page).startswith(before[:-1])
    assert element(page, "length").get_attribute("value") == "3000"


def test_a_text_is_read_from_its_start(page, address):
    visit(page, f"{address}#model={LSTM.stem}&length=3000")
    scrolled = (
        "const box = document.getElementById('text'); return [box.scrollTop, box.scrollHeight - box.clientHeight]"
    )
    page.execute_script("document.getElementById('text').scrollTop = 200")
    click(page, "dice")
    generated(page)
    top, most = page.execute_script(scrolled)
    assert most > 100
    assert top == 0
    click(page, "continue")
    generated(page)
    top, longer = page.execute_script(scrolled)
    assert most - 30 < top < longer - 100  # at the first line that is new; 30: the padding below the text, and more


def test_a_score_while_learning(page):
    """The bar has an amount, and the controls of learning are those of the command line."""
    told = "The night is the night\n" * 800  # more than a turn of the server
    for field in dataclasses.fields(AdaptOptions):
        control = element(page, field.name)
        names = ("min", "max") if control.get_attribute("type") == "number" else ("data-from", "data-to")
        low, high, default = (float(control.get_attribute(name)) for name in (*names, "defaultValue"))
        assert default == field.default and not control.is_displayed()
        for value in (low, high):
            AdaptOptions(**{field.name: value})
        assert not field.metadata["allowed"].holds(high + 1) and not field.metadata["allowed"].holds(low - 1)
    click(page, "tab-score")
    fill(page, "own", told)
    click(page, "score-adapt")
    fill(page, "adapt_rate", "0.01")
    fill(page, "adapt_length", "10")
    page.execute_script("""
        const bar = document.getElementById("score-progress");
        window.amounts = [];
        const note = (records) => amounts.push(...records.map(({ oldValue }) => Number(oldValue)));
        new MutationObserver(note).observe(bar, { attributeFilter: ["value"], attributeOldValue: true });
    """)
    click(page, "score-button")
    how = AdaptOptions(adapt_rate=0.01, adapt_length=10).adaptation
    learnt = adapted.score(checkpoint.load(LSTM), told.encode(), how).bits_per_character
    wait(page, lambda: f"; {learnt:.3f} while learning" in element(page, "score-status").text)
    amounts = page.execute_script("return amounts")
    assert amounts == sorted(amounts) and any(0 < amount < 1 for amount in amounts)
    fill(page, "adapt_pull", "2")
    click(page, "score-button")
    assert element(page, "adapt_pull-problem").text == "Pull back: a number from 0 to 1"
    click(page, "score-adapt")
    assert not element(page, "adapt_pull").is_displayed()
    click(page, "score-button")
    wait(page, lambda: "learning" not in element(page, "score-status").text)


def test_a_score_that_is_stopped_does_not_count_the_sample(page):
    generated(page)
    click(page, "tab-score")
    fill(page, "own", "The night is the night\n" * 800)
    page.execute_script("for (const id of ['score-button', 'score-stop']) document.getElementById(id).click()")
    wait(page, lambda: text(page, "score-status") == "stopped")


def test_a_request_that_one_of_the_other_tab_ends_says_so(page, slow_network):
    """Its status would stay that of a running one."""
    generated(page)
    click(page, "tab-score")
    fill(page, "own", "The night is the night\n" * 800)
    page.execute_script("for (const id of ['score-button', 'tab-sample', 'dice']) document.getElementById(id).click()")
    wait(page, lambda: text(page, "score-status") == "stopped")
    fill(page, "length", 10_000)
    wait(page, lambda: "length=10000" in page.current_url)
    fill(page, "own", "The night")
    page.execute_script("for (const id of ['tab-score', 'score-button']) document.getElementById(id).click()")
    wait(page, lambda: text(page, "scored") == "The night")
    assert status(page).startswith("stopped after ")


def test_a_model_that_is_chosen_during_the_first_score_scores(page):
    generated(page)
    click(page, "tab-score")
    fill(page, "own", told := "The night is the night\n" * 800)
    page.execute_script(
        "document.getElementById('score-button').click();"
        "const model = document.getElementById('model');"
        "model.value = arguments[0];"
        "model.dispatchEvent(new Event('change', { bubbles: true }));",
        GRU.stem,
    )
    score = scoring.score(checkpoint.load(GRU), told.encode()).bits_per_character
    wait(page, lambda: "bits per character" in text(page, "score-status"))
    assert text(page, "score-status").startswith(f"{score:.3f} bits")


def test_score_tints_a_text_of_ones_own(page):
    click(page, "tab-score")
    assert not element(page, "text").is_displayed()
    assert not element(page, "temperature").is_displayed()
    element(page, "own").send_keys("The \u00fc night", Keys.ENTER)
    click(page, "score-button")
    wait(page, lambda: "bits per character" in element(page, "score-status").text)
    assert text(page, "scored") == "The \u00fc night\n"
    assert element(page, "score-status").text.endswith(
        " bits per character, 12 characters; left out 1 byte that the model has never seen"
    )
    letters = spans(page, "#scored span")
    assert "unknown" in letters[4].get_attribute("class")
    letters[0].click()
    assert element(page, "candidates").text == "T: 6.19 bits, 1.4 %"  # one of 73, before anything was read
    element(page, "scored").send_keys(Keys.ARROW_RIGHT * 4)
    assert element(page, "candidates").text == "\u00fc: the model has never seen it"
    bits = element(page, "score-status").text.split()[0]
    Select(element(page, "model")).select_by_value(GRU.stem)
    wait(page, lambda: element(page, "score-status").text.split()[0] not in (bits, "scoring\u2026"))


def test_tabs_keep_their_texts(page):
    fill(page, "length", 40)
    first = generated(page, 40)
    element(page, "tab-sample").send_keys(Keys.ARROW_RIGHT)
    assert page.switch_to.active_element.get_attribute("id") == "tab-score"
    assert element(page, "tab-score").get_attribute("aria-selected") == "true"
    element(page, "own").send_keys("The night", Keys.CONTROL, Keys.ENTER)
    wait(page, lambda: text(page, "scored") == "The night")
    element(page, "tab-score").send_keys(Keys.ARROW_LEFT)
    assert text(page) == first
    click(page, "tab-score")
    assert text(page, "scored") == "The night"


def test_models_are_listed_with_their_loss_and_date(page):
    options = [option.text for option in Select(element(page, "model")).options]
    assert [option.split(" \u00b7 ")[::2] for option in options] == [
        ["loss 2.8734", "lstm2"],
        ["loss 2.9340", "gru2"],
    ]
    saved = time.localtime(LSTM.stat().st_mtime)
    day = time.strftime("%d %b", saved).lstrip("0")
    assert options[0].split(" \u00b7 ")[1].startswith((day, time.strftime("%H:%M", saved)))
    assert page.title == element(page, "title").text == "corpus"


def test_losses_that_come_late_are_not_those_of_another_model(page):
    """One chooses a model and goes back before the server has answered."""
    page.execute_script(
        "const fetch = window.fetch;"
        "window.fetch = async (path, options) => {"
        "  const response = await fetch(path, options);"
        "  if (!path.includes(arguments[0])) return response;"
        "  const content = await response.text();"
        "  await new Promise((resolve) => (window.release = resolve));"
        "  return new Response(content);"
        "};",
        f"losses?model={GRU.stem}",
    )
    words = element(page, "losses-words")
    wait(page, lambda: "2.8734" in words.text)
    Select(element(page, "model")).select_by_value(GRU.stem)
    wait(page, lambda: page.execute_script("return !!window.release"))
    Select(element(page, "model")).select_by_value(LSTM.stem)
    page.execute_async_script("window.release(); setTimeout(arguments[0], 1000)")
    assert "2.8734" in words.text
    assert element(page, "facts").text.startswith(f"{LSTM.stem}: lstm")


def test_losses_without_an_answer_are_asked_for_again(page):
    """Until then, no other model's curve stands in their place."""
    words = element(page, "losses-words")
    wait(page, lambda: "2.8734" in words.text)
    page.execute_script(
        "const { fetch } = window;"
        "window.fetch = async (path, options) => {"
        "  if (!path.includes('losses')) return fetch(path, options);"
        "  window.fetch = fetch;"
        "  throw new TypeError('lost');"
        "};"
    )
    Select(element(page, "model")).select_by_value(GRU.stem)
    wait(page, lambda: "can't be reached" in element(page, "notice").text)
    assert not element(page, "losses").is_displayed()
    fill(page, "seed", 5)
    wait(page, lambda: "2.9340" in words.text)
    wait(page, lambda: element(page, "notice").text == "")


def test_a_chosen_character_that_is_replaced_leaves_the_panel(page):
    fill(page, "length", 60)
    first = generated(page, 60)
    element(page, "text").send_keys(Keys.END)
    assert len(spans(page, "#candidates tr")) == 8
    fill(page, "seed", 5)
    wait(page, lambda: text(page) != first)
    generated(page, 60)
    assert element(page, "candidates").text == "Hover over a character."
    element(page, "text").send_keys(Keys.END)  # which Continue generates again
    click(page, "continue")
    generated(page, 120)
    assert element(page, "candidates").text == "Hover over a character."
    element(page, "text").send_keys(Keys.HOME)
    panel = element(page, "candidates").text
    click(page, "continue")
    generated(page, 180)
    assert element(page, "candidates").text == panel != "Hover over a character."


def test_the_losses_of_the_chosen_model(page):
    words = element(page, "losses-words")
    wait(page, lambda: "2.8734" in words.text)
    assert words.text.startswith("Validation loss 2.8734 after epoch 3.00, the lowest of ")
    assert len(page.find_elements(By.CSS_SELECTOR, "#losses path.train, #losses path.val")) == 2
    picture = page.find_element(By.CSS_SELECTOR, "#losses svg")
    assert picture.accessible_name == "Training and validation loss up to this checkpoint"
    Select(element(page, "model")).select_by_value(GRU.stem)
    wait(page, lambda: "2.9340 after epoch 1.00" in words.text)
