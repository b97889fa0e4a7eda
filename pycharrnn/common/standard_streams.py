"""The standard streams of the process, each of which may be closed or lack characters in its encoding."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO, TextIO

from pycharrnn.common.display import encode_line
from pycharrnn.common.errors import UserError


def replace_closed() -> None:
    """Open the null device in place of closed streams, whose descriptors would otherwise go to files opened later."""
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)  # open takes the lowest free descriptor, here 0
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def standard_input() -> BinaryIO:
    """Standard input as bytes. Errors: UserError if it is closed."""
    found: BinaryIO | None = None if sys.stdin is None or sys.stdin.closed else getattr(sys.stdin, "buffer", None)
    if found is None:
        raise UserError("standard input is closed: connect it to a file, a pipe or a terminal.")
    return found


def write_line(line: str, stream: TextIO | None) -> None:
    """Write a line and flush, with backslash escapes if needed; None: write nothing. Errors: OSError, ValueError."""
    if stream is not None:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        print(encode_line(line, encoding).decode(encoding, "backslashreplace"), file=stream, flush=True)
