"""How far a command has come, for a person at a terminal: a line below training's log, a bar for what takes long.

All of it goes to stderr, so that stdout holds the log and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator

import click

_ERASE = b"\r\x1b[K"
_REDRAW_SECONDS = 0.1  # a person can't read faster
_BAR_AFTER_SECONDS = 1  # what takes less needs no bar
_LONGEST_LABEL = 36  # leaves room for a bar in 80 columns
_MEASURED = 100  # redraws over which the speed is taken


def shown(choice: int) -> bool:
    """Whether to show anything.

    Args:
        choice: -1 = if stdout and stderr are a terminal, 0 = no, 1 = if stderr is one.
    """
    streams = {0: (), 1: (sys.stderr,)}.get(choice, (sys.stdout, sys.stderr))
    return bool(streams) and os.environ.get("TERM") != "dumb" and all(s is not None and s.isatty() for s in streams)


@contextlib.contextmanager
def bar(label: str, length: int, choice: int = -1) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while the block runs, if that takes longer than a second; `choice` as for shown.

    Args:
        length: how much there is to do, in any unit.

    Returns: what to call with how much has just been done.
    """
    if not shown(choice):
        yield lambda done: None
        return
    started, waiting = time.time(), 0
    with contextlib.ExitStack() as stack:
        drawn = None

        def advance(done: int) -> None:
            nonlocal drawn, waiting
            waiting += done
            if drawn is None and time.time() - started > _BAR_AFTER_SECONDS:
                steps = max(length // 1000, 1)  # of which one is worth a redraw
                drawn = click.progressbar(
                    length=length,
                    label=label[:_LONGEST_LABEL],
                    show_percent=True,
                    file=sys.stderr,
                    width=0,
                    update_min_steps=steps,
                )
                drawn.start = started  # or it would promise too much
                stack.enter_context(drawn)
            if drawn is not None:
                drawn.update(waiting)
                waiting = 0

        yield advance


class Live:
    """A line that stays below whatever is printed while it is shown.

    It is erased before a line of the log and drawn again after it, never wider than the window is at that moment. In
    the background, where the terminal belongs to another program, it isn't drawn.

    Args:
        choice: as for shown.
    """

    def __init__(self, choice: int):
        self._on = os.name != "nt" and shown(choice)  # Windows' old console does not know how to erase
        self._fd = sys.stderr.fileno() if self._on else -1
        self._parts: list[str] = []
        self._drawn = False
        self._time = 0.0

    def due(self) -> bool:
        """Whether the line should be shown anew: often enough to watch, too seldom to cost time."""
        return self._on and time.monotonic() - self._time >= _REDRAW_SECONDS

    def show(self, parts: list[str]) -> None:
        """Draw the line; the last of its parts are left out where the window is narrow."""
        self._time = time.monotonic()
        self._parts = parts
        self._draw()

    def above(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """`say`, printing above the line."""
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
        """Take the line off the screen."""
        if self._drawn:
            self._drawn = False
            self._write(_ERASE)

    def interrupted(self) -> None:
        """Take the line off the screen in a signal's handler.

        At ^C a terminal throws away what it has not shown yet, so that an erased line may still stand there.
        """
        if self._on:
            self._drawn = False
            self._write(_ERASE)

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *exception) -> None:
        self.clear()
        self._on = False

    def _draw(self) -> None:
        try:
            columns = os.get_terminal_size(self._fd).columns
        except OSError:
            columns = 0
        width = (columns or 80) - 1  # in the last column, some terminals start a new line
        text = " | ".join(self._parts)
        for count in range(len(self._parts) - 1, 0, -1):
            if len(text) > width:
                text = " | ".join(self._parts[:count])
        if self._on and _in_foreground(self._fd):
            self._drawn = True
            # The cursor rests at the start, where the ^C of a terminal's echo is erased with the rest.
            self._write(b"\r" + text[:width].encode() + b"\x1b[K\r")

    def _write(self, text: bytes) -> None:
        """At once and in one piece. A terminal that has gone is no reason to stop."""
        try:
            os.write(self._fd, text)
        except OSError:
            self._on = self._drawn = False


def _in_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # a terminal that controls no group of ours, as under torchrun
        return True


class Figures:
    """What training's line says.

    Args:
        iterations: the last one's number. done: how many a resumed run has behind it.
        ntrain, nval: batches of the splits. characters: of a batch. eval_val_every: as in TrainOptions.
        val_losses: the run's, which grow while it goes on.
        clock: seconds.
    """

    def __init__(
        self,
        iterations: int,
        done: int,
        ntrain: int,
        nval: int,
        characters: int,
        eval_val_every: int,
        val_losses: dict[int, float],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._iterations, self._ntrain, self._nval = iterations, ntrain, nval
        self._characters, self._every, self._val_losses = characters, eval_val_every, val_losses
        self._clock = clock
        self._aside = 0.0  # seconds that went into validations and their checkpoints
        self._validation: float | None = None  # seconds that the last one took
        self._times = deque([(clock(), done)], _MEASURED)  # (seconds of training, iteration)

    def training(self, i: int) -> list[str]:
        """The line's parts after iteration `i`."""
        self._times.append((self._clock() - self._aside, i))
        (first, before), (last, _) = self._times[0], self._times[-1]
        parts = [f"epoch {i / self._ntrain:.2f} of {self._iterations / self._ntrain:.4g}"]
        if last > first and i > before:
            step = (last - first) / (i - before)
            # Until one has been timed: a validation goes forward only, about a third of a step.
            validation = self._nval * step / 3 if self._validation is None else self._validation
            validations = self._iterations // self._every - i // self._every + (self._iterations % self._every > 0)
            left = (self._iterations - i) * step + (validations if i < self._iterations else 0) * validation
            parts += [f"ETA {duration(left)}", f"{self._characters / step:,.0f} characters/s"]
        finite = [loss for loss in self._val_losses.values() if loss == loss]
        if finite:
            parts.append(f"best val_loss {min(finite):.4f}")
        return parts

    def validating(self, k: int) -> list[str]:
        """The line's parts after `k` batches of a validation."""
        filled = 30 * k // self._nval
        return [f"validating [{'#' * filled}{'-' * (30 - filled)}] {k}/{self._nval}"]

    @contextlib.contextmanager
    def validation(self) -> Iterator[None]:
        """Around a validation and the saving after it, which are no part of the speed of training."""
        start = self._clock()
        yield
        self._validation = self._clock() - start
        self._aside += self._validation


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
