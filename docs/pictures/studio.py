"""Take the pictures of the studio that docs/studio.md shows: from a text to a model that is played with.

    pycharrnn studio voices -open 0 &
    python docs/pictures/studio.py http://127.0.0.1:8015/ manual.txt lm_lstm2_epoch3.00_2.8734.t7 docs/pictures

The folder of the studio is empty at first; the training goes on afterwards. Needs Chromium with its driver, selenium
and Pillow (the extra `test`).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SAMPLES = 4  # of the run, before its picture is taken
COLORS = 96

address, text, checkpoint, folder = sys.argv[1:]
options = webdriver.ChromeOptions()
options.binary_location = shutil.which("chromium") or ""
for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
    options.add_argument(flag)
browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def wait(selector: str, words: str = "", seconds: float = 1200) -> None:
    """Until an element that is shown has some words."""
    found = (
        "const [selector, words] = arguments;"
        "const has = (e) => e.checkVisibility() && e.textContent.includes(words);"
        "return [...document.querySelectorAll(selector)].some(has)"
    )
    WebDriverWait(browser, seconds).until(lambda _: browser.execute_script(found, selector, words))


def size(width: int, height: int, scheme: str = "light") -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def picture(name: str) -> None:
    file = Path(folder) / f"studio-{name}.png"
    browser.execute_script("document.activeElement.blur()")
    browser.save_screenshot(str(file))
    Image.open(file).convert("RGB").quantize(COLORS).save(file, optimize=True)


try:
    size(900, 760)
    browser.get(address)
    wait("#choose-files")
    browser.find_element(By.ID, "files").send_keys(str(Path(text).resolve()))
    wait("[data-estimate=best]", "about")
    picture("found")
    browser.find_element(By.ID, "start-run").click()
    count = "return document.querySelectorAll('#current-run .sample').length"
    WebDriverWait(browser, 1200).until(lambda _: browser.execute_script(count) >= SAMPLES)
    size(1180, 860)
    picture("run")
    size(390, 780, "dark")
    picture("phone")
    size(1180, 560)
    browser.find_element(By.ID, "show-bring").click()
    browser.find_element(By.ID, "model-file").send_keys(str(Path(checkpoint).resolve()))
    wait("#brought", "here")
    browser.execute_script("scrollTo(0, 0)")
    picture("bring")
finally:
    browser.quit()
