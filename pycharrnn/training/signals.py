"""Requests to stop a run between two steps: by SIGINT, SIGTERM, SIGHUP, SIGBREAK, a callback, or a closed log."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from pycharrnn.common.errors import UserError, on_page, worded
from pycharrnn.common.interrupts import (
    describe_progress,
    end_at_once,
    is_hangup,
    name_of,
    numbers,
    raise_once,
    status_of,
)
from pycharrnn.training.reports import RunResult
from pycharrnn.training.run_output import RunOutput

_Report = TypeVar("_Report")
_Handler = Callable[[int, FrameType | None], Any] | int | None  # as in signal.signal


class RunStopped(UserError):
    """A run ended early; the message says how to continue it. `status`: the exit status. `result`: the run so far."""

    def __init__(self, message: str, status: int = 1):  # unpickling gives the message alone, then the attributes
        super().__init__(message)
        self.status = status
        self.result: RunResult | None = None


class GracefulStop:
    """Context manager: the first signal requests a stop, which the loop polls; the second raises RunStopped at once.

    A third one ends the process while that exception propagates, also after the context unless a program has handlers
    of its own. Ignored signals stay ignored (nohup, a shell's background job). Outside the main thread, where Python
    can't handle signals, only stdout and the callbacks are watched.

    Args:
        output: requests a stop once stdout is closed. Its line of progress is erased before the handler prints.
        alone: False under torchrun, which sends several signals to each process: those after the first are ignored.
    """

    def __init__(self, output: RunOutput, alone: bool):
        self._output, self._alone = output, alone
        self._before: dict[int, _Handler] = {}
        self._number = 0  # of the first signal
        self._by_callback = False

    @property
    def cause(self) -> str:
        """Why to stop, as a noun ("Ctrl-C"); "" to continue."""
        if self._number:
            return name_of(self._number)
        if self._by_callback:
            return "a callback"
        return "a closed standard output" if self._output.closed else ""

    @property
    def status(self) -> int:
        """The exit status for `cause`: that of the signal, 1 for a closed standard output, 0 for none."""
        number = self._number or (signal.SIGINT if self._by_callback else 0)
        return status_of(number) if number else int(self._output.closed)

    def call(self, callback: Callable[[_Report], object], report: _Report) -> None:
        """Call a callback. A KeyboardInterrupt that it raises requests a stop, also outside the main thread."""
        try:
            callback(report)
        except KeyboardInterrupt:
            self._by_callback = True

    def __enter__(self) -> GracefulStop:
        describe_progress("")
        for number in numbers():
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if self._alone else signal.SIG_IGN)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = name_of(number)
        if not self._number:
            self._number = number
            # Not print: the signal may have interrupted one.
            second = "; a second one stops at once" if self._alone else ""
            doing = "finishing the step and saving"
            said = worded(on_page(f"{doing}.", elsewhere=f"{name}: {doing}{second}."))
            self._output.live.interrupted()
            with contextlib.suppress(OSError):
                os.write(2, f"pycharrnn: {said}\n".encode())
        elif self._alone and not (is_hangup(number) and is_hangup(self._number)):
            for handled, before in self._before.items():
                signal.signal(handled, end_at_once)
                if before is raise_once:
                    self._before[handled] = end_at_once
            by = on_page("", elsewhere=f" by a second signal, {name}")
            raise RunStopped(f"stopped at once{by}.", status_of(number))
