"""Signals that end a command: cleanup, one sentence, an exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, NoReturn

from pycharrnn.common import progress
from pycharrnn.common.errors import on_page, worded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "SIGHUP", "SIGBREAK": "Ctrl-Break"}

_state = ""  # as describe_progress sets it


class Interrupted(BaseException):
    """SIGTERM, SIGHUP and SIGBREAK raise it, as SIGINT raises KeyboardInterrupt. `number`: of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def raise_on_signals() -> None:
    """Let signals raise KeyboardInterrupt or Interrupted. Signals that the process ignores stay ignored (nohup)."""
    for number in numbers():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, raise_once)


def exit_silently_on_signals() -> None:
    """Let the same signals end the process without a message."""
    for number in numbers():
        if signal.getsignal(number) == raise_once:
            signal.signal(number, end_at_once)


def is_hangup(number: int) -> bool:
    """Whether a signal is SIGHUP. A terminal that closes may send two: one from the system, and one from its shell."""
    return number == getattr(signal, "SIGHUP", None)


def _end_at_the_next(number: int) -> None:
    """After signal `number`, let another one end the process."""
    exit_silently_on_signals()
    if is_hangup(number):
        signal.signal(number, signal.SIG_IGN)


def raise_once(number: int, frame: FrameType | None) -> NoReturn:
    """A signal handler that raises KeyboardInterrupt or Interrupted. Later signals end the process.

    A second exception could escape from the code that handles the first. During an import the first signal ends the
    process, too: C code that imports, as in PyTorch, would drop the exception.
    """
    _end_at_the_next(number)
    while frame is not None:  # is an import among the interrupted calls?
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with contextlib.suppress(OSError):
                os.write(2, f"pycharrnn: {sentence(number)}\n".encode())
            progress.show_cursor()
            end_at_once(number, frame)
        frame = frame.f_back
    raise KeyboardInterrupt if number == signal.SIGINT else Interrupted(number)


def end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """A signal handler that ends the process. With SIG_DFL, Python would report a pending signal."""
    os._exit(status_of(number))


def sentence(number: int) -> str:
    """The message on a signal that stopped the command, with the state that describe_progress was given."""
    return worded(f"stopped{on_page('', elsewhere=f' by {name_of(number)}')}{_state}.")


def name_of(number: int) -> str:
    """One of `numbers` as users know it: Ctrl-C for SIGINT."""
    return _NAMES[signal.Signals(number).name]


@contextlib.contextmanager
def describing_progress(state: str) -> Iterator[None]:
    """As describe_progress, until the end of the block; a signal that ends the block leaves it for the message."""
    describe_progress(state)
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException:
        describe_progress("")
        raise
    describe_progress("")


def describe_progress(state: str) -> None:
    """Add what the command has done so far to `sentence`, as words after "stopped by Ctrl-C"; "" = nothing."""
    global _state
    _state = state


def status_of(number: int) -> int:
    """The exit status of a process ended by a signal, as in shells."""
    return 128 + number


def numbers() -> list[int]:
    """The signals that end a program on this system; none outside the main thread, where Python can't handle them."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]  # Windows lacks SIGHUP, others SIGBREAK
