"""Starts the browser for the tests of the pages: Chromium, or the one in PYCHARRNN_BROWSER.

Each is driven through WebDriver, and through commands of its own for what that lacks. What a browser can't be told at
all skips the test.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver import chrome, firefox, webkitgtk  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

_MINI_BROWSER = "webkit2gtk-4.*/MiniBrowser"


class Chromium:
    name = "Chromium"
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    missing = "" if program and driver else "chromium and chromedriver are not installed"

    _FLAGS = (
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
    )

    def start(self, folder: Path, downloads: Path) -> webdriver.Chrome:
        options = chrome.options.Options()
        options.binary_location = self.program
        for flag in [*self._FLAGS, f"--user-data-dir={folder / 'profile'}"]:
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        running = webdriver.Chrome(options=options, service=chrome.service.Service(self.driver))
        permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        running.execute_cdp_cmd("Browser.grantPermissions", {"permissions": permissions})
        return running

    limits_network = True
    logs_refusals = True  # of a server

    def listen(self, browser) -> None:
        """It logs what goes wrong on any page."""

    def logged(self, browser) -> list[str]:
        return [entry["message"] for entry in browser.get_log("browser")]

    @contextlib.contextmanager
    def screen(self, browser, width: int, height: int) -> Iterator[None]:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        try:
            yield
        finally:
            browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    @contextlib.contextmanager
    def media(self, browser, medium: str, features: dict[str, str]) -> Iterator[None]:
        named = [{"name": f"prefers-{name}", "value": value} for name, value in features.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium, "features": named})
        try:
            yield
        finally:
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})

    @contextlib.contextmanager
    def network(self, browser, offline: bool = False, throughput: int = -1) -> Iterator[None]:
        conditions = {"latency": 0, "uploadThroughput": -1}
        limited = {**conditions, "offline": offline, "downloadThroughput": throughput}
        browser.execute_cdp_cmd("Network.enable", {})
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", limited)
        try:
            yield
        finally:
            usual = {**conditions, "offline": False, "downloadThroughput": -1}
            browser.execute_cdp_cmd("Network.emulateNetworkConditions", usual)
            browser.execute_cdp_cmd("Network.disable", {})


class _WithoutLog:
    """A browser whose driver can't tell what the page logged: the page itself keeps the errors that reach its window.

    Those before `listen`, while it loads, are missed. A ResizeObserver that is called again in the next frame is no
    error; in a page of a file, WebKit hides what any error is.
    """

    limits_network = False
    logs_refusals = False

    def listen(self, browser) -> None:
        browser.execute_script(
            "const errors = (window.testErrors = []);"
            "addEventListener('error', ({ message }) => /^Resize|^Script error/.test(message) || errors.push(message));"
            "addEventListener('unhandledrejection', (event) => errors.push(String(event.reason)))"
        )

    def logged(self, browser) -> list[str]:
        return browser.execute_script("return (window.testErrors ?? []).splice(0)")

    @contextlib.contextmanager
    def network(self, browser, offline: bool = False, throughput: int = -1) -> Iterator[None]:
        pytest.skip(f"{self.name}'s driver can't limit the network")
        yield


class Firefox(_WithoutLog):
    name = "Firefox"
    program = shutil.which("firefox") or shutil.which("firefox-esr")
    driver = shutil.which("geckodriver")
    missing = "" if program and driver else "firefox and geckodriver are not installed"

    def start(self, folder: Path, downloads: Path) -> webdriver.Firefox:
        options = firefox.options.Options()
        options.binary_location = self.program
        for flag in ("-headless", "--width=1200", "--height=900"):
            options.add_argument(flag)
        options.set_preference("browser.download.folderList", 2)  # the folder of the next line
        options.set_preference("browser.download.dir", str(downloads))
        service = firefox.service.Service(self.driver, service_args=["--allow-system-access"])
        return webdriver.Firefox(options=options, service=service)

    @contextlib.contextmanager
    def screen(self, browser, width: int, height: int) -> Iterator[None]:
        """The size of the page in its window, which can't be as narrow as a phone."""
        set_size = "gBrowser.selectedBrowser.style = arguments[0]"
        with browser.context("chrome"):
            browser.execute_script(set_size, f"width: {width}px; height: {height}px; flex: none")
        try:
            yield
        finally:
            with browser.context("chrome"):
                browser.execute_script(set_size, "")

    @contextlib.contextmanager
    def media(self, browser, medium: str, features: dict[str, str]) -> Iterator[None]:
        preferences = {
            "color-scheme": ("layout.css.prefers-color-scheme.content-override", {"dark": 0, "light": 1}),
            "reduced-motion": ("ui.prefersReducedMotion", {"no-preference": 0, "reduce": 1}),
        }
        set_medium = "gBrowser.selectedBrowser.browsingContext.mediumOverride = arguments[0]"
        chosen = {preferences[name][0]: preferences[name][1][value] for name, value in features.items()}
        with browser.context("chrome"):
            browser.execute_script(set_medium, medium)
            for name, value in chosen.items():
                browser.execute_script("Services.prefs.setIntPref(...arguments)", name, value)
        try:
            yield
        finally:
            with browser.context("chrome"):
                browser.execute_script(set_medium, "")
                for name in chosen:
                    browser.execute_script("Services.prefs.clearUserPref(arguments[0])", name)


class WebKit(_WithoutLog):
    """Safari's engine, in the small browser that comes with WebKitGTK. It needs a display, such as that of xvfb-run."""

    name = "WebKit"
    program = max(glob.glob(f"/usr/lib*/{_MINI_BROWSER}") + glob.glob(f"/usr/lib*/*/{_MINI_BROWSER}"), default=None)
    driver = shutil.which("WebKitWebDriver")
    missing = "" if program and driver else "MiniBrowser and WebKitWebDriver of WebKitGTK are not installed"
    if not missing and not os.environ.get("DISPLAY"):
        missing = "WebKitGTK needs a display: xvfb-run makes one"

    def start(self, folder: Path, downloads: Path) -> webdriver.WebKitGTK:
        settings = folder / "settings"
        (settings / "gtk-3.0").mkdir(parents=True)
        (settings / "user-dirs.dirs").write_text(f'XDG_DOWNLOAD_DIR="{downloads}"\n', encoding="utf-8")
        # Else the buttons above the page and the downloads below it keep the window from being as narrow as a phone.
        narrow = "* { min-width: 0; padding: 0; margin: 0; font-size: 1px }\n"
        (settings / "gtk-3.0" / "gtk.css").write_text(narrow, encoding="utf-8")
        options = webkitgtk.options.Options()
        options.binary_location = self.program
        options.add_argument("--automation")
        environment = {**os.environ, "XDG_CONFIG_HOME": str(settings)}
        running = webdriver.WebKitGTK(options=options, service=webkitgtk.service.Service(self.driver, env=environment))
        running.set_window_size(1200, 900)
        return running

    @contextlib.contextmanager
    def screen(self, browser, width: int, height: int) -> Iterator[None]:
        before = browser.get_window_size()
        around = before["height"] - browser.execute_script("return innerHeight")
        browser.set_window_size(width, height + around)
        try:
            # The page learns of it some time later.
            WebDriverWait(browser, 60).until(lambda _: browser.execute_script("return innerWidth") == width)
            yield
        finally:
            browser.set_window_size(before["width"], before["height"])

    @contextlib.contextmanager
    def media(self, browser, medium: str, features: dict[str, str]) -> Iterator[None]:
        if medium or features not in ({}, {"color-scheme": "light"}, {"reduced-motion": "no-preference"}):
            pytest.skip(f"{self.name}'s driver can't show a page as on paper, in dark colors, or with reduced motion")
        yield


BROWSERS = {"chromium": Chromium, "firefox": Firefox, "webkit": WebKit}
BROWSER = BROWSERS[os.environ.get("PYCHARRNN_BROWSER") or "chromium"]()
