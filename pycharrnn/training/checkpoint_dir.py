"""Checks the folder of a run's checkpoints and their names, and makes the folder."""

from __future__ import annotations

import os
from pathlib import PurePath

from pycharrnn.checkpoints import run_names
from pycharrnn.common.display import escape_line, replace_surrogates
from pycharrnn.common.errors import UserError, flag
from pycharrnn.training import recorded_options
from pycharrnn.training.settings import RunSettings

_MAX_NAME = 255  # bytes
_LARGE_LOSS = 9.9999  # larger ones are of trainings that diverge


def check_names(settings: RunSettings) -> None:
    """Errors: UserError for a checkpoint directory that is a file or a broken link, or names that no file can have."""
    files = settings.files
    folder, stem = os.path.split(files.stem)
    if link := _broken_link(folder):
        target = escape_line(replace_surrogates(os.readlink(link)))
        raise UserError(
            f"{escape_line(link)} is a link to {target}, which does not exist: choose another {flag('checkpoint_dir')}."
        )
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise _unusable(folder, "it is a file, not a folder")
    recorded = {
        "data_dir": settings.data.data_dir,
        "checkpoint_dir": folder,
        "savefile": files.savefile,
        "init_from": settings.options.init_from,
    }
    for option, value in recorded.items():
        if not settings.resumed and recorded_options.has_control_character(value):
            raise UserError(
                f"{flag(option)} {escape_line(value)} has a control character, which no checkpoint may record: choose"
                " another name."
            )
    name = run_names.named_checkpoint("lm_<savefile>", settings.optimisation.max_epochs, _LARGE_LOSS, files.ending)
    size = len(os.fsencode(name.replace("lm_<savefile>", stem)))
    if size > _MAX_NAME:
        raise UserError(
            f"{flag('savefile')} is too long: the name of a checkpoint, {name}, would have {size} bytes, and a file's"
            f" name may have {_MAX_NAME}: choose a shorter one."
        )


def _broken_link(folder: str) -> str:
    """The first link on the way to a folder that leads nowhere; "" for none."""
    way = [*reversed(PurePath(folder).parents), PurePath(folder)]
    return next((str(path) for path in way if os.path.islink(path) and not os.path.exists(path)), "")


def make(path: str) -> None:
    """Make the folder and check now, not after 1000 iterations, that it is writable. Errors: UserError."""
    try:
        os.makedirs(path, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(None, "no permission to write there")
    except OSError as e:
        raise _unusable(path, e.strerror) from e
    except RecursionError:  # of os.makedirs, which calls itself for each folder
        raise _unusable(escape_line(path), "too many folders in folders") from None


def _unusable(folder: str, why: str | None) -> UserError:
    return UserError(f"can't write checkpoints to {folder} ({why}): choose another {flag('checkpoint_dir')}.")
