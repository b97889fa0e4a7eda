"""Pace: at which iteration a run has to end so that it takes the time of -minutes, whatever its speed becomes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from pycharrnn.training.time_left import PartTimes, seconds_left

Clock = Callable[[], float]  # seconds from any start

# Fractions of the run's time.
_AIM = 0.985  # at which the run should end
_LATE, _EARLY = 0.01, 0.02  # how far the expected end may be off before the length changes
_MEMORY = 0.01  # over which the speed is averaged
_LEAST_TIMED = 0.02  # before the first change, unless that many iterations are done
_LEAST_ITERATIONS = 10
_SHORTLY = 0.25  # of the iterations between two validations
_NOTICED = 0.1  # of _MEMORY: a shorter delay changes the average little, and is not treated as a pause
_OF_LEFT = 0.1  # of the time that is left: added to _LATE, _EARLY and _MEMORY, since there is time to correct later
_PAUSE = 10  # times the usual time


@dataclass(frozen=True)
class Stopwatch:
    """The seconds since the command began."""

    clock: Clock
    started: float

    @classmethod
    def start(cls) -> Stopwatch:
        return cls(time.monotonic, time.monotonic())

    def seconds(self) -> float:
        return self.clock() - self.started


class Pace:
    """Times iterations and validations, and computes how many iterations the time allows.

    Something that takes far longer than usual was a pause (the process was stopped, or its output was not read), and
    says nothing of the speed, unless the next one takes as long.

    Args:
        minutes: of the run, from the start of `watch`. every: -eval_val_every.
        done: iterations before the first one that is timed.
        validation: the time of a validation, without its checkpoint, in iterations; it counts until one was timed.
        most: iterations that the run never exceeds.
        calibrates: whether the run ends with -calibrate.
    """

    def __init__(
        self,
        minutes: float,
        watch: Stopwatch,
        every: int,
        done: int,
        validation: float,
        most: float,
        calibrates: bool,
    ):
        self._total, self._watch, self._every, self._most = minutes * 60, watch, every, most
        self._calibrates = calibrates
        self._last, self._done = watch.seconds(), done
        self._changed = -math.inf  # when the length was changed last
        self._seconds = self._iterations = 0.0  # recent ones, older ones with less weight
        self._pause: tuple[float, int] | None = None  # seconds and iterations that may have been one
        self._validation = validation  # in iterations
        self._validation_paused = False
        self._validation_seconds: float | None = None  # of the longest one
        self._evaluation = 0.0  # seconds of the current validation, until its loss was computed
        self._evaluation_seconds: float | None = None  # of the longest one

    @property
    def minutes_left(self) -> float:
        """For a checkpoint to record; above 0, which would mean a run without a limit."""
        return max(self._total - self._watch.seconds(), 1e-3) / 60

    def stepped(self, i: int) -> None:
        """Iteration `i` is done; on a GPU, which works through a queue, those before it may not have been reported."""
        now = self._watch.seconds()
        seconds, self._last = now - self._last, now
        iterations, self._done = i - self._done, i
        before, self._pause = self._pause, None
        if not self._iterations:
            if before is None:  # the next iteration tells whether this one was a pause
                self._pause = seconds, iterations
                return
            if not self._is_pause(before[0], before[1] * seconds / iterations, now):
                self._count(*before, now)
            before = None
        if self._iterations and self._is_pause(seconds, iterations * self._iteration, now):
            if before is None:
                self._pause = seconds, iterations
                return
            seconds, iterations = seconds + before[0], iterations + before[1]
        self._count(seconds, iterations, now)

    def _count(self, seconds: float, iterations: int, now: float) -> None:
        weight = math.exp(-seconds / self._memory(now))
        self._seconds = self._seconds * weight + seconds
        self._iterations = self._iterations * weight + iterations

    def evaluated(self) -> None:
        """The loss of a validation is computed, since the last call of `stepped`; its checkpoint is not written yet."""
        self._evaluation = self._watch.seconds() - self._last

    def validated(self) -> None:
        """A validation is done, and its checkpoint written, since the last call of `stepped`."""
        now = self._watch.seconds()
        seconds, self._last = now - self._last, now
        self._validation_paused = (
            bool(self._iterations) and not self._validation_paused and self._is_pause(seconds, self._of_validation, now)
        )
        if not self._validation_paused:
            self._validation_seconds = max(seconds, self._validation_seconds or 0)
            self._evaluation_seconds = max(self._evaluation, self._evaluation_seconds or 0)

    def length(self, i: int, iterations: int) -> int:
        """The length that a run of `iterations` should have from iteration `i` on: the same unless its end is far off.

        Returns: at least `i`, which means to end now.
        """
        now = self._watch.seconds()
        left = self._total * _AIM - now
        if not self._iterations:
            return iterations if left > 0 else i
        if self._seconds < _LEAST_TIMED * self._total and self._iterations < min(_LEAST_ITERATIONS, iterations / 2):
            return iterations
        off = self._needed(i, iterations) - left
        early, late = (limit * self._total + _OF_LEFT * max(0, left) for limit in (_EARLY, _LATE))
        waits = i < iterations and now - self._changed < self._memory(now) / 2
        if -early <= off <= late or waits:
            return iterations
        self._changed = now
        return max(i, min(self._fitting(i, left), max(iterations, int(min(self._most, 1e12)))))

    def _is_pause(self, seconds: float, usual: float, now: float) -> bool:
        return seconds > max(_PAUSE * usual, _NOTICED * self._memory(now))

    def _memory(self, now: float) -> float:
        """Seconds over which the speed is averaged."""
        return _MEMORY * self._total + _OF_LEFT * max(0, self._total - now)

    def _needed(self, i: int, iterations: int) -> float:
        """As seconds_left; `i` itself is not validated yet."""
        times = PartTimes(self._iteration, self._of_validation, self._or_guess(self._evaluation_seconds))
        return seconds_left(times, iterations, self._every, self._calibrates, i, validated=i - 1)

    def _fitting(self, i: int, seconds: float) -> int:
        """The most iterations that need at most `seconds`, without a validation shortly before the last one."""
        low, high = i, i + max(0, math.ceil(seconds / self._iteration))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._needed(i, middle) <= seconds else (low, middle - 1)
        whole = low // self._every * self._every
        return whole if whole > i and low - whole < _SHORTLY * self._every else low

    @property
    def _iteration(self) -> float:
        return max(self._seconds / self._iterations, 1e-9)

    @property
    def _of_validation(self) -> float:
        return self._or_guess(self._validation_seconds)

    def _or_guess(self, seconds: float | None) -> float:
        """What a validation took, or before the first one what it may take."""
        return self._validation * self._iteration if seconds is None else seconds
