"""Names of the files of a run: lm_lstm_epoch1.73_1.9188.t7, lm_lstm_best.t7, lm_lstm_latest.t7."""

from __future__ import annotations

import os
import re

from compat import atomic_write, lua_format


def named_checkpoint(stem: str, epoch: float, val_loss: float) -> str:
    """Path of the checkpoint of a validation: cv/lm_lstm_epoch1.73_1.9188.t7. Source: train.lua."""
    return f"{stem}_epoch{lua_format.fixed(epoch, 2)}_{lua_format.fixed(val_loss, 4)}.t7"


def latest_checkpoint(stem: str) -> str:
    """Path of the newest checkpoint of a run: cv/lm_lstm_latest.t7"""
    return f"{stem}_latest.t7"


def best_checkpoint(stem: str) -> str:
    """Path of the checkpoint with the lowest validation loss, its second name: cv/lm_lstm_best.t7"""
    return f"{stem}_best.t7"


def same_folder(a: str, b: str) -> bool:
    """Whether two paths are one existing folder; an empty path is the current one."""
    try:
        return os.path.samefile(a or ".", b or ".")
    except (OSError, ValueError):  # ValueError: a file may record a path with a NUL
        return False


def remove_temporary_files(stem: str) -> None:
    """Remove the half-written files of this run's names, which a run that was killed could not remove.

    Only for the holder of the run's lock: no other run writes files of these names then.
    """
    folder, name = os.path.split(stem)
    of_run = re.compile(
        rf"{re.escape(name)}_(epoch[\d.]+_[-\w.]+|latest|best)\.t7"
        rf"|{re.escape(atomic_write.shortened_head(name))}~[0-9a-f]{{16}}",
        re.DOTALL,
    )
    atomic_write.remove_leftovers(folder, lambda target: of_run.fullmatch(target) is not None)
