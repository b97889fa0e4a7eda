"""How the page looks: on screens of all widths, light and dark, and to a screen reader."""

from __future__ import annotations

import pytest
from page_tools import By, Keys, click, element, fill, generated, needs_browser, screen, spans, visit, wait

pytestmark = [needs_browser, pytest.mark.slow]


def test_every_control_has_a_name(page):
    nameless = page.execute_script(
        "return [...document.querySelectorAll('input,select,textarea,button')]"
        ".filter(e => !(e.labels && e.labels.length) && !e.textContent.trim() && !e.ariaLabel).map(e => e.id)"
    )
    assert nameless == []


def sticks_out(browser) -> list[str]:
    """What reaches beyond the screen's edge, texts in boxes that scroll left out."""
    return browser.execute_script(
        "return [...document.querySelectorAll('header, main, main *')]"
        ".filter(e => !e.closest('pre') && e.checkVisibility())"
        ".filter(e => { const at = e.getBoundingClientRect(); return at.right > innerWidth + 1 || at.left < -1 })"
        ".map(e => e.id || e.tagName)"
    )


def test_all_fits_the_screen(page):
    fill(page, "length", 300)
    generated(page)
    for width in (320, 360, 800, 1280):
        with screen(page, width):
            for done in (lambda: click(page, "tab-sample"), spans(page)[20].click, lambda: click(page, "tab-score")):
                done()
                assert page.execute_script("return document.documentElement.scrollWidth") <= width
                assert sticks_out(page) == []


def test_a_phone_opens_with_the_prompt_and_the_start_of_a_text(page, address):
    with screen(page, 360):
        visit(page, address)
        assert page.execute_script("return [scrollY, document.getElementById('text').scrollTop]") == [0, 0]
        for name in ("title", "primetext", "generate", "dice"):
            rect = page.execute_script(RECT, element(page, name))
            assert 0 <= rect["top"] < rect["bottom"] <= 740, name
        assert page.execute_script(RECT, spans(page)[0])["bottom"] <= 740


def test_fingers_hit_every_control(page):
    with screen(page, 360):
        for done in (lambda: None, lambda: click(page, "fold"), lambda: click(page, "tab-score")):
            done()
            small = page.execute_script(
                "return [...document.querySelectorAll('button, input, select, textarea')]"
                ".filter((e) => e.checkVisibility())"
                ".map((e) => [e.id, (e.closest('label') ?? e).getBoundingClientRect()])"
                ".filter(([, { width, height }]) => Math.min(width, height) < 44).map(([id]) => id)"
            )
            assert small == []
            assert sticks_out(page) == []


def test_loss_date_and_name_are_seen_in_the_list(page):
    """So are the words of other lists."""
    with screen(page, 320):
        click(page, "fold")
    for width in (320, 360, 768, 1280, 1600):
        with screen(page, width):
            wait(page, lambda: element(page, "model").is_displayed())
            seen, parts = page.execute_script(
                "const lists = ['model', 'adapt', 'color'].map((id) => document.getElementById(id));"
                "const context = document.createElement('canvas').getContext('2d');"
                "const isSeen = (list) => {"
                "  context.font = getComputedStyle(list).font;"
                "  const widths = [...list.options].map((one) => context.measureText(one.text).width);"
                "  return Math.max(...widths) + 40 < list.clientWidth;"  # the arrow and the padding take 40
                "};"
                "const parts = [...lists[0].options].map((one) => one.text.split(' \u00b7 '));"
                "return [lists.every(isSeen), parts];"
            )
            assert [(loss, name) for loss, _, name in parts] == [
                ("loss 2.8734", "lstm2"),
                ("loss 2.9340", "gru2"),
            ]
            assert seen, width


def test_words(page):
    names = {name: element(page, name).text for name in ("tab-sample", "tab-score", "generate", "character-title")}
    assert names == {
        "tab-sample": "Generate",
        "tab-score": "Score",
        "generate": "Generate",
        "character-title": "Alternatives",
    }
    assert page.find_element(By.CSS_SELECTOR, "label[for=primetext]").text == "Prompt"
    assert element(page, "text-help").text.startswith("Hover over a character, tap it, or use the arrow keys")


def test_on_a_phone_the_text_comes_first(page):
    fill(page, "length", 200)
    generated(page)
    for width, most in ((320, 340), (360, 310)):
        with screen(page, width):
            assert not element(page, "temperature").is_displayed()
            assert not element(page, "model").is_displayed()
            assert element(page, "text").rect["y"] < most
    with screen(page, 320):
        click(page, "fold")
        assert element(page, "fold").get_attribute("aria-expanded") == "true"
        assert element(page, "temperature").is_displayed()
        assert element(page, "model").is_displayed()
        fill(page, "length", 20)
        generated(page, 20)
        click(page, "generate")
        assert not element(page, "temperature").is_displayed()
        fill(page, "length", 0)
        click(page, "generate")
        assert element(page, "length").is_displayed()  # where it is told what is wrong with it
    assert element(page, "temperature").is_displayed()
    assert not element(page, "fold").is_displayed()


@pytest.mark.parametrize("width", [320, 800])
def test_candidates_appear_beside_the_character(page, width):
    with screen(page, width):
        fill(page, "length", 400)
        generated(page)
        assert not element(page, "character").is_displayed()
        letters = spans(page)
        for k in (0, 17, 150, 390):
            page.execute_script("arguments[0].scrollIntoView({block: 'center'})", letters[k])
            letters[k].click()
            assert len(spans(page, "#candidates tr")) == 8
            at, panel = (page.execute_script(RECT, e) for e in (letters[k], element(page, "character")))
            assert panel["left"] >= 0
            assert panel["right"] <= width
            assert 0 <= panel["top"] - at["bottom"] < 20 or 0 <= at["top"] - panel["bottom"] < 20
        element(page, "text").send_keys(Keys.ESCAPE)
        assert not element(page, "character").is_displayed()
        letters[0].click()
        click(page, "status")
        assert not element(page, "character").is_displayed()


RECT = "const at = arguments[0].getBoundingClientRect(); return at.toJSON()"


def test_a_panel_beside_a_character_goes_along_when_its_text_scrolls(page):
    with screen(page, 360):
        fill(page, "length", 3000)
        generated(page)
        page.execute_script("document.getElementById('text').scrollTop = 0")
        element(page, "text").send_keys(Keys.ARROW_RIGHT * 40)
        page.execute_script("document.getElementById('text').style.pointerEvents = 'none'")  # no mouse chooses another
        before = page.execute_script(RECT, element(page, "character"))["top"]
        page.execute_script("document.getElementById('text').scrollTop = 30")
        wait(page, lambda: page.execute_script(RECT, element(page, "character"))["top"] < before)
        page.execute_script("document.getElementById('text').scrollTop = 3000")
        wait(page, lambda: not element(page, "character").is_displayed())


@pytest.mark.parametrize("width", [320, 1280])
def test_numbers_of_the_loss_curve_are_apart(page, width):
    with screen(page, width):
        wait(page, lambda: element(page, "losses").is_displayed())
        places = page.execute_script(
            "return [...document.querySelectorAll('#losses svg text')].map((e) => e.getBoundingClientRect().toJSON())"
        )
        assert len(places) >= 6
        for k, one in enumerate(places):
            assert one["height"] >= 10
            assert 0 <= one["left"] <= one["right"] <= width
            for other in places[:k]:
                apart = one["left"] >= other["right"] or other["left"] >= one["right"]
                assert apart or one["top"] >= other["bottom"] - 2 or other["top"] >= one["bottom"] - 2


def test_contrast(page):
    """Text against its background by WCAG's formula: 4.5 or more, on every shade too; lines of the curve 3 or more."""
    fill(page, "length", 0)  # a control that tells what is wrong with it
    click(page, "generate")
    wait(page, lambda: element(page, "losses").is_displayed())
    for scheme in ("light", "dark"):
        with screen(page, 1280, scheme=scheme):
            lowest = page.execute_script(CONTRAST)
            assert lowest["dark"] == (scheme == "dark")
            assert lowest["contrast"] >= 4.5, lowest
            assert lowest["line"] >= 3, lowest


CONTRAST = """
const text = document.getElementById("text");
for (const letter of "ob") for (let k = 1; k <= 10; k++) {
  const span = document.createElement("span");
  span.className = letter + k;
  span.textContent = "x";
  text.append(span);
}
const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
const over = (front, back) => front.slice(0, 3).map((c, i) => c * (front[3] ?? 1) + back[i] * (1 - (front[3] ?? 1)));
function background(e) {
  if (!e) return [255, 255, 255];
  return over(parse(getComputedStyle(e).backgroundColor), background(e.parentElement));
}
const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
let lowest = { contrast: 99 };
const all = "h1,h2,p,label,small,input,select,textarea,button:enabled,#text span,output,figcaption";
for (const e of document.querySelectorAll(all)) {
  const back = background(e);
  for (const part of e.placeholder ? [null, "::placeholder"] : [null]) {
    const ink = over(parse(getComputedStyle(e, part).color), back);
    const [high, low] = [luminance(back), luminance(ink)].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < lowest.contrast) lowest = { contrast, where: e.id || e.className || e.tagName };
  }
}
text.replaceChildren();
const against = (colour) => {
  const [high, low] = [luminance(parse(colour)), luminance(background(document.body))].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
};
const lines = [...document.querySelectorAll("#losses path.train, #losses path.val, #losses .axis")];
const words = document.querySelector("#losses text");
const inks = [...lines.map((e) => getComputedStyle(e).stroke), getComputedStyle(words).fill];
return { ...lowest, line: Math.min(...inks.map(against)), dark: luminance(background(document.body)) < 0.2 };
"""
