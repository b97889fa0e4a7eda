"""Finds and loads the checkpoint that a run starts from: that of -resume, or that of -init_from."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import folder_files, formats, paths
from pycharrnn.checkpoints.checkpoint_reader import CheckpointReader
from pycharrnn.checkpoints.folder_files import File
from pycharrnn.checkpoints.folder_runs import RunIdentity, continues, identity_of, last_trained_first
from pycharrnn.common.display import escape_line, series
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine
from pycharrnn.training import recorded_options, run_files
from pycharrnn.training.options import TrainOptions

_MAX_ITERATION = 10**8  # more losses would not fit in memory


@dataclass(frozen=True)
class InitialCheckpoint:
    """The checkpoint that a run starts from: that of -init_from for its weights, or a ResumedRun for -resume."""

    path: str
    checkpoint: Checkpoint


@dataclass(frozen=True)
class ResumedRun(InitialCheckpoint):
    """The checkpoint of -resume, whose run continues.

    Attributes:
        is_in_place: it lies in the -checkpoint_dir that it records.
        overridden: options of the command line that differ from the recorded ones.
    """

    is_in_place: bool = False
    overridden: frozenset[str] = frozenset()


def load(options: TrainOptions, given: Collection[str], say: PrintLine, note: PrintLine) -> InitialCheckpoint | None:
    """Load the checkpoint of -resume or -init_from; None without either. Errors: UserError."""
    if options.init_from:
        path, loaded = paths.load_best(options.init_from, note, options.progress)
        return InitialCheckpoint(path, loaded)
    if not options.resume:
        return None
    if os.path.isdir(options.resume):
        path, loaded = _newest(options.resume, options.savefile if "savefile" in given else None, say, note)
    else:
        path, loaded = paths.load_best(options.resume, note)
    if loaded.program == "torch-rnn":
        raise UserError(
            f"{path} is a checkpoint of {loaded.program}, which can't be resumed: use {flag('init_from', path)}."
        )
    if not isinstance(loaded.i, int) or not 0 <= loaded.i <= _MAX_ITERATION:
        raise UserError(f"can't resume from {path}: it records iteration {loaded.i}, which is not valid.")
    val_losses = {i: loss for i, loss in loaded.val_losses.items() if isinstance(i, int) and 0 < i <= loaded.i}
    recorded_dir = recorded_options.find(loaded, "checkpoint_dir")
    is_in_place = recorded_dir is not None and run_files.same_folder(recorded_dir, os.path.dirname(path))
    return ResumedRun(path, dataclasses.replace(loaded, val_losses=val_losses), is_in_place)


def _newest(folder: str, savefile: str | None, say: PrintLine, note: PrintLine) -> tuple[str, Checkpoint]:
    """The newest checkpoint in a folder that is complete and finite; of `savefile` alone unless None.

    A file that training did not name is taken only where none that it named can be: a copy is newer than its state. A
    later state of the same run is taken before it: many programs that copy files change their times.
    """
    found = folder_files.newest_first(folder, note)
    own = [file for file in found if (file.run == f"lm_{savefile}" if savefile else file.run.startswith("lm_"))]
    renamed = [file for file in found if not file.run.startswith("lm_")] if savefile is None else []
    reader = CheckpointReader(say, only_finite=True)
    for files in (own, renamed):
        for file in files:
            if not (loaded := reader.checkpoint(file.path)):
                continue
            last = _last_state(file, loaded, files, reader)
            if last and (later := reader.checkpoint(last.path)) and continues(later, loaded):
                newest, name = (escape_line(os.path.basename(one.path)) for one in (file, last))
                note(
                    f"{escape_line(folder, None)}: {newest} is the newest file, but {name} is a later state of its run,"
                    " which goes on from there; name a file to choose another."
                )
                return last.path, later
            paths.say_choice(note, folder, file, "newest", len(files))
            return file.path, loaded
    names = series([f"lm_{savefile}_*{ending}" for ending in formats.IN_FOLDERS], "or")
    of_run = f" {names}" if savefile else ""
    raise reader.none_readable(f"{folder} has no complete checkpoint{of_run} to resume from.")


def _last_state(newest: File, loaded: Checkpoint, files: Sequence[File], reader: CheckpointReader) -> File | None:
    """The file with the last state of the run whose newest file holds `loaded`; None if it is that one.

    A run's `latest` is its last state: other files may be of a training that was given up for it. Without losses, no
    file can be told to be of the same run.
    """
    others = [file for file in files if file.run == newest.run and file is not newest]
    is_last = newest.is_latest or all(0 <= file.epoch <= newest.epoch for file in others)
    if not newest.run or is_last or not (len(loaded.train_losses) or loaded.val_losses):
        return None

    def identity(path: str) -> RunIdentity | None:
        found = loaded if path == newest.path else reader.checkpoint(path)
        return identity_of(found) if found else None

    for run in last_trained_first([newest, *others], identity):
        if newest.path in [file.path for file in run.files]:
            return None if run.newest.path == newest.path else run.newest
    return None
