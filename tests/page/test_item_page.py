"""The page of a model of items, as a file and from a server: the list, stars, kept items, keyboard, screens."""

from __future__ import annotations

import dataclasses
import shutil

import item_models
import pytest
from click.testing import CliRunner
from conftest import run
from page_tools import (
    By,
    Keys,
    Select,
    begins_at_the_right,
    click,
    copied,
    element,
    fill,
    logged,
    needs_browser,
    saved,
    screen,
    spans,
    status,
    text,
    visit,
    wait,
)
from serving_tools import LSTM, server

from compat.item_options import record_labels
from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.page import gallery, single_file

pytestmark = needs_browser

NAMES = b"a\nb\nc\nab\nca\n"
BLOCKS = b"a\nb\x1ec\x1e"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses: of a file and a server with the same models, one of which has lost its text; of a model of blocks."""
    folder = tmp_path_factory.mktemp("items")
    shutil.copy(LSTM, folder)
    for name, kind, content in (("names", "line", NAMES), ("gone", "line", NAMES), ("poems", "blank", BLOCKS)):
        letters = "ab\n" if kind == "blank" else "abc"
        (folder / name).mkdir()
        text = str(folder / name / "data" / "list")
        item_models.saved(folder / name, kind, content, letters=letters, data_dir=text).rename(folder / f"{name}.t7")
    shutil.rmtree(folder / "gone")
    models = [str(folder / name) for name in ("names.t7", "gone.t7", LSTM.name)]
    (folder / "labels").mkdir()
    more = {
        "letters": "abc\t",
        **record_labels({b"ab": 3, b"b": 2}),
        "data_dir": str(folder / "labels" / "data" / "list"),
    }
    item_models.saved(folder / "labels", "line", b"ab\ta\nb\tb\n", **more).rename(folder / "labels.t7")
    models.append(str(folder / "labels.t7"))
    of_one = [[str(folder / f"{name}.t7"), str(folder / f"{name}.html")] for name in ("poems", "labels")]
    for command in ([*models, str(folder / "names.html")], *of_one):
        assert CliRunner().invoke(cli, ["convert", *command], catch_exceptions=False).exit_code == 0
    with server(*models) as running:
        yield {"server": running.url, **{page.stem: page.as_uri() for page in folder.glob("*.html")}, "folder": folder}


@pytest.fixture
def names(chromium, pages):
    """The page of a model of names, on which nothing goes wrong that the browser would log."""
    yield from opened(chromium, pages["names"])


@pytest.fixture(params=["names", "server"])
def both(request, chromium, pages):
    """The same as a file and from a server."""
    yield from opened(chromium, pages[request.param])


@pytest.fixture
def poems(chromium, pages):
    yield from opened(chromium, pages["poems"])


def opened(chromium, address):
    logged(chromium)
    visit(chromium, address)
    yield chromium
    assert logged(chromium) == []


def shown(browser, where: str = "item-list") -> list[str]:
    """The texts of the rows."""
    code = "return [...document.querySelectorAll(`#${arguments[0]} .item`)].map((item) => item.textContent)"
    return browser.execute_script(code, where)


def drawn(browser, count: int = 10) -> list[str]:
    """The items, once the page has all of them."""
    wait(browser, lambda: status(browser).startswith(f"{count} items"))
    return shown(browser)


def printed(pages, *flags: str, model: str = "names") -> list[str]:
    """What `pycharrnn sample` prints with the settings that the page has at first."""
    first = ["-temperature", "0.7", "-length", "600", "-gpuid", "-1", "-verbose", "0"]
    found = run("sample", str(pages["folder"] / f"{model}.t7"), *first, *flags).stdout.decode()
    return found.removesuffix("\n").split("\n\n" if model == "poems" else "\n")


def stars(browser, where: str = "item-list") -> list:
    return browser.find_elements(By.CSS_SELECTOR, f"#{where} .star")


@pytest.fixture(params=["labels", "server"])
def labelled(request, chromium, pages):
    """The page of a model with labels, as a file, and from a server with an address that names one of them."""
    yield from opened(chromium, f"{pages[request.param]}#model=labels&label=b")


def test_a_label_is_chosen(labelled, pages):
    label = Select(element(labelled, "label"))
    assert [option.text for option in label.options] == ["ab", "b"]
    assert label.first_selected_option.text == "b"
    for name, seed in (("ab", "9"), ("b", "8")):
        label.select_by_visible_text(name)
        fill(labelled, "primetext", "c")
        fill(labelled, "seed", seed)
        expected = printed(pages, "-as", name, "-primetext", "c", "-seed", seed, model="labels")
        wait(labelled, lambda expected=expected: shown(labelled) == expected)
    labelled.execute_script("document.getElementById('primetext').value = 'b\\ta'")
    click(labelled, "generate")
    words = "Prompt begins with the label b and a tab: leave them out, and use label instead."
    wait(labelled, lambda: status(labelled) == words)
    labelled.execute_script(f"document.getElementById('primetext').value = '{'a' * 2000}'")  # with a label, more
    click(labelled, "generate")
    wait(labelled, lambda: shown(labelled) and all(item.startswith("a" * 2000) for item in shown(labelled)))
    logged(labelled)  # where a refusal of the server stands


def test_an_end_of_an_item_in_the_prompt_is_refused(both):
    both.execute_script("document.getElementById('primetext').value = 'a\\nb'")
    click(both, "generate")
    words = r"Prompt contains '\n', which ends an item: remove it; each item starts by itself."
    wait(both, lambda: status(both) == words)
    logged(both)  # where a refusal of the server stands


def test_a_score_is_that_of_the_label(labelled):
    click(labelled, "tab-score")
    said = []
    for label, own in (("b", "ca\nb\t\nab\tb"), ("ab", "b\tca\nab\tb"), ("ab", "ca\nb")):
        Select(element(labelled, "label")).select_by_visible_text(label)
        fill(labelled, "own", own)
        click(labelled, "score-button")
        wait(labelled, lambda: element(labelled, "score-status").text.endswith("5 characters"))
        said.append((element(labelled, "score-status").text, element(labelled, "scored").text))
        labelled.execute_script("document.getElementById('score-status').textContent = ''")
    assert said[0] == said[1] != said[2]
    assert said[0][1].replace("\t", " ").split() == ["b", "ca", "ab", "b"]


def test_labels_count_in_the_length_of_a_text_to_score(labelled):
    click(labelled, "tab-score")
    fill(labelled, "own", "a\n" * 10_000)  # without its labels, the longest
    click(labelled, "score-button")
    words = "Your text: at most 20000 characters, together with a label before each item"
    wait(labelled, lambda: text(labelled, "score-status") == words)
    fill(labelled, "own", "\n\n")
    click(labelled, "score-button")
    wait(labelled, lambda: text(labelled, "score-status") == "no score")


def test_the_list_is_what_sample_prints(both, pages):
    expected = printed(pages)
    assert [text or "(empty)" for text in expected] == drawn(both)
    known = [note.text for note in both.find_elements(By.CSS_SELECTOR, "#item-list li > .note:last-child")]
    assert known == ["known" if text.encode() in NAMES.split() else "new" for text in expected]
    assert set(known) == {"known", "new"}
    assert status(both) == f"10 items, {known.count('known')} known"
    assert not element(both, "text").is_displayed()
    assert not element(both, "continue").is_displayed()
    fill(both, "primetext", "ca")
    fill(both, "items", 25)
    fill(both, "seed", 4)
    assert drawn(both, 25) == printed(pages, "-items", "25", "-primetext", "ca", "-seed", "4")


def test_new_and_unique_ones(both, pages):
    Select(element(both, "new")).select_by_visible_text("left out")
    Select(element(both, "unique")).select_by_visible_text("left out")
    wait(both, lambda: "left out" in status(both))
    assert drawn(both) == [text or "(empty)" for text in printed(pages, "-new", "1", "-unique", "1")]
    fill(both, "length", 9)
    fill(both, "topk", 1)
    wait(both, lambda: "fewer than 10" in status(both))
    assert status(both) == "1 item, 0 known, 1 left out: fewer than 10, since with top-k 1 all are equal"
    fill(both, "topk", 2)
    fill(both, "length", 1)
    wait(both, lambda: "raise the temperature" in status(both))
    assert status(both).endswith("since the last 1,000 were left out; raise the temperature, or ask for fewer")


def test_kept_items_survive_another_drawing(names, pages):
    fill(names, "primetext", "a")
    first = drawn(names)
    wait(names, lambda: all(item.startswith("a") for item in shown(names)))
    first = drawn(names)
    kept = list(dict.fromkeys(first))[:3]
    for item in kept:
        stars(names)[first.index(item)].click()
    assert text(names, "announced") == f"kept {kept[2]}; 3 kept"
    click(names, "dice")
    wait(names, lambda: shown(names) != first and status(names).startswith("10 items"))
    assert shown(names, "kept-list") == kept
    click(names, "copy-kept")
    wait(names, lambda: status(names) == "kept items copied")
    assert copied(names) == "".join(f"{item}\n" for item in kept)
    stars(names, "kept-list")[1].click()
    assert shown(names, "kept-list") == [kept[0], kept[2]]
    fill(names, "seed", 123)
    wait(names, lambda: shown(names) == first)
    pressed = [star.get_attribute("aria-pressed") for star in stars(names)]
    assert pressed == [str(item in (kept[0], kept[2])).lower() for item in first]
    click(names, "copy")
    wait(names, lambda: status(names) == "text copied")
    assert copied(names) == "".join(f"{item}\n" for item in first)


def test_by_keyboard(names):
    fill(names, "primetext", "c")
    wait(names, lambda: shown(names) and all(item.startswith("c") for item in shown(names)))
    first = drawn(names)
    names.execute_script("document.querySelector('#item-list .star').focus()")
    names.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    names.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    names.switch_to.active_element.send_keys(Keys.SPACE)
    assert names.switch_to.active_element.get_attribute("aria-label") == f"Keep {first[2]}"
    names.switch_to.active_element.send_keys(Keys.END)
    names.switch_to.active_element.send_keys(Keys.ENTER)
    expected = list(dict.fromkeys([first[2], first[9]]))
    assert shown(names, "kept-list") == expected
    for _ in expected:
        names.execute_script("document.querySelector('#kept-list .star').focus()")
        names.switch_to.active_element.send_keys(Keys.SPACE)
    assert not element(names, "kept").is_displayed()
    assert names.switch_to.active_element.get_attribute("id") == "item-list"


def test_another_model_shows_a_text_again(names):
    drawn(names)
    assert "Length characters" in element(names, "controls").text
    names.execute_script("document.querySelector('.item').textContent = '\u05d0\u05d1.'")
    assert begins_at_the_right(names, ".item")
    Select(element(names, "model")).select_by_index(2)
    wait(names, lambda: status(names) == "600 characters")
    assert "Length bytes" in element(names, "controls").text
    assert not element(names, "item-list").is_displayed()
    assert not element(names, "items").is_displayed()
    assert len(spans(names)) == 600
    Select(element(names, "model")).select_by_index(0)
    drawn(names)
    assert not element(names, "text").is_displayed()
    assert not element(names, "color").is_displayed()


def test_without_its_text_nothing_is_called_new(both):
    Select(element(both, "model")).select_by_index(1)
    wait(
        both,
        lambda: status(both) == "10 items; the training text is not here, so nothing tells known items from new ones",
    )
    assert both.find_elements(By.CSS_SELECTOR, "#item-list .new, #item-list .known") == []
    Select(element(both, "new")).select_by_visible_text("left out")
    wait(both, lambda: status(both).startswith("Known items: "))
    assert "problem" in element(both, "status").get_attribute("class")
    logged(both)  # where a refusal of the server stands


def test_a_link_recalls_the_items(names):
    fill(names, "items", 12)
    first = drawn(names, 12)
    Select(element(names, "unique")).select_by_visible_text("left out")
    wait(names, lambda: "unique=1" in names.current_url)
    first = drawn(names, 12)
    visit(names, names.current_url)
    assert drawn(names, 12) == first
    assert element(names, "unique").get_attribute("value") == "1"


def test_a_page_that_the_browser_has_saved_has_its_items_once(names, tmp_path):
    first = drawn(names)
    stars(names)[0].click()
    visit(names, saved(names, tmp_path / "again.html"))
    assert drawn(names) == first
    assert not element(names, "kept").is_displayed() and shown(names, "kept-list") == []


def test_each_line_is_scored_by_itself(names):
    click(names, "tab-score")
    fill(names, "own", "ab\nab")
    click(names, "score-button")
    wait(names, lambda: "bits per character, 6 characters" in element(names, "score-status").text)
    shades = [span.get_attribute("class") for span in spans(names, "#scored span")]
    assert shades[:3] == shades[3:]
    assert text(names, "scored") == "ab\nab\n"


def test_items_of_several_lines_are_blocks(poems, pages):
    items = [item.replace("(empty)", "") for item in drawn(poems)]
    assert "\n\n".join(items) == "\n\n".join(printed(pages, model="poems"))
    several = next(k for k, item in enumerate(shown(poems)) if "\n" in item.strip("\n"))
    items = poems.find_elements(By.CSS_SELECTOR, "#item-list .item")
    assert items[several].size["height"] > 40
    for k in (several, 0):
        stars(poems)[k].click()
    click(poems, "copy-kept")
    wait(poems, lambda: status(poems) == "kept items copied")
    kept = [item.replace("(empty)", "") for item in shown(poems, "kept-list")]
    assert copied(poems) == "\n".join(f"{item}\n" for item in kept)


def test_all_fits_the_screen(chromium, pages):
    visit(chromium, pages["names"])
    fill(chromium, "primetext", "a" * 90)
    wait(chromium, lambda: shown(chromium) and all(item.startswith("a" * 90) for item in shown(chromium)))
    stars(chromium)[0].click()
    for width in (360, 768, 1280):
        with screen(chromium, width):
            fold = element(chromium, "fold")
            if fold.is_displayed() and fold.get_attribute("aria-expanded") == "false":
                fold.click()
            assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
            outside, small = chromium.execute_script(
                "const all = [...document.querySelectorAll('main *')].filter((e) => e.checkVisibility());"
                "const at = (e) => e.getBoundingClientRect();"
                "const controls = all.filter((e) => e.matches('button, input, select, textarea'));"
                "return [all.filter((e) => at(e).right > innerWidth + 1 || at(e).left < -1),"
                " controls.filter((e) => Math.min(at(e).width, at(e).height) < 44).map((e) => e.id)]"
            )
            assert outside == []
            assert width > 360 or small == []


def test_a_text_that_is_gone_is_said_when_a_page_is_made(pages):
    notes: list[str] = []
    gallery.collect([str(pages["folder"] / f"{name}.t7") for name in ("names", "gone")], False, notes.append)
    (note,) = notes
    path = pages["folder"] / "gone.t7"
    assert note == (
        f"the training text of {path} ({pages['folder']}/gone/data/list/input.txt) is not here, or has changed since,"
        " so the page can't tell which items are new: convert it in the folder of the training."
    )


def test_a_page_of_a_page_has_the_known_items_too(pages, tmp_path):
    page, original = str(tmp_path / "names.html"), gallery.collect([str(pages["folder"] / "names.t7")], False, print)
    single_file.write(page, original, False)
    ((_, again),) = gallery.collect([page], False, print)
    assert again["known_items"] == original[0][1]["known_items"]


def test_a_checkpoint_without_the_hash_of_its_text(pages, tmp_path):
    loaded = dataclasses.replace(checkpoint.load(pages["folder"] / "names.t7"), text_fingerprint="")
    checkpoint.convert(loaded, path := tmp_path / "names.t7")
    notes: list[str] = []
    gallery.collect([str(path)], False, notes.append)
    assert notes == [
        f"{path} does not record the hash of its training text, so the page can't tell which items are new: convert it"
        " from a checkpoint that does."
    ]
