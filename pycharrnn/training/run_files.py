"""Finds the files of a run in a folder, and removes the temporary files of a killed run."""

from __future__ import annotations

import filecmp
import os
import re

from compat import atomic_write
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import run_names
from pycharrnn.common.same_file import same_file


def same_folder(a: str, b: str) -> bool:
    """Whether two paths are one existing folder; an empty path is the current one."""
    return same_file(a or ".", b or ".")


def remove_temporary_files(stem: str) -> None:
    """Remove the temporary files that a killed run of this name left; only for the holder of the run's lock."""
    folder, run = os.path.split(stem)
    shortened = re.compile(rf"{re.escape(atomic_write.shortened_head(run))}~[0-9a-f]{{16}}", re.DOTALL)

    def is_of_run(target: str) -> bool:
        name = run_names.parse(target)
        return (name is not None and name.run == run) or shortened.fullmatch(target) is not None

    atomic_write.remove_leftovers(folder, is_of_run)


def with_loss_in_name(path: str, loaded: Checkpoint) -> str:
    """The other name, with epoch and loss, of a checkpoint at `path`, cv/lm_lstm_best.t7, say; "" if it has none."""
    name = run_names.parse(os.path.basename(path))
    if name is None or loaded.val_loss is None:
        return ""
    stem = os.path.join(os.path.dirname(path), name.run)
    other = run_names.named_checkpoint(stem, loaded.epoch, loaded.val_loss, name.ending)
    is_same = os.path.exists(other) and (os.path.samefile(path, other) or filecmp.cmp(path, other, shallow=False))
    return other if is_same else ""


def is_of_run(path: str, stem: str) -> bool:
    """Whether a training with this stem writes the file at `path`: cv/lm_lstm_latest.t7 for cv/lm_lstm."""
    folder, name = os.path.split(path)
    found = run_names.parse(name)
    return found is not None and found.run == os.path.basename(stem) and same_folder(folder, os.path.dirname(stem))
