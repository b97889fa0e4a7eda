"""Progress on stderr: a status line below the log of training, and bars."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

import click

from pycharrnn.common.display import escape_line
from pycharrnn.common.printing import PrintLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import TextIO

    from click._termui_impl import ProgressBar

_ERASE = b"\r\x1b[K"
_SHOW_CURSOR = b"\x1b[?25h"
_REDRAW_SECONDS = 0.1  # a person can't read faster
_BAR_AFTER_SECONDS = 1  # shorter work needs no bar
_LONGEST_LABEL = 36  # leaves room for a bar in 80 columns


def enabled(choice: int) -> bool:
    """Whether to show progress: -1 = if stdout and stderr are terminals, 0 = no, 1 = if stderr is one."""
    streams = {0: (), 1: (sys.stderr,)}.get(choice, (sys.stdout, sys.stderr))
    return bool(streams) and os.environ.get("TERM") != "dumb" and all(map(_is_terminal, streams))


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        # In Jupyter the descriptor is that of the server's terminal; IDLE says that it is a terminal, and has none.
        return stream is not None and stream.isatty() and os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):  # closed, without a descriptor, or a program's own class
        return False


@contextlib.contextmanager
def bar(label: str, length: int, choice: int = -1) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr if the block takes more than a second; yield a function that receives the work just done.

    `length`: total work in any unit. `choice`: as for `enabled`.
    """
    if not enabled(choice):
        yield lambda done: None
        return
    started, not_drawn = time.time(), 0
    with contextlib.ExitStack() as stack:
        drawn: ProgressBar[int] | None = None

        def advance(done: int) -> None:
            nonlocal drawn, not_drawn
            not_drawn += done
            if drawn is None and time.time() - started > _BAR_AFTER_SECONDS:
                drawn = click.progressbar(
                    length=length,
                    label=escape_line(label, _LONGEST_LABEL),
                    show_percent=True,
                    file=sys.stderr,
                    width=0,
                    update_min_steps=max(length // 1000, 1),  # less is not worth a redraw
                )
                drawn.start = started  # else the estimated time left would be too short
                stack.enter_context(drawn)
            if drawn is not None:
                drawn.update(not_drawn)
                not_drawn = 0

        yield advance


def show_cursor() -> None:
    """Show the cursor after ^C: a bar hides it and shows it at its end, but at ^C a terminal drops pending output."""
    if os.name != "nt" and enabled(1):
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)


class Live:
    """A status line below the log, redrawn after each line of it; hidden while the process is in the background."""

    def __init__(self, choice: int) -> None:
        self._on = os.name != "nt" and enabled(choice)  # Windows' old console can't erase a line
        self._fd = sys.stderr.fileno() if self._on else -1
        self._parts: list[str] = []
        self._drawn = False
        self._time = 0.0

    def due(self) -> bool:
        """Whether it is time to draw the line again; never without a terminal."""
        return self._on and time.monotonic() - self._time >= _REDRAW_SECONDS

    def show(self, parts: list[str]) -> None:
        """Draw the parts of the line; the last ones are dropped in a narrow window."""
        self._time = time.monotonic()
        self._parts = parts
        self._draw()

    @property
    def columns(self) -> int:
        """The width of the window; 80 if unknown."""
        try:
            return os.get_terminal_size(self._fd).columns or 80
        except OSError:
            return 80

    def above(self, say: PrintLine) -> PrintLine:
        """A function that prints a line of the log with `say`, above the status line."""
        if not self._on:
            return say

        def say_above(line: str) -> None:
            drawn = self._drawn
            self.clear()
            say(line)
            if drawn:
                self._draw()

        return say_above

    def clear(self) -> None:
        """Erase the line, until it is shown again."""
        if self._drawn:
            self._drawn = False
            self._write(_ERASE)

    def interrupted(self) -> None:
        """Erase the line in a signal handler, even if it should be gone: at ^C a terminal drops pending output."""
        if self._on:
            self._drawn = False
            self._write(_ERASE)

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()
        self._on = False

    def _draw(self) -> None:
        width = self.columns - 1  # in the last column, some terminals start a new line
        text = " | ".join(self._parts)
        for count in range(len(self._parts) - 1, 0, -1):
            if len(text) > width:
                text = " | ".join(self._parts[:count])
        if self._on and _in_foreground(self._fd):
            self._drawn = True
            # The cursor stays at the start of the line, so that the terminal's echo of ^C is erased with the line.
            self._write(b"\r" + text[:width].encode() + b"\x1b[K\r")

    def _write(self, text: bytes) -> None:
        """Write at once and in one piece; ignore a closed terminal."""
        try:
            os.write(self._fd, text)
        except OSError:
            self._on = self._drawn = False


def _in_foreground(fd: int) -> bool:
    """Whether the terminal belongs to this process group."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # not the controlling terminal, as under torchrun
        return True


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, after the days where there are any.

    Example:
        >>> duration(3725), duration(90061)
        ('1:02:05', '1 d 01:01:01')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days} d {hour:02}:{minute:02}:{second:02}" if days else f"{hour}:{minute:02}:{second:02}"
