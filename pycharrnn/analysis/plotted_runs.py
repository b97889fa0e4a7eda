"""Finds the runs to plot, each by its newest file, and their labels. For `plot`."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pycharrnn.analysis.loss_curves import Curve, log_curve, loss_curve
from pycharrnn.checkpoints.folder_runs import continues
from pycharrnn.checkpoints.names import distinct_stems, shortest_tails
from pycharrnn.checkpoints.paths import load_runs, run_of
from pycharrnn.common.display import escape_line
from pycharrnn.common.printing import PrintLine
from pycharrnn.training.log_rows import is_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compat.charrnn import Checkpoint


@dataclass(frozen=True)
class PlottedRun:
    """A run to plot: its file and the checkpoint in it, or None for a -log file, which is read later."""

    path: str
    checkpoint: Checkpoint | None

    def goes_on_with(self, other: PlottedRun) -> bool:
        """Whether `other` is the same run at the same iteration or a later one."""
        own, others = (os.path.realpath(run.path) for run in (self, other))
        if self.checkpoint is None or other.checkpoint is None:
            return own == others
        return (own == others or run_of(own) == run_of(others)) and continues(other.checkpoint, self.checkpoint)


def find(arguments: Sequence[str], note: PrintLine) -> list[PlottedRun]:
    """The runs in files and folders, each once, from its newest file.

    Errors: UserError for a file that can't be read.
    """
    runs: list[PlottedRun] = []
    announced: set[str] = set()  # files of folders, which have a note

    def leave_out(run: PlottedRun, whole: PlottedRun) -> None:
        if run.path in announced and run.path != whole.path:
            note(f"{escape_line(run.path, None)} is not drawn: {escape_line(whole.path, None)} has its losses, too")

    for argument in arguments:
        named = [(argument, None)] if is_log(argument) else load_runs(argument, note)
        found = [PlottedRun(*one) for one in named]
        if os.path.isdir(argument):
            announced.update(run.path for run in found)
        for run in found:
            if whole := next((other for other in runs if run.goes_on_with(other)), None):
                leave_out(run, whole)
                continue
            place = next((k for k, other in enumerate(runs) if other.goes_on_with(run)), len(runs))
            for part in runs[place : place + 1]:
                leave_out(part, run)
            runs[place : place + 1] = [run]
    return runs


def curves(runs: Sequence[PlottedRun]) -> list[Curve]:
    """The losses of the runs. Errors: UserError for a file without losses, or an invalid -log file."""
    return [
        log_curve(run.path, name) if run.checkpoint is None else loss_curve(run.checkpoint, name, run.path)
        for run, name in zip(runs, _names(runs), strict=True)
    ]


def _names(runs: Sequence[PlottedRun]) -> list[str]:
    """A distinct name for each run: its own with as many folders as needed, or else that of its file."""
    files = distinct_stems([run.path for run in runs])
    called = [
        file if run_of(run.path) == run.path else os.path.normpath(run_of(run.path))
        for file, run in zip(files, runs, strict=True)
    ]
    count = Counter(called)
    return shortest_tails([name if count[name] == 1 else file for name, file in zip(called, files, strict=True)])
