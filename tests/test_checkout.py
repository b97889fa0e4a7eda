"""What holds for every file of the checkout."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT
from recorded_runs import PACKED

CONFLICT = re.compile(rb"^(?:<{7} .*|\|{7} .*|={7}|>{7} .*)\r?$", re.M)


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    names = [name for name in listed.stdout.split("\0") if name]
    if listed.returncode or "setup.py" not in names:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def conflict_marks(content: bytes) -> list[bytes]:
    """The lines of an unresolved merge: a line of equal signs alone may also be a heading."""
    marks = [found[0] for found in CONFLICT.finditer(content)]
    return marks if any(not mark.startswith(b"=") for mark in marks) else []


def test_no_file_holds_merge_conflict_marks():
    marked = {str(path): marks for path in tracked_files() if (marks := conflict_marks(path.read_bytes()))}
    assert marked == {}


def test_merge_conflict_marks_are_found():
    merged = b"\n".join((b"- one", b"<" * 7 + b" dd12e50", b"- two", b"=" * 7, b"- three", b">" * 7 + b" 259c079", b""))
    assert len(conflict_marks(merged)) == 3
    assert conflict_marks(merged.replace(b"\n", b"\r\n"))
    assert conflict_marks(b"Heading\n=======\n") == []


def test_recorded_checkpoints_are_packed():
    """Without a name and a time: the same file has the same bytes whenever it is packed."""
    assert {path.read_bytes()[:8] for path in PACKED.rglob("*.t7")} == {b"\x1f\x8b\x08" + bytes(5)}


def test_lines_of_c_javascript_and_css_are_at_most_120_characters_long():
    sources = [path for path in tracked_files() if path.suffix in (".c", ".h", ".js", ".css")]
    sources = [path for path in sources if ROOT / "pycharrnn" in path.parents]
    assert len(sources) > 60
    lines = {path.name: path.read_text(encoding="utf-8").splitlines() for path in sources}
    long = {name: [line for line in of_file if len(line) > 120] for name, of_file in lines.items()}
    assert not any(long.values()), long


def may_import(package: Path) -> set[str]:
    """The words of the sentence "May import ..." in a package's docstring, without a remark in parentheses."""
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    (sentence,) = re.findall(r"May import ([^.;:]+)", said)
    return set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", sentence)))


def test_each_package_names_what_the_import_linter_lets_it_import():
    """A layer may import the layers below it, and compat, which may import none of them."""
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter", encoding="utf-8")
    layers = [set(line.split(" | ")) for line in rules["importlinter:contract:packages"]["layers"].split("\n") if line]
    packages = set().union(*layers)
    for k, layer in enumerate(layers):
        below = {"compat"}.union(*layers[k + 1 :])
        for name in layer:
            assert may_import(ROOT / "pycharrnn" / name) & (packages | {"compat"}) == below, name
    forbidden = rules["importlinter:contract:compat"]["forbidden_modules"].split()
    assert may_import(ROOT / "compat") == {"neither", "nor", *forbidden}


def test_no_module_imports_itself_through_others():
    """Nor within functions, where Python does not notice."""
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in (ROOT / "pycharrnn").rglob("*.py")}
    names = {path: ".".join(found).removesuffix(".__init__") for path, found in parts.items()}
    modules, imported = set(names.values()), {}
    for path, name in names.items():
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        found = {(node.module, f"{node.module}.{alias.name}") for node in froms for alias in node.names}
        imported[name] = {full if full in modules else module for module, full in found} & modules - {name}
    assert {"pycharrnn.engine.learner"} < imported["pycharrnn.engine.torch_adapt"]
    TopologicalSorter(imported).prepare()  # raises CycleError
