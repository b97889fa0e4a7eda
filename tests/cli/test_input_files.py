"""The files that commands read, and standard input."""

from __future__ import annotations

import io
import os
import sys

import pytest
from conftest import GOLDEN, run

from pycharrnn.cli import input_files

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")


def test_a_file_or_standard_input(monkeypatch, tmp_path):
    (tmp_path / "text").write_bytes(b"in a file\r\n\xff")
    assert input_files.read(str(tmp_path / "text")) == b"in a file\r\n\xff"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"typed\r\n\xff"), encoding="utf-8"))
    assert input_files.read("-") == b"typed\r\n\xff"


@pytest.mark.parametrize("command", [["train", "-"], ["score", CHECKPOINT, "-"]], ids=["train", "score"])
def test_at_a_terminal_it_says_that_a_text_is_to_be_typed(command, tmp_path):
    pytest.importorskip("pyte")
    if os.name == "nt":
        pytest.skip("pseudo-terminals of POSIX")
    from terminal import Terminal

    with Terminal(*command, cwd=tmp_path) as terminal:
        terminal.read(
            lambda: "pycharrnn: type or paste a text; Ctrl-D at the start of a line ends it." in terminal.lines()
        )
        terminal.type(b"x\n\x04")
        terminal.end()
    assert "2 characters" in " ".join(terminal.lines())


def test_a_pipe_is_not_asked_for_a_text():
    assert run("score", CHECKPOINT, "-", input=b"The night").stderr == b""
