"""The figures of a training, from its -log and its events."""

from __future__ import annotations

import math
import os
import time
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.common.errors import UserError
from pycharrnn.page.facts import LossSeries, thinned_series
from pycharrnn.server.studio.run_command import log_of
from pycharrnn.server.studio.run_events import EventReader, RunEvents
from pycharrnn.server.studio.run_record import RunRecord
from pycharrnn.server.studio.run_schemas import Figures
from pycharrnn.training import log_rows
from pycharrnn.training.log_rows import Row

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]

_RECENT, _MOST_RECENT = 12, 30_000  # rows: the speed is the mean over a third of all, but at least and at most these
_PAUSE, _PAUSE_SECONDS = 10, 1.0  # a pause takes so many times as long as usual, and longer than so many seconds
_PAUSES, _ROWS_OF_A_PAUSE = 4, 1000  # at most 4 rows, or 1 in 1,000, are pauses: more belong to the training


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        has_begun: whether the log has been written since the last start of the run.
        not_saved: why the run could not be saved last; "" if it could.
    """

    figures: Figures
    has_begun: bool
    not_saved: str


class _Curve:
    """Values after iterations, in 16 bytes each: the log of a long run has a million rows."""

    def __init__(self) -> None:
        self._iterations, self._values = array("q"), array("d")

    def __len__(self) -> int:
        return len(self._values)

    def append(self, iteration: int, value: float | None) -> None:
        self._iterations.append(iteration)
        self._values.append(math.nan if value is None else value)

    def finite(self, last: int = 0) -> tuple[Doubles, Doubles]:
        """The iterations, and their values, of those that are known and finite.

        `last`: of this many values at the end; 0 = of all.
        """
        iterations, values = np.array(self._iterations[-last:], float), np.array(self._values[-last:])
        finite = np.isfinite(values)
        return iterations[finite], values[finite]


def _without_pauses(durations: Doubles, iterations: Doubles, kinds: npt.NDArray[np.int64]) -> Doubles:
    """The seconds between rows, (N,), where pauses take as long as is usual for their kind, (N,).

    In a pause the process was stopped, or the machine slept. It takes far longer than usual, also for each of the
    `iterations` between the rows, (N,), and far longer than all but a few rows of its kind: rows with a save are slow,
    too, but come regularly. The durations of its kind before and after it are not so long; otherwise the training has
    become slower.
    """
    found = durations.copy()
    for kind in np.unique(kinds):
        (places,) = np.nonzero(kinds == kind)
        seconds = durations[places]
        of_each = seconds / np.maximum(iterations[places], 1)  # rows at intervals lie between those of -print_every
        usual, usual_of_each = np.quantile([seconds, of_each], 0.5, axis=1, method="lower")  # of two, the shorter one
        is_long = np.pad(
            (seconds > max(_PAUSE * usual, _PAUSE_SECONDS)) & (of_each > _PAUSE * usual_of_each),
            1,
        )
        pauses = max(_PAUSES, len(seconds) // _ROWS_OF_A_PAUSE)
        longest_regular = np.sort(seconds)[-pauses - 1] if len(seconds) > pauses else 0.0
        is_pause = is_long[1:-1] & ~is_long[:-2] & ~is_long[2:] & (seconds > _PAUSE * longest_regular)
        found[places[is_pause]] = usual
    return found


@dataclass
class _Log:
    """The rows of a log that have been read.

    Attributes:
        attempt: of the run. has_begun: as in Progress, when the rows were read; the next attempt may cut rows off.
        written: when the file was, in seconds since 1970. end: where the rows end in it, in bytes.
        last, train: the last row, and the last one with a training loss.
        seconds: of the rows that have them. validations: 1 for each of these that is a validation, else 0.
        train_losses, val_losses: of those of each kind.
    """

    attempt: int = 0
    has_begun: bool = False
    written: float = 0.0
    end: int = 0
    last: Row | None = None
    train: Row | None = None
    seconds: _Curve = field(default_factory=_Curve)
    validations: array[int] = field(default_factory=lambda: array("b"))
    train_losses: _Curve = field(default_factory=_Curve)
    val_losses: _Curve = field(default_factory=_Curve)

    def add(self, row: Row, end: int) -> None:
        """Add the next row, and where it ends."""
        self.last, self.end = row, end
        if _finite(row.seconds) is not None:
            self.seconds.append(row.iteration, row.seconds)
            self.validations.append(row.kind == "validation")
        if row.kind == "train":
            self.train = row
            self.train_losses.append(row.iteration, row.train_loss)
        else:
            self.val_losses.append(row.iteration, row.val_loss)

    def pace(self) -> tuple[float, float]:
        """Iterations in a second, with validations, and the longest time between two rows in seconds.

        Both are those of the recent rows, without pauses; 0 if they are not known yet.
        """
        if not len(self.seconds):
            return 0.0, 0.0
        recent = max(_RECENT, min(len(self.seconds) // 3, _MOST_RECENT))
        known = 3 * recent  # rows that show what is usual
        (iterations, seconds), validations = self.seconds.finite(known), np.array(self.validations[-known:], np.int64)
        durations = _without_pauses(np.diff(seconds), np.diff(iterations), 2 * validations[:-1] + validations[1:])
        first, last, durations = iterations[-recent:][0], iterations[-1], durations[1 - recent :]
        if last == first:
            first, durations = 0, seconds[-1:]
        took = durations.sum()
        return (float((last - first) / took), float(durations.max())) if took > 0 else (0.0, 0.0)


class ProgressReader:
    """Reads the logs and the events of runs, each part once."""

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}  # by run id
        self._events: dict[str, EventReader] = {}

    def _log(self, record: RunRecord) -> _Log:
        """The log of a run so far; without rows if there is none, or it can't be read."""
        path, log = log_of(record.name), self._logs.setdefault(record.id, _Log())
        try:
            found = os.stat(path)
            log.written = found.st_mtime
            if record.log_before is None:
                has_begun = record.began is not None and found.st_mtime >= record.began
            else:  # by no clock but that of the file
                has_begun = found.st_mtime_ns != record.log_before
            if (log.attempt, log.has_begun) != (record.attempts, has_begun) or found.st_size < log.end:
                log = self._logs[record.id] = _Log(record.attempts, has_begun, found.st_mtime)
            if found.st_size > log.end:
                for row, end in log_rows.rows(path, log.end):
                    log.add(row, end)
        except (OSError, UserError):
            pass
        return log

    def forget(self, run_id: str) -> None:
        self._logs.pop(run_id, None)
        self._events.pop(run_id, None)

    def events(self, record: RunRecord) -> RunEvents:
        """What the events of a run say by now."""
        return self._events.setdefault(record.id, EventReader(record.events)).read()

    def progress(self, record: RunRecord, clock: float | None = None) -> Progress:
        """How far a run is. `clock`: the present time, in seconds since 1970."""
        log, events = self._log(record), self.events(record)
        return Progress(_figures(record, log, events.iterations, clock), log.has_begun, events.not_saved)

    def curves(self, record: RunRecord) -> tuple[LossSeries, LossSeries]:
        """The training and the validation losses, as thinned_series has them."""
        log = self._log(record)
        return thinned_series(*log.train_losses.finite()), thinned_series(*log.val_losses.finite())


def _figures(record: RunRecord, log: _Log, iterations: int | None, clock: float | None) -> Figures:
    """`iterations`: of the whole run. `clock`: as in ProgressReader.progress."""
    last, train = log.last, log.train
    if last is None:
        return Figures(iterations=iterations or None)
    if iterations and last.iteration > iterations:
        iterations = None  # a resumed run of another length, which has not been said yet
    losses = log.val_losses.finite()[1].tolist()
    left = None
    speed, longest = log.pace() if record.is_active and log.has_begun and iterations else (0.0, 0.0)
    if iterations and speed:
        # Not by training.time_left: a log has no times of the parts of a run, only what all of it took.
        age = (clock or time.time()) - log.written
        # Where the next row is late, the process may be stopped: the time left then stands still.
        left = max(0.0, (iterations - last.iteration) / speed - min(max(0.0, age), longest))
    return Figures(
        iteration=last.iteration,
        iterations=iterations,
        epoch=last.epoch,
        epochs=iterations * last.epoch / last.iteration if iterations else None,
        train_loss=_finite(train.train_loss) if train else None,
        val_loss=losses[-1] if losses else None,
        best_val_loss=min(losses, default=None),
        characters_per_second=_finite(train.characters_per_second) if train else None,
        seconds=last.seconds,
        seconds_left=left,
    )


def _finite(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None
