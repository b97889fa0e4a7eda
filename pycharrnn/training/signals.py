"""What asks a run to end between two steps: SIGINT, SIGTERM, SIGHUP, SIGBREAK, or a log that nobody reads any more."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from pycharrnn.common.errors import UserError
from pycharrnn.common.interrupts import end_at_once, numbers, status_of
from pycharrnn.training.reports import RunResult

_Handler = Callable[[int, FrameType | None], Any] | int | None  # what signal.signal takes and gives
_CLOSED = (errno.EPIPE, errno.EIO, errno.EBADF)  # of a pipe, of a terminal, of anything


class RunStopped(UserError):
    """A run that ended before its time; the message says how to go on.

    Attributes:
        status: the exit status.
        outcome: what there is of the run.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status
        self.outcome: RunResult | None = None


class Log:
    """The lines that a run prints. None of them can end it: a closed log loses all that follow, a full disk some.

    Args:
        say: prints a line of the log. note: prints a line on stderr.

    Attributes:
        closed: whether nobody reads the log any more.
    """

    def __init__(self, say: Callable[[str], None], note: Callable[[str], None]):
        self._say, self._note = say, note
        self._lost_a_line = False
        self.closed = False

    def say(self, line: str) -> None:
        """Print a line, if anybody reads it."""
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
                self._note(f"can't write the log ({reason}): training goes on.")


class GracefulStop:
    """Context manager: the first signal requests a stop, which the loop polls; the second raises RunStopped at once.

    A third one, while that exception is on its way, ends the process without a word. Signals that the caller ignores
    (nohup, a shell's background job) stay ignored. Outside the main thread, where Python can't handle signals, only the
    log is watched.

    Args:
        log: asks for an end as well, once it is closed.
        alone: a second signal ends at once, and signals are as before after the end. Not under torchrun, which passes
            on what a terminal has sent to all, sends more to those that are ending, and kills who takes 30 s.
        clear: clears a line on the screen that the handler's own would run into.
    """

    def __init__(self, log: Log, alone: bool = True, clear: Callable[[], None] = lambda: None):
        self._log, self._alone, self._clear = log, alone, clear
        self._before: dict[int, _Handler] = {}
        self._number = 0  # of the signal that came first

    @property
    def cause(self) -> str:
        """Why to stop, as a subject ("SIGTERM"); "" to go on."""
        if self._number:
            return signal.Signals(self._number).name
        return "the end of whoever read its log" if self._log.closed else ""

    @property
    def status(self) -> int:
        """The exit status that goes with `cause`."""
        return status_of(self._number) if self._number else int(self._log.closed)

    def __enter__(self) -> GracefulStop:
        for number in numbers():
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if self._alone else signal.SIG_IGN)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """A signal has come: remember the first, end by the second."""
        name = signal.Signals(number).name
        if not self._number:
            self._number = number
            # Not print: the signal may have come in the middle of one.
            second = "; a second one stops at once" if self._alone else ""
            self._clear()
            with contextlib.suppress(OSError):
                os.write(2, f"pycharrnn: {name}: finishing the step and saving{second}.\n".encode())
        elif self._alone:
            for handled in self._before:
                signal.signal(handled, end_at_once)
            raise RunStopped(f"stopped at once by a second signal, {name}.", status_of(number))
