"""The standard streams of the process, each of which may be closed or lack characters in its encoding."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, BinaryIO, TextIO

from pycharrnn.common.display import encode_line
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def replace_closed() -> None:
    """Open the null device in place of closed streams, whose descriptors would otherwise go to files opened later.

    Writing to standard output is then an error, unless `do_without_output` is called.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)  # open takes the lowest free descriptor, here 0
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            null = _Closed(os.devnull, "w")
            null.refuses = name == "stdout"
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(null), encoding="utf-8"))


def do_without_output() -> None:
    """Lose what is written to a closed standard output, for a program whose result goes elsewhere."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Closed):
        raw.refuses = False


class _Closed(io.FileIO):
    """The null device in the place of a closed stream. `refuses`: whether the next write is an error."""

    refuses = False

    def write(self, content: ReadableBuffer, /) -> int:
        """Errors: OSError, once, if it refuses: what is left in a buffer is lost when the process ends."""
        if self.refuses:
            self.refuses = False
            raise OSError(errno.EBADF, "standard output is closed: connect it to a file, a pipe or a terminal")
        return memoryview(content).nbytes


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
