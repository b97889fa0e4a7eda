"""The figures of a training, from its -log and its first lines on stdout; its samples, from stderr."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field

import numpy as np

from pycharrnn.common.errors import UserError
from pycharrnn.page.facts import LossSeries, thinned_series
from pycharrnn.server.studio.run_command import log_of
from pycharrnn.server.studio.run_process import lines_of
from pycharrnn.server.studio.run_record import RunRecord
from pycharrnn.training import log_rows, step_line
from pycharrnn.training.log_rows import Row

_RECENT = 12  # rows at least, and a third of all, over which the speed is averaged


@dataclass(frozen=True)
class Figures:
    """What is known of a training. Losses in nats per character; None for what is not known."""

    iteration: int | None = None
    iterations: int | None = None
    epoch: float | None = None
    epochs: float | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    best_val_loss: float | None = None
    characters_per_second: float | None = None
    seconds: float | None = None
    seconds_left: float | None = None


@dataclass
class _Log:
    """The rows of a log that were read, and where they end. `attempt`: after which a resumed run may cut rows off."""

    attempt: int = 0
    end: int = 0
    rows: list[Row] = field(default_factory=list)


@dataclass
class _Said:
    """The number of iterations that a run's stdout gives, and where the part of it that was read ends."""

    end: int = 0
    iterations: int | None = None


class Progress:
    """Reads the logs and the stdout of runs, each part once."""

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}  # by run id
        self._said: dict[str, _Said] = {}

    def rows(self, record: RunRecord) -> list[Row]:
        """The rows of a run's log so far; none if there is no log, or it can't be read."""
        path, log = log_of(record.name), self._logs.setdefault(record.id, _Log())
        try:
            size = os.path.getsize(path)
            if log.attempt != record.attempts or size < log.end:
                log = self._logs[record.id] = _Log(record.attempts)
            if size > log.end:
                for row, end in log_rows.rows(path, log.end):
                    log.rows.append(row)
                    log.end = end
        except (OSError, UserError):
            pass
        return log.rows

    def forget(self, run_id: str) -> None:
        self._logs.pop(run_id, None)
        self._said.pop(run_id, None)

    def _iterations(self, record: RunRecord) -> int | None:
        """How many iterations the run will have, by the last line on stdout that says it."""
        said = self._said.setdefault(record.id, _Said())
        try:
            size = os.path.getsize(record.stdout)
        except OSError:
            return said.iterations
        if size != said.end:
            # A line may have been cut where the part that was read ends.
            start = max(0, said.end - step_line.LONGEST) if size > said.end else 0
            found = list(filter(None, map(step_line.parse, lines_of(record.stdout, start))))
            said.end, said.iterations = size, found[-1].iterations if found else said.iterations
        return said.iterations

    def figures(self, record: RunRecord, clock: float | None = None) -> Figures:
        """The figures of a run. `clock`: the present time, in seconds since 1970."""
        rows = self.rows(record)
        iterations = self._iterations(record)
        if not rows:
            return Figures(iterations=iterations)
        last = rows[-1]
        train = next((row for row in reversed(rows) if row.kind == "train"), None)
        losses = [row.val_loss for row in rows if row.kind == "validation" and _is_finite(row.val_loss)]
        is_running = record.is_active
        left = None
        written = _modified(log_of(record.name))
        has_begun = record.began is None or written >= record.began  # a resumed run has none of its own rows at first
        if is_running and has_begun and iterations and _speed(rows):
            age = (clock or time.time()) - written
            left = max(0.0, (iterations - last.iteration) / _speed(rows) - max(0.0, age))
        return Figures(
            iteration=last.iteration,
            iterations=iterations,
            epoch=last.epoch,
            epochs=iterations * last.epoch / last.iteration if iterations else None,
            train_loss=_finite(train.train_loss) if train else None,
            val_loss=losses[-1] if losses else None,
            best_val_loss=min((loss for loss in losses if loss is not None), default=None),
            characters_per_second=_finite(train.characters_per_second) if train else None,
            seconds=last.seconds,
            seconds_left=left,
        )

    def curves(self, record: RunRecord) -> tuple[LossSeries, LossSeries]:
        """The training and the validation losses, as thinned_series has them."""
        rows = self.rows(record)
        train = [(row.iteration, row.train_loss) for row in rows if row.kind == "train"]
        val = [(row.iteration, row.val_loss) for row in rows if row.kind == "validation"]
        return _series(train), _series(val)


def _series(points: list[tuple[int, float | None]]) -> LossSeries:
    finite = [(i, loss) for i, loss in points if loss is not None and math.isfinite(loss)]
    iterations, losses = np.array(finite, float).reshape(-1, 2).T
    return thinned_series(iterations, losses)


def _speed(rows: list[Row]) -> float:
    """Iterations in a second, validations included; 0 if it is not known yet."""
    timed = [(row.iteration, row.seconds) for row in rows[-max(_RECENT, len(rows) // 3) :] if row.seconds is not None]
    if not timed:
        return 0.0
    (first, then), (last, now) = timed[0], timed[-1]
    if last == first:
        first, then = 0, 0.0
    return (last - first) / (now - then) if now > then else 0.0


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return time.time()


def _is_finite(x: float | None) -> bool:
    return x is not None and math.isfinite(x)


def _finite(x: float | None) -> float | None:
    return x if _is_finite(x) else None
