"""RunOutput: the lines that a run prints."""

from __future__ import annotations

import errno
import os

from pycharrnn.common.printing import PrintLine
from pycharrnn.common.progress import Live

_CLOSED = (errno.EPIPE, errno.EIO, errno.EBADF)  # of a pipe, of a terminal, of anything


class RunOutput:
    """Prints the original's lines on stdout, all others on stderr, and below both a line of progress on a terminal.

    The file of -log is RunLog's.

    Args:
        say, note: print a line on stdout and on stderr. progress: as -progress.

    Attributes:
        note: prints a line on stderr. live: the line of progress.
        closed: whether stdout is closed, as by `| head`.
    """

    def __init__(self, say: PrintLine, note: PrintLine, progress: int = 0):
        self.live = Live(progress)
        self.note = self.live.above(note)
        self._say = self.live.above(say)
        self._lost_a_line = False
        self.closed = False

    def say(self, line: str) -> None:
        """Print a line on stdout. An error loses lines, but doesn't end the run; the first one is noted."""
        if self.closed:
            return
        try:
            self._say(line)
        except (OSError, ValueError) as e:  # ValueError: a stream that the program has closed
            number, reason = getattr(e, "errno", None), getattr(e, "strerror", None) or e
            if number in _CLOSED or (os.name == "nt" and number == errno.EINVAL):  # of a pipe, on Windows
                self.closed = True
            elif not self._lost_a_line:
                self._lost_a_line = True
                self.note(f"can't write the log ({reason}): training goes on.")
