"""What every command prints alike."""

from __future__ import annotations

import io
import os
import sys

import pytest
from conftest import GOLDEN, needs_byte_names, run

from pycharrnn.cli import console

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")


class Standard(io.TextIOWrapper):
    """A text stream that tells what has been flushed into it so far."""

    def __init__(self) -> None:
        super().__init__(io.BufferedWriter(io.BytesIO()))

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
