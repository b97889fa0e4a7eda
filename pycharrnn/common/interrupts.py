"""Signals that ask a command to end: it ends at any time, cleans up, and says so in one sentence."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "SIGHUP", "SIGBREAK": "Ctrl-Break"}


class Interrupted(BaseException):
    """What SIGTERM, SIGHUP or SIGBREAK raises, as SIGINT raises KeyboardInterrupt.

    On its way up, temporary files are removed and other processes ended.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def raise_on_signals() -> None:
    """From here on signals raise KeyboardInterrupt or Interrupted.

    While a module is being imported they end the process instead. An exception would be lost there where C code
    imports, as in PyTorch, or would leave half a module behind. Signals that the process was started to ignore (by
    nohup, or as a shell's background job) stay ignored.
    """
    for number in numbers():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _raise)


def exit_silently_on_signals() -> None:
    """From here on signals end the process without a message: the command is at its end, or has said why it ends.

    Signals that raise_on_signals left alone are left alone here too.
    """
    for number in numbers():
        if signal.getsignal(number) == _raise:
            signal.signal(number, end_at_once)


def end_at_once(number: int, frame: FrameType | None) -> None:
    """A signal's handler that ends the process.

    SIG_DFL would do the same, but Python complains where it finds SIG_DFL set for a signal that has just arrived.
    """
    os._exit(status_of(number))


def sentence(number: int) -> str:
    """The message about the end by a signal."""
    return f"stopped by {_NAMES.get(signal.Signals(number).name)}."


def status_of(number: int) -> int:
    """The exit status of an end by a signal, as shells have it."""
    return 128 + number


def numbers() -> list[int]:
    """The signals that ask a program to end, of those that the system has.

    None outside the main thread, where Python can't handle them.
    """
    if threading.current_thread() is not threading.main_thread():
        return []
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]  # Windows lacks SIGHUP, others SIGBREAK


def _raise(number: int, frame: FrameType | None) -> None:
    """A signal's handler: see raise_on_signals."""
    while frame is not None:  # look for an import among the calls that the signal interrupted
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with contextlib.suppress(OSError):
                os.write(2, f"pycharrnn: {sentence(number)}\n".encode())
            end_at_once(number, frame)
        frame = frame.f_back
    raise KeyboardInterrupt if number == signal.SIGINT else Interrupted(number)
