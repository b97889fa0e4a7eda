"""What the commands print."""

from __future__ import annotations

import contextlib
import sys

from pycharrnn.common.display import encode_line, escape_controls, escape_line
from pycharrnn.common.errors import worded
from pycharrnn.common.standard_streams import write_line


def say(line: str) -> None:
    """Print a line on stdout and flush it. File names keep their bytes, also those of invalid UTF-8."""
    sys.stdout.buffer.write(encode_line(line + "\n", sys.getfilesystemencoding()))
    sys.stdout.buffer.flush()


def saved(path: str) -> str:
    """The line that says that a file was written. Its name may have control characters."""
    return f"saved {escape_line(path, None)}"


def print_on_stderr(line: str) -> None:
    """Print a line on stderr; a stderr that is closed or full is no error."""
    with contextlib.suppress(OSError, ValueError):
        write_line(line, sys.stderr)


def note(line: str, program: str = "pycharrnn") -> None:
    """As print_on_stderr, with the program's name before the line. A file name in it may have control characters.

    A line that is empty in the wording of this process is not printed.
    """
    if text := worded(line):
        print_on_stderr(f"{program}: {escape_controls(text)}")


def explain_seed(seed: int) -> None:
    """Print a note on a seed that Torch7's generator does not distinguish from another."""
    from compat.lua_random import explained  # here, since it loads NumPy

    if explanation := explained(seed):
        note(explanation)
