"""The page of `pycharrnn studio` in a browser: what one opens, presses and drops there."""

from __future__ import annotations

from page_tools import By, click, element, wait
from pretended_studio import run

# All announcements to screen readers, including those that the next one replaces at once.
KEEP_ANNOUNCED = """
const node = document.getElementById("studio-announced");
window.announced = [];
new MutationObserver(() => announced.push(node.textContent)).observe(node, {childList: true});
"""


def opened(browser, studio, section: str = ""):
    """The page, anew. section: which one to show."""
    if browser.current_url.startswith(studio.address):
        browser.execute_script("sessionStorage.clear()")  # the token that a test before has typed
    browser.get("about:blank")
    browser.get(studio.address)
    asks = element(browser, "ask-token")
    wait(browser, lambda: asks.is_displayed() or browser.execute_script("return document.body.dataset.section"))
    if section:
        click(browser, f"show-{section}")
    return browser


def shown(browser, name: str, words: str) -> None:
    """Waits until a part of the page has some words."""
    wait(browser, lambda: words in element(browser, name).text)


def press(browser, key: str) -> None:
    """Click the first button whose data-key begins with some words; the id of a run may follow."""
    selector = f"[data-key^='{key}']"
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, selector))
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def focused(browser) -> str:
    return browser.execute_script("return document.activeElement.dataset.key || document.activeElement.id")


def drop(browser, zone: str, files: dict[str, str]) -> None:
    """Drop files with these contents; entries that scripts make of them are none that each browser can read."""
    browser.execute_script(
        "const files = Object.entries(arguments[1]).map(([name, text]) => new File([text], name));"
        "const dataTransfer = {items: [], files, types: ['Files'], getData: () => ''};"
        "const zone = document.getElementById(arguments[0]);"
        "for (const kind of ['dragenter', 'dragover', 'drop'])"
        " zone.dispatchEvent(Object.assign(new Event(kind, {bubbles: true, cancelable: true}), {dataTransfer}))",
        zone,
        files,
    )


def drop_folders(browser, zone: str, folders: dict[str, dict[str, str]]) -> None:
    """Drop folders of files with these contents; scripts can't make the entries that a browser has for them."""
    browser.execute_script(
        "const fileEntry = ([name, text]) =>"
        " ({name, isFile: true, file: (resolve) => resolve(new File([text], name))});"
        "const folderEntry = ([name, files]) => {"
        " const left = Object.entries(files).map(fileEntry);"
        " return {name, isFile: false, createReader: () => ({readEntries: (resolve) => resolve(left.splice(0))})};"
        "};"
        "const items = Object.entries(arguments[1]).map((folder) => ({webkitGetAsEntry: () => folderEntry(folder)}));"
        "const dataTransfer = {items, files: [], getData: () => ''};"
        "const event = Object.assign(new Event('drop', {cancelable: true}), {dataTransfer});"
        "document.getElementById(arguments[0]).dispatchEvent(event)",
        zone,
        folders,
    )


def count_of(studio, path: str) -> int:
    return sum(asked == path for _, asked, _ in studio.requests)


def hold_queue(studio) -> None:
    """Two runs wait, and none begins before a user says so."""
    studio.runs = [run("poems", "waiting"), run("ships", "waiting")]
    studio.queue, studio.is_held = ["r-poems", "r-ships"], True
