"""A terminal with a program in it, and what one sees on its screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte
from child_signals import default_signals
from conftest import ROOT, start

COMMAND = ("-m", "pycharrnn")


def _prepare() -> None:
    default_signals()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # what makes Ctrl-C a signal


class Terminal:
    """`pycharrnn ARGS` on a screen of `columns` by `rows`.

    Args:
        stdout: a file for it, instead of the screen. command: instead of pycharrnn.

    Attributes:
        output: all bytes that reached the screen.
    """

    def __init__(self, *args: str, cwd: Path, columns=80, rows=24, stdout=None, command=COMMAND, **extra):
        self.screen = pyte.HistoryScreen(columns, rows, history=100_000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""
        self._fd, slave = pty.openpty()
        self.resize(columns, rows)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "xterm", **extra}
        streams = {"stdin": slave, "stdout": slave if stdout is None else stdout, "stderr": slave}
        if command[0] == "-c" or (args[0] == "train" and command == COMMAND):
            program = command if command[0] == "-c" else ()
            self.process = start(*program, *args, cwd=cwd, env=environment, **streams)
        else:
            words = [sys.executable, *command, *args]
            own = {"start_new_session": True, "preexec_fn": _prepare}
            self.process = subprocess.Popen(words, cwd=cwd, env=environment, **streams, **own)
        os.close(slave)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def read(self, until: Callable[[], bool] = lambda: False, seconds: float = 300) -> None:
        """Show what the program writes until something is seen, or it ends."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "\n".join(self.lines())
            if not select.select([self._fd], [], [], 0.1)[0]:
                continue
            try:
                part = os.read(self._fd, 1 << 16)
            except OSError:  # Linux's word for the end
                part = b""
            if not part:
                return
            self.output += part
            self._stream.feed(part)

    def bottom(self) -> str:
        """The last line on the screen that is not empty."""
        return next((line.rstrip() for line in reversed(self.screen.display) if line.strip()), "")

    def lines(self) -> list[str]:
        """Everything above and on the screen, but for empty lines at its end."""
        above = ["".join(row[k].data for k in range(max(row, default=-1) + 1)) for row in self.screen.history.top]
        return [line.rstrip() for line in [*above, *self.screen.display] if line.strip()]

    def end(self) -> int:
        """Read to the end: the exit status."""
        self.read()
        return self.process.wait(300)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception) -> None:
        self.process.kill()
        # First, for on macOS a process ends only when all that it wrote to the terminal has been read.
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self.process.wait(300)
