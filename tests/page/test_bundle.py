"""The page's modules as one script: in a browser, which does what the modules do, and what is refused."""

from __future__ import annotations

import json

import pytest
from page_tools import needs_browser

from pycharrnn.page.bundle import UnsupportedModule, bundle
from pycharrnn.page.page_files import page_files

MODULES = {
    "entry.js": 'import { Counter, made } from "./counter.js";\nimport { $ } from "./names.js";\n'
    "// In words.\n\nconst twice = (x) =>\n  // Twice.\n  2 * x; // x + x\n"
    "result.push(new Counter(3).next(), made(), $, twice(4));\n",
    "counter.js": 'import {\n  step,\n  $,\n} from "./names.js";\nconst twice = $ + step;\nlet count = 0;\n'
    "export class Counter {\n  constructor(at) {\n    this.at = at;\n  }\n  next() {\n    count++;\n"
    "    return this.at + step;\n  }\n}\nexport function made() {\n  return [count, twice];\n}\n",
    "names.js": 'result.push("once");\nexport const step = 2;\nexport const $ = "a";\n'
    "export async function later() {\n  await null;\n}\nexport function* numbers() {\n  yield 1;\n}\n",
}


@needs_browser
def test_a_bundle_does_what_its_modules_do(chromium):
    chromium.get("about:blank")
    found = chromium.execute_script(f"const result = [];\n{bundle('entry.js', MODULES)}\nreturn result")
    assert found == ["once", 5, [1, "a2"], "a", 8]


def test_what_is_there_for_readers_is_left_out():
    script = bundle("entry.js", MODULES)
    assert "In words" not in script and "Twice" not in script and "\n " not in script and "\n\n" not in script
    assert "2 * x; // x + x\n" in script


def test_the_same_modules_give_the_same_script():
    assert bundle("entry.js", MODULES) == bundle("entry.js", dict(reversed(MODULES.items())))


@pytest.mark.parametrize(
    "source, why",
    [
        ('import x from "./names.js";', "form"),
        ('import * as x from "./names.js";', "form"),
        ('import "./names.js";', "form"),
        ('import { step as x } from "./names.js";', "form"),
        ('import { step } from "../names.js";', "form"),
        ('import { step } from "https://example.org/names.js";', "form"),
        ('const x = import("./names.js");', "form"),
        ("const x = import.meta.url;", "form"),
        ("await null;", "form"),
        ("export default 1;", "form"),
        ("export { x };", "form"),
        ("export let x = 1;", "form"),
        ("export const { x } = {};", "form"),
        ('export * from "./names.js";', "form"),
        ("/* a comment\nimport nothing */", "form"),
        ('const x = "</SCRIPT>";', "form"),
        ('const x = "<!--";', "form"),
        ('const x = "\u2028";', "form"),
        ("const x = 1;\r\n", "form"),
        ("const x = `\nexport const y = 1;\n`;", "template"),
        ('import { other } from "./names.js";', "other, which names.js does not export"),
        ('import { step } from "./other.js";', "other.js, which does not exist"),
        ('import { x } from "./entry.js";', "entry.js imports entry.js"),
        ('import { step } from "./names.js";\nconst step = 3;', "step twice"),
        ('import { step } from "./names.js";\nimport { step } from "./names.js";', "step twice"),
        ("const x = 1;\nfunction x() {}", "x twice"),
    ],
)
def test_what_is_not_understood_is_refused(source, why):
    with pytest.raises(UnsupportedModule, match=why):
        bundle("entry.js", {**MODULES, "entry.js": source})


def test_modules_that_import_each_other_are_refused():
    modules = {"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\nexport const b = 1;\n'}
    with pytest.raises(UnsupportedModule, match="a.js imports b.js imports a.js"):
        bundle("a.js", modules)


@needs_browser
def test_the_page_of_the_server_is_in_the_form(chromium):
    modules = {name: content.decode() for name, content in page_files().items() if name.endswith(".js")}
    script = bundle("server.js", modules)
    assert script.count("\nconst $page_js = ") == 1
    assert chromium.execute_script(f"new Function({json.dumps(script)}); return 1") == 1
