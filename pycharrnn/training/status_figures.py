"""The figures of the status line of a training."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator

from pycharrnn.common import losses
from pycharrnn.common.progress import duration
from pycharrnn.training.run_sizes import RunSizes
from pycharrnn.training.time_left import PartTimes, seconds_left, validation_steps

_SPEED_OVER = 100  # redraws; the speed is the mean over them


class StatusFigures:
    """The text of the status line: progress, time left, speed and best loss.

    Args:
        iterations: of the whole run.
        val_losses: iteration -> validation loss; the run adds to it.
        calibrates: whether the run ends with -calibrate.
    """

    def __init__(
        self,
        iterations: int,
        sizes: RunSizes,
        eval_val_every: int,
        val_losses: dict[int, float],
        calibrates: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.iterations = iterations  # the run may change it
        self._sizes, self._every, self._val_losses = sizes, eval_val_every, val_losses
        self._calibrates, self._clock = calibrates, clock
        self._validation_total = 0.0  # seconds that all validations and their checkpoints took
        self._began_validation = 0.0
        self._evaluation: float | None = None  # seconds of the last validation, without its checkpoint
        self._last_validation: float | None = None  # seconds
        self._times = deque([(clock(), sizes.done)], _SPEED_OVER)  # (seconds of training, iteration)

    def training(self, i: int) -> list[str]:
        """Parts of the line after iteration `i` and its validation."""
        self._times.append((self.training_seconds(), i))
        (first, before), (last, _) = self._times[0], self._times[-1]
        parts = [f"epoch {i / self._sizes.ntrain:.2f} of {self.iterations / self._sizes.ntrain:.4g}"]
        if last > first and i > before:
            step = (last - first) / (i - before)
            guess = validation_steps(self._sizes.nval) * step  # before the first validation
            validation = guess if self._last_validation is None else self._last_validation
            evaluation = guess if self._evaluation is None else self._evaluation
            times = PartTimes(step, validation, evaluation)
            left = seconds_left(times, self.iterations, self._every, self._calibrates, i)
            parts += [f"ETA {duration(left)}", f"{self._sizes.characters / step:,.0f} characters/s"]
        best = losses.best_loss(self._val_losses)
        if best is not None:
            parts.append(f"best val_loss {best:.4f}")
        return parts

    def training_seconds(self) -> float:
        """A clock that stops during validations and saving."""
        return self._clock() - self._validation_total

    def validating(self, k: int) -> list[str]:
        """Parts of the line after `k` batches of a validation."""
        filled = 30 * k // self._sizes.nval
        return [f"validating [{'#' * filled}{'-' * (30 - filled)}] {k}/{self._sizes.nval}"]

    @contextlib.contextmanager
    def validation(self) -> Iterator[None]:
        """A context for a validation and the saving after it, which are excluded from the training speed."""
        self._began_validation = self._clock()
        yield
        self._last_validation = self._clock() - self._began_validation
        self._validation_total += self._last_validation

    def evaluated(self) -> None:
        """The loss of the validation is computed; its checkpoint is not written yet."""
        self._evaluation = self._clock() - self._began_validation
