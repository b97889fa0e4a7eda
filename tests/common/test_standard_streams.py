"""Standard streams that are closed, or lack characters in their encoding."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys

import pytest
from conftest import GOLDEN, ROOT

from pycharrnn.cli import commands
from pycharrnn.common import standard_streams
from pycharrnn.common.errors import UserError


@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["none", "of text only"])
def test_without_bytes_on_standard_input(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdin", stream)
    with pytest.raises(UserError, match="^standard input is closed: "):
        standard_streams.standard_input()


def test_a_closed_standard_input(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(b"a"), encoding="utf-8")
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


@pytest.mark.parametrize(
    "words, status",
    [
        (["inspect"], 1),
        (["sample", "-length", "9"], 1),
        (["sample", "-length", "9", "-samples", "2"], 1),
        (["sample", "-length", "9", "-json", "1"], 1),
        (["convert"], 0),
    ],
)
def test_a_closed_standard_output(words, status, monkeypatch, tmp_path, capsys):
    """An error where the result goes there; once, so that Python can flush the rest at its end."""
    shutil.copy(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7", tmp_path / "m.t7")
    monkeypatch.setattr(sys, "stdout", None)
    standard_streams.replace_closed()
    with sys.stdout:
        assert commands._run([words[0], str(tmp_path / "m.t7"), *words[1:]], commands.tell_error, None) == status
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pycharrnn: standard output")]
    sentence = "pycharrnn: standard output is closed: connect it to a file, a pipe or a terminal."
    assert said == ([sentence] if status else [])


@pytest.mark.skipif(os.name == "nt", reason="file descriptors of POSIX")
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_no_file_takes_the_place_of_a_closed_stream(closed, tmp_path):
    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    code = (
        "import os, sys; from pycharrnn.common import standard_streams as s\n"
        "s.replace_closed(); s.do_without_output()\n"
        f"with open({str(tmp_path / 'out')!r}, 'w') as f:\n"
        " print('to stdout'); print('to stderr', file=sys.stderr); os.write(2, b'from C')\n"
        " f.write(str(f.fileno() > 2))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, preexec_fn=close, stdout=subprocess.PIPE)
    assert (ended.returncode, (tmp_path / "out").read_text()) == (0, "True")
    assert ended.stdout == (b"" if 1 in closed else b"to stdout\n")
