"""Take the picture of the page that docs/pages.md shows.

    pycharrnn serve cv/demo/lm_demo_best.t7 cv/gru &
    python docs/pictures/page.py "http://127.0.0.1:8015/#model=...&seed=..." docs/pictures/page.png

The address is one of Copy link. Needs Chromium with its driver, selenium and Pillow (the extra `test`).
"""

from __future__ import annotations

import shutil
import sys

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

address, file = sys.argv[1:]
options = webdriver.ChromeOptions()
options.binary_location = shutil.which("chromium") or ""
for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
    options.add_argument(flag)
browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
try:
    size = {"width": 1180, "height": 632, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)
    status = browser.find_element(By.ID, "status")
    WebDriverWait(browser, 30).until(lambda _: status.text.endswith("characters"))
    browser.find_elements(By.CSS_SELECTOR, "#text span")[26].click()
    browser.save_screenshot(file)
    Image.open(file).convert("RGB").quantize(128).save(file, optimize=True)  # a third of the size
finally:
    browser.quit()
