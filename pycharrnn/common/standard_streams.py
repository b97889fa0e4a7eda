"""The standard streams of the process, each of which may be closed or lack characters in its encoding."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from typing import TYPE_CHECKING, BinaryIO, TextIO

from pycharrnn.common.display import encode_line
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

OUTPUT = "<stdout>"  # the file name in an error of writing to standard output, as Python names the stream


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


def watch_output() -> None:
    """Name standard output in the errors of writing to it, and report a closed pipe on Windows as EPIPE, not EINVAL.

    A terminal stays as it is, and so does a stream that the caller has put in the place of standard output.
    """
    plain = sys.stdout
    buffer = getattr(plain, "buffer", None)
    if not isinstance(plain, io.TextIOWrapper) or plain.isatty():
        return
    if type(getattr(buffer, "raw", buffer)) is not io.FileIO:  # it is the one of a Windows console, or `_Closed`
        return
    raw = _Output(plain.fileno(), "w", closefd=False)
    output = raw if type(buffer) is io.FileIO else io.BufferedWriter(raw)  # as it is with PYTHONUNBUFFERED, or is not
    sys.stdout = io.TextIOWrapper(output, plain.encoding, plain.errors, write_through=plain.write_through)


class _Output(io.FileIO):
    """Standard output, whose errors have the file name OUTPUT."""

    _is_closed = False  # what is left in a buffer of a closed pipe would be another error when Python ends

    def write(self, content: ReadableBuffer, /) -> int:
        """Errors: OSError; BrokenPipeError, once, for a closed pipe."""
        size = memoryview(content).nbytes
        if self._is_closed or not size:  # click writes nothing to learn whether a stream is one of bytes
            return size
        try:
            return super().write(content)
        except OSError as e:
            number = e.errno or 0
            if os.name == "nt" and number == errno.EINVAL and stat.S_ISFIFO(os.fstat(self.fileno()).st_mode):
                self._is_closed, number = True, errno.EPIPE
            raise OSError(number, os.strerror(number), OUTPUT) from None


def input_name(path: str) -> str:
    """What messages call the file at a path that a user gave: "standard input" for -."""
    return "standard input" if path == "-" else path


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
