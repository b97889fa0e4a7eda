"""Signals that ask a command to end: heard at any time, and ended with one sentence."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

_NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "SIGHUP"}


class Interrupted(BaseException):
    """SIGTERM or SIGHUP, as KeyboardInterrupt is SIGINT: temporary files are removed and other processes ended.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def hear() -> None:
    """From here on signals raise KeyboardInterrupt or Interrupted; while a module is imported they end the process.

    There an exception would be lost where C code imports (PyTorch does so), or would leave half a module behind.
    Signals that the caller ignores (nohup, a shell's background job) stay ignored.
    """
    for number in _numbers():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _raise)


def end_at_once_from_here() -> None:
    """From here on signals end the process without a word: the command is at its end, or has said why it ends."""
    for number in _numbers():
        if signal.getsignal(number) == _raise:
            signal.signal(number, end_at_once)


def end_at_once(number: int, frame) -> None:
    """A signal's handler: the end of the process.

    SIG_DFL would do the same, but Python complains when it finds it set for a signal that has just come.
    """
    os._exit(status_of(number))


def sentence(number: int) -> str:
    """What is said of the end by a signal."""
    return f"stopped by {_NAMES.get(signal.Signals(number).name)}."


def status_of(number: int) -> int:
    """The exit status of an end by a signal, as shells have it."""
    return 128 + number


def _numbers() -> list[int]:
    """The signals that the system has; none outside the main thread, where Python can't handle them."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]  # Windows has no SIGHUP


def _raise(number: int, frame) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with contextlib.suppress(OSError):
                os.write(2, f"pycharrnn: {sentence(number)}\n".encode())
            end_at_once(number, frame)
        frame = frame.f_back
    raise KeyboardInterrupt if number == signal.SIGINT else Interrupted(number)
