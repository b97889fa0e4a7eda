"""The page of pycharrnn serve in a real browser: headless Chromium, where it and its driver are installed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from serving_tools import GRU, LSTM, server

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")

_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1200,900",
]


@pytest.fixture(scope="module")
def address():
    with server(LSTM, GRU) as running:
        yield running.url


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser; each test opens its pages with `visit`."""
    options = Options()
    options.binary_location = CHROMIUM
    downloads = tmp_path_factory.mktemp("downloads")
    for flag in [*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    browser.downloads = downloads
    browser.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    yield browser
    browser.quit()


@pytest.fixture
def page(chromium, address):
    visit(chromium, address)
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def visit(browser, address: str) -> None:
    """Load an address anew, its fragment included, and wait until the page knows its models."""
    browser.get("about:blank")
    browser.get(address)
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#model option"))


def wait(browser, holds, seconds: float = 20):
    return WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda _: holds())


def element(browser, name: str):
    return browser.find_element(By.ID, name)


def text(browser) -> str:
    return browser.execute_script("return document.getElementById('text').textContent")


def status(browser) -> str:
    return element(browser, "status").text


def fill(browser, name: str, value) -> None:
    """Set a control and leave it, as a person would."""
    browser.execute_script(
        "const box = document.getElementById(arguments[0]); box.value = arguments[1];"
        "for (const kind of ['input', 'change']) box.dispatchEvent(new Event(kind, {bubbles: true}))",
        name,
        str(value),
    )


def drawn(browser, count: int) -> str:
    """The text, once the page says that it is whole."""
    wait(browser, lambda: status(browser) == f"{count} characters")
    return text(browser)


def test_a_sample_and_another_temperature(page):
    fill(page, "length", 200)
    element(page, "primetext").send_keys("The night")
    element(page, "draw").click()
    first = drawn(page, 209)
    assert first.startswith("The night")
    assert len(page.find_elements(By.CSS_SELECTOR, "#text span.given")) == 9
    fill(page, "temperature", 0.2)
    assert element(page, "temperature-shown").text == "0.20"
    wait(page, lambda: text(page) != first)
    colder = drawn(page, 209)
    assert colder.startswith("The night")
    fill(page, "temperature", 0.7)
    wait(page, lambda: text(page) != colder)
    assert drawn(page, 209) == first


@pytest.fixture
def slow_network(page):
    """Half a minute for the longest sample, which is drawn in less time than a busy machine may take for a click."""

    def limit(throughput: int) -> None:  # bytes a second; -1: none
        conditions = {"offline": False, "latency": 0, "downloadThroughput": throughput, "uploadThroughput": -1}
        page.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    page.execute_cdp_cmd("Network.enable", {})
    limit(20_000)
    yield
    limit(-1)
    page.execute_cdp_cmd("Network.disable", {})


def test_stop(page, slow_network):
    fill(page, "length", 10_000)
    assert not element(page, "stop").is_enabled()
    element(page, "draw").click()
    wait(page, lambda: len(text(page)) > 20)
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
    element(page, "draw").click()
    wait(page, lambda: status(page).endswith("characters"))
    first, link = text(page), page.current_url
    assert link.startswith(address + "#")
    element(page, "link").click()
    wait(page, lambda: status(page) == "link copied")
    assert page.execute_script("return navigator.clipboard.readText()") == link
    visit(page, link)
    wait(page, lambda: status(page).endswith("characters"))
    assert text(page) == first
    assert element(page, "seed").get_attribute("value") == "4000000000"
    assert Select(element(page, "model")).first_selected_option.text == GRU.stem


def test_a_link_to_a_model_that_is_not_there(page, address):
    visit(page, address + "#model=another&seed=5")
    wait(page, lambda: "does not have the model another" in status(page))
    assert text(page) == ""


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
    element(page, "draw").click()
    wait(page, lambda: status(page).endswith("characters"))
    assert element(page, "candidates").text == "No character is chosen."
    element(page, "text").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    rows = page.find_elements(By.CSS_SELECTOR, "#candidates tr")
    assert len(rows) == 8
    shown = page.find_element(By.CSS_SELECTOR, "#candidates caption").text
    chosen = page.find_element(By.CSS_SELECTOR, "#text .here").get_attribute("textContent")
    assert shown.startswith({" ": "space", "\n": "newline", "\t": "tab"}.get(chosen, chosen))
    shares = [float(row.text.split()[-2]) for row in rows]
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
    wanted = ["model", "primetext", "temperature", "topk", "topp", "seed", "dice", "length", "tint", "draw", "text"]
    assert [name for name in reached if name in wanted][: len(wanted)] == wanted
    fill(page, "length", 30)
    element(page, "primetext").send_keys("The ", Keys.CONTROL, Keys.ENTER)
    wait(page, lambda: text(page).startswith("The "))


def test_tints(page):
    fill(page, "length", 120)
    element(page, "draw").click()
    wait(page, lambda: status(page).endswith("characters"))
    first = text(page)
    assert page.find_elements(By.CSS_SELECTOR, "#text .o10, #text .o9")
    assert not element(page, "unit").is_displayed()
    Select(element(page, "tint")).select_by_value("unit")
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, "#text [class*=b]"))
    assert element(page, "unit").is_displayed()
    wait(page, lambda: status(page).endswith("characters"))
    assert text(page) == first
    one = [span.get_attribute("class") for span in page.find_elements(By.CSS_SELECTOR, "#text span")]
    fill(page, "unit", 7)
    wait(page, lambda: "unit=7" in page.current_url and status(page).endswith("characters"))
    assert [span.get_attribute("class") for span in page.find_elements(By.CSS_SELECTOR, "#text span")] != one
    Select(element(page, "tint")).select_by_value("none")
    wait(page, lambda: not page.find_elements(By.CSS_SELECTOR, "#text [class*=o1], #text [class*=b1]"))
    colours = page.execute_script(
        "const spans = [...document.querySelectorAll('#text span')];"
        "return [...new Set(spans.map(s => getComputedStyle(s).backgroundColor))]"
    )
    assert colours == ["rgba(0, 0, 0, 0)"]


def test_copy_and_download(page):
    fill(page, "length", 100)
    element(page, "draw").click()
    wait(page, lambda: status(page).endswith("characters"))
    whole = text(page)
    element(page, "copy").click()
    wait(page, lambda: status(page) == "text copied")
    assert page.execute_script("return navigator.clipboard.readText()") == whole
    element(page, "download").click()
    file = Path(page.downloads) / "sample.txt"
    wait(page, file.exists)
    assert file.read_bytes().decode() == whole


def test_what_the_model_has_never_seen(page):
    element(page, "primetext").send_keys("\u00fc")
    element(page, "draw").click()
    wait(page, lambda: "which the model has never seen" in status(page))
    assert "problem" in element(page, "status").get_attribute("class")
    refused = [entry["message"] for entry in page.get_log("browser")]  # Chromium logs every 422
    assert all("422" in message for message in refused)


def test_numbers_out_of_range_are_not_sent(page):
    fill(page, "topp", 3)
    element(page, "draw").click()
    assert status(page) == ""
    assert page.execute_script("return document.querySelector('#topp').validity.rangeOverflow")


def test_every_control_has_a_name(page):
    nameless = page.execute_script(
        "return [...document.querySelectorAll('input,select,textarea,button')]"
        ".filter(e => !(e.labels && e.labels.length) && !e.textContent.trim() && !e.ariaLabel).map(e => e.id)"
    )
    assert nameless == []


@pytest.mark.parametrize("width", [320, 360, 800])
def test_narrow_screens(page, width):
    metrics = {"width": width, "height": 740, "deviceScaleFactor": 2, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        fill(page, "length", 300)
        element(page, "draw").click()
        wait(page, lambda: status(page).endswith("characters"))
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        wide = page.execute_script(
            "return [...document.querySelectorAll('main *')].filter(e => !e.closest('pre'))"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.id || e.tagName)"
        )
        assert wide == []
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(page, scheme):
    """Text against its background by WCAG's formula: 4.5 or more, on every shade too."""
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        lowest = page.execute_script(CONTRAST)
        assert lowest["dark"] == (scheme == "dark")
        assert lowest["contrast"] >= 4.5, lowest
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


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
const all = "h1,h2,p,label,small,input,select,textarea,button:enabled,#text span,output";
for (const e of document.querySelectorAll(all)) {
  const back = background(e), ink = over(parse(getComputedStyle(e).color), back);
  const [high, low] = [luminance(back), luminance(ink)].sort((a, b) => b - a);
  const contrast = (high + 0.05) / (low + 0.05);
  if (contrast < lowest.contrast) lowest = { contrast, where: e.id || e.className || e.tagName };
}
text.replaceChildren();
return { ...lowest, dark: luminance(background(document.body)) < 0.2 };
"""


def test_a_token_from_the_link_or_typed(chromium):
    token = "0123456789abcdef"
    with server(LSTM, "-token", token) as running:
        address = running.url.partition("#")[0]
        visit(chromium, running.url)
        assert token not in chromium.current_url
        fill(chromium, "length", 50)
        element(chromium, "draw").click()
        wait(chromium, lambda: status(chromium).endswith("characters"))
        assert token not in chromium.current_url
        chromium.execute_script("sessionStorage.clear()")
        chromium.get("about:blank")
        chromium.get(address)
        wait(chromium, lambda: element(chromium, "token").is_displayed())
        element(chromium, "token").send_keys("wrong wrong wrong", Keys.ENTER)
        wait(chromium, lambda: "needs its token" in status(chromium))
        element(chromium, "token").clear()
        element(chromium, "token").send_keys(token, Keys.ENTER)
        wait(chromium, lambda: chromium.find_elements(By.CSS_SELECTOR, "#model option"))
        assert not element(chromium, "token").is_displayed()
    chromium.get_log("browser")  # the 401s
