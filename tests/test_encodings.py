"""The tests read and write text as UTF-8, whatever the machine's own encoding is: on Windows that is another one."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def as_the_machine_encodes(source: str) -> list[int]:
    """The lines on which a file is opened as text, or read or written, and no encoding is named."""
    return [call.lineno for call in ast.walk(ast.parse(source)) if isinstance(call, ast.Call) and _leaves_it_open(call)]


def _leaves_it_open(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", None) or f"{getattr(call.func, 'id', None)}()"
    if {"encoding", None} & {keyword.arg for keyword in call.keywords}:  # None: **keywords
        return False
    if name == "open()":
        mode = call.args[1] if len(call.args) > 1 else ast.Constant("r")
        return not (isinstance(mode, ast.Constant) and "b" in mode.value)
    return len(call.args) < {"read_text": 1, "write_text": 2}.get(name, 0)


def test_text_is_utf_8():
    found = {path: as_the_machine_encodes(path.read_text(encoding="utf-8")) for path in TESTS.rglob("*.py")}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_what_names_no_encoding_is_found():
    lines = (
        "path.read_text()",
        "path.write_text('é')",
        "open(path)",
        "open(path, 'w', buffering=1)",
        "path.read_text('utf-8')",
        "path.write_text('é', 'utf-8')",
        "open(path, 'rb')",
        "open(path, encoding='utf-8')",
        "os.open(path, os.O_RDONLY)",
    )
    assert as_the_machine_encodes("\n".join(lines)) == [1, 2, 3, 4]
