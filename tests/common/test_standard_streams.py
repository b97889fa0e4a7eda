"""Standard streams that are closed, or lack characters in their encoding."""

from __future__ import annotations

import io
import sys

import pytest

from pycharrnn.common import standard_streams
from pycharrnn.common.errors import UserError


@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["none", "of text only"])
def test_without_bytes_on_standard_input(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdin", stream)
    with pytest.raises(UserError, match="^standard input is closed: "):
        standard_streams.standard_input()


def test_a_closed_standard_input(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(b"a"))
    monkeypatch.setattr(sys, "stdin", stream)
    assert standard_streams.standard_input().read() == b"a"
    stream.close()
    with pytest.raises(UserError, match="^standard input is closed: "):
        standard_streams.standard_input()


@pytest.mark.parametrize(
    "encoding, written",
    [("ascii", rb"g\xe9\u043f\xff"), ("cp1252", b"g\xe9\\u043f\xff"), ("utf-8", "gé\u043f".encode() + rb"\xff")],
)
def test_what_a_stream_lacks_is_escaped(encoding, written):
    """In latin encodings, a byte of invalid UTF-8 is some character."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    standard_streams.write_line("gé\u043f\udcff", stream)
    assert stream.buffer.getvalue() == written + b"\n"


def test_a_stream_without_an_encoding():
    stream = io.StringIO()
    standard_streams.write_line("gé\ud800", stream)
    standard_streams.write_line("nobody reads this", None)
    assert stream.getvalue() == "gé\\ud800\n"
