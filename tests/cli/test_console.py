"""What every command does alike: options, lines, files, and what is refused before it is overwritten."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from conftest import GOLDEN, ROOT, needs_byte_names, run

from pycharrnn.cli import console

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")


class Standard(io.TextIOWrapper):
    """A text stream that tells what has been flushed into it so far."""

    def __init__(self, content: bytes = b""):
        super().__init__(io.BufferedReader(io.BytesIO(content)) if content else io.BufferedWriter(io.BytesIO()))

    def flushed(self) -> bytes:
        return self.buffer.raw.getvalue()


@needs_byte_names
def test_a_line_is_printed_at_once_with_the_bytes_it_was_given(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Standard())
    console.say(f"left out {os.fsdecode(bytes([0xFF, 0x61]))}")
    assert sys.stdout.flushed() == b"left out \xffa\n"


def test_a_note_is_printed_at_once_if_anybody_listens(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Standard())
    console.note("it is so.")
    console.note("and so.", "pycharrnn sample")
    assert sys.stderr.flushed() == b"pycharrnn: it is so.\npycharrnn sample: and so.\n"
    sys.stderr.close()
    console.note("nobody hears this.")


@needs_byte_names
@pytest.mark.parametrize("command", [["sample", "{}"], ["inspect", "{}"], ["score", CHECKPOINT, "{}"]])
def test_a_file_name_can_not_control_the_terminal(command):
    said = run(*(word.format("\x1b[2J\u202e.t7") for word in command)).stderr.decode()
    assert r"\x1b[2J\u202e.t7" in said and "\x1b" not in said and "\u202e" not in said


def test_a_file_or_standard_input(monkeypatch, tmp_path):
    (tmp_path / "text").write_bytes(b"in a file\r\n\xff")
    assert console.read(str(tmp_path / "text")) == b"in a file\r\n\xff"
    monkeypatch.setattr(sys, "stdin", Standard(b"typed\r\n\xff"))
    assert console.read("-") == b"typed\r\n\xff"


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


@pytest.mark.parametrize("before, after", [(None, "1"), ("3", "3")])
def test_one_thread_unless_the_user_asks_for_more(before, after):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    if before:
        environment["OPENBLAS_NUM_THREADS"] = before
    code = "import os; from pycharrnn.cli import console; console.use_threads(0); print(os.environ[{!r}])"
    command = [sys.executable, "-c", code.format("OPENBLAS_NUM_THREADS")]
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip() == after


def test_threads_that_are_asked_for_are_pytorchs_and_numpys():
    """Whatever the environment says."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    code = "from pycharrnn.cli import console; console.use_threads(1); import torch, os; print(torch.get_num_threads())"
    code += "; print(*(os.environ[f'{name}_NUM_THREADS'] for name in ('OMP', 'OPENBLAS', 'MKL')))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout.split() == ["1"] * 4
