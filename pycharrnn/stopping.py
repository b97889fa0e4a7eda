"""What asks a run to end between two steps: SIGINT, SIGTERM, SIGHUP, or a log that nobody reads any more."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Callable

from pycharrnn.options import UserError

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_CLOSED = (errno.EPIPE, errno.EIO, errno.EBADF)  # of a pipe, of a terminal, of anything


class Stopped(UserError):
    """A run that ended before its time; the message says how to go on. `status`: the exit status."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class Stop:
    """A context in which a signal only sets `cause`, for the loop to look at; a second signal raises Stopped at once.

    Signals that the caller ignores (nohup, a shell's background job) stay ignored. Outside the main thread, where
    Python can't handle signals, only the log is watched.

    Args:
        say: prints a line of the log. note: prints a line on stderr.
        alone: a second signal ends at once, and signals are as before after the end. Not under torchrun, which passes
            on what a terminal has sent to all, sends more to those that are ending, and kills who takes 30 s.
        clear: clears a line on the screen that the handler's own would run into.

    Attributes:
        cause: why to stop, as a subject ("SIGTERM"), or "". status: the exit status that goes with it.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        note: Callable[[str], None],
        alone: bool = True,
        clear: Callable[[], None] = lambda: None,
    ):
        self._say, self._note, self._alone, self._clear = say, note, alone, clear
        self._log_failed = False
        self._before: dict[int, object] = {}
        self.cause, self.status = "", 0

    def say(self, line: str) -> None:
        """A line of the log. A log that is closed asks for an end; one that is full loses lines and no more."""
        if self._say is None:
            return
        try:
            self._say(line)
        except OSError as e:
            if e.errno in _CLOSED:
                self._say = None
                if not self.cause:
                    self.cause, self.status = "the end of whoever read its log", 1
            elif not self._log_failed:
                self._log_failed = True
                self._note(f"can't write the log ({e.strerror or e}): training goes on.")

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception) -> None:
        if self._alone:
            self._restore()
        else:
            for number in self._before:
                signal.signal(number, signal.SIG_IGN)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _handle(self, number: int, frame) -> None:
        name = signal.Signals(number).name
        if self.status > 128 and not self._alone:
            return
        if self.status > 128:
            self._restore()
            raise Stopped(f"stopped at once by a second signal, {name}.", 128 + number)
        self.cause, self.status = name, 128 + number
        # Not print: the signal may have come in the middle of one.
        second = "; a second one stops at once" if self._alone else ""
        self._clear()
        with contextlib.suppress(OSError):
            os.write(2, f"pycharrnn: {name}: finishing the step and saving{second}.\n".encode())
