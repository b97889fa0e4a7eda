"""-log: writes a run's figures, a row for each training loss that is printed and each validation, and at intervals.

A row is written at once, in one piece, so the file can be read during the run. It holds the rows of one run, each once:
a resumed run cuts off the rows after its checkpoint and a row that a power cut left incomplete.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import time
from collections.abc import Callable

from compat.charrnn import Checkpoint
from pycharrnn.common.errors import UserError, flag, on_page
from pycharrnn.common.printing import PrintLine, PrintOnce
from pycharrnn.common.same_file import same_file
from pycharrnn.text.text_folder import input_file
from pycharrnn.training import log_rows
from pycharrnn.training.log_rows import Row
from pycharrnn.training.run_sizes import RunSizes
from pycharrnn.training.settings import FileSettings


def check(files: FileSettings, data_dir: str, resumed: Checkpoint | None, note: PrintLine) -> None:
    """Check that -log is writable and replaces only the log of a run, with -overwrite 1. Errors: UserError.

    `data_dir` and -checkpoint_dir need not exist yet. `resumed`: the checkpoint of a resumed run, whose log goes on.
    """
    path = files.log
    if not path:
        return
    if same_file(path, input_file(data_dir)):
        raise UserError(f"{flag('log', path)} would overwrite the text of the training: choose another name.")
    folder = os.path.dirname(path) or "."
    made = {os.path.normpath(path) for path in (data_dir, os.path.dirname(files.stem))}  # by the training
    if not os.path.isdir(folder) and os.path.normpath(folder) not in made:
        raise UserError(f"can't write {flag('log', path)}: there is no folder {folder}.")
    if os.path.exists(folder) and not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise UserError(f"can't write {flag('log', path)}: no permission to write there.")
    if not os.path.exists(path):
        return
    is_empty, last = True, None
    try:
        for row, _ in log_rows.rows(path):
            is_empty = False
            if resumed is not None and row.iteration > resumed.i:
                break
            if row.kind == "train" or last is None:
                last = row
    except UserError as e:
        way_out = on_page("", elsewhere=f"; choose another {flag('log')}")  # the studio chose this one
        raise UserError(f"{e.message.removesuffix('.')}{way_out}.") from e
    if is_empty:
        return
    ways_on = f"choose another {flag('log')}, or give it up with {flag('overwrite', 1)}"
    if resumed is None and not files.overwrite:
        raise UserError(f"{path} is the log of another run: {ways_on}; {flag('resume')} goes on with it.")
    if resumed is not None and last is None and not files.overwrite:
        raise UserError(f"{path} begins after iteration {resumed.i}, so it may be the log of another run: {ways_on}.")
    if resumed is None or last is None:
        lost = f"{flag('overwrite', 1)} gives up the log of another run, {path}."
        note(on_page(f"{path} begins anew.", elsewhere=lost))
    elif not _is_of(last, resumed):
        raise UserError(f"{path} is not the log of the resumed run: choose another {flag('log')}.")


def _is_of(row: Row, run: Checkpoint) -> bool:
    """Whether a row can be of this run, by its training loss."""
    if row.train_loss is None or row.iteration > len(run.train_losses):
        return True
    loss = run.train_losses[row.iteration - 1]
    return row.train_loss == loss or math.isnan(loss)


class RunLog:
    """Writes the rows of one run. A disk error costs rows, not the run.

    Args:
        training_seconds: returns the seconds of training without validations.
        note: prints a line on stderr. every: seconds after the last row at which another one is due; 0 = never.
        clock: returns seconds.
    """

    def __init__(
        self,
        path: str,
        sizes: RunSizes,
        training_seconds: Callable[[], float],
        note: PrintLine,
        every: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._sizes = path, sizes
        self._training_seconds, self._note_once, self._clock = training_seconds, PrintOnce(note), clock
        self._every, self._last_row = every, clock()
        before, self._size = self._begin(sizes.done)
        self._began = clock() - before
        self._last = sizes.done, training_seconds()  # iteration and time of the last row of training

    def _begin(self, done: int) -> tuple[float, int]:
        """Create the file, or cut off the rows after iteration `done`; return the run's seconds and the file's size."""
        seconds, size = 0.0, 0
        if os.path.exists(self._path):
            for row, end in log_rows.rows(self._path):
                if row.iteration > done:
                    break
                seconds, size = row.seconds or seconds, end
        try:
            with open(self._path, "r+b" if size else "wb") as f:
                if not size:
                    size = f.write(log_rows.header(self._path))
                if f.seek(0, os.SEEK_END) > size:  # else the time of the file stays that of its last row
                    f.truncate(size)
        except OSError as e:
            raise UserError(f"can't write {flag('log', self._path)} ({e.strerror}).") from e
        return seconds, size

    def is_due(self) -> bool:
        """Whether a row is due, by the time since the last one."""
        return self._every > 0 and self._clock() - self._last_row >= self._every

    def train(self, i: int, train_loss: float, norm_ratio: float, learning_rate: float) -> None:
        """Add the row of a training loss, in nats. `learning_rate`: of the next iteration."""
        (before, then), now = self._last, self._training_seconds()
        self._last = i, now
        figures = {"train_loss": train_loss, "norm_ratio": norm_ratio}
        self._add("train", i, learning_rate, (i - before) * self._sizes.characters, now - then, figures)

    def validation(self, i: int, val_loss: float, learning_rate: float, seconds: float) -> None:
        """Add the row of a validation, which took `seconds`; the loss is in nats."""
        characters = self._sizes.nval * self._sizes.characters
        self._add("validation", i, learning_rate, characters, seconds, {"val_loss": val_loss})

    def _add(
        self, kind: str, i: int, learning_rate: float, characters: int, seconds: float, figures: dict[str, float]
    ) -> None:
        self._last_row = self._clock()
        row = Row(
            kind,
            i,
            round(i / self._sizes.ntrain, 6),
            learning_rate=learning_rate,
            seconds=round(self._last_row - self._began, 3),
            characters_per_second=round(characters / seconds, 1) if seconds > 0 else None,
            **figures,
        )
        try:
            self._write(log_rows.as_line(row, self._path), i)
        except OSError as e:
            reason = e.strerror or e
            self._note_once("lost", f"can't write {self._path} ({reason}): training goes on, rows are lost.")

    def _write(self, line: bytes, i: int) -> None:
        """Append a whole line or nothing; create a file that was removed. Errors: OSError."""
        with open(self._path, "ab", buffering=0) as f:
            size = f.tell()
            if size and size != self._size and not log_rows.is_log_file(self._path):
                self._note_once("another", f"{self._path} is another file by now: training goes on, rows are lost.")
                return
            if size < self._size:
                self._note_once("anew", f"{self._path} had gone: begun anew at iteration {i}.")
            if not size:
                line = log_rows.header(self._path) + line
            try:
                if f.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                with contextlib.suppress(OSError):
                    f.truncate(size)
                raise
            self._size = size + len(line)
