"""Files that are dropped on the studio, in a browser, and what is known of them before they are sent."""

from __future__ import annotations

import pytest
from page_modules import modules, script
from page_tools import needs_browser

DROP = """
const { listenForDrop } = await import("./studio_files.js");
const entryOf = ([name, inside]) =>
  typeof inside === "string"
    ? { name, isFile: true, file: (resolve) => resolve(new File([inside], name)) }
    : { name, isFile: false, createReader: () => readerOf(inside.map(entryOf)) };
const readerOf = (left) => ({ readEntries: (resolve) => resolve(left.splice(0, 2)) });
const zone = document.body.appendChild(document.createElement("div"));
return await new Promise((resolve, reject) => {
  listenForDrop(zone, (files) => resolve(files.map(({ path }) => path)), reject);
  const items = args[0].map((one) => ({ webkitGetAsEntry: () => entryOf(one) }));
  const dataTransfer = { items, files: [], getData: () => "" };
  zone.dispatchEvent(Object.assign(new Event("drop", { cancelable: true }), { dataTransfer }));
});
"""


@needs_browser
@pytest.mark.parametrize(
    ("dropped", "paths"),
    [
        ([["poems.txt", "a"], ["b.txt", "b"]], ["poems.txt", "b.txt"]),
        ([["poems", [["b.txt", "b"], [".hidden", "h"], ["a", [["c.txt", "c"]]]]]], ["poems/a/c.txt", "poems/b.txt"]),
        ([[".DS_Store", "x"], ["a.txt", "a"]], ["a.txt"]),
    ],
    ids=["files", "a folder", "a hidden file"],
)
def test_dropped_files_have_their_names(chromium, dropped, paths):
    with modules(chromium, []):
        assert script(chromium, DROP, dropped) == paths


@needs_browser
@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["boys/b.txt", "boys/old/c.txt"], "boys"),
        (["boys/b.txt", "girls2/g.txt", "girls2/old/o.txt"], ""),
        (["boys/b.txt", "loose.txt"], ""),
        (["a.txt", "b.txt"], ""),
    ],
    ids=["one folder", "two folders", "a folder and a file", "files"],
)
def test_the_folder_of_files_holds_all_of_them(chromium, paths, folder):
    code = """
        const { folderOf } = await import("./studio_files.js");
        return folderOf(args[0].map((path) => ({ path })));
    """
    with modules(chromium, []):
        assert script(chromium, code, paths) == folder
