"""Checks of the folder of a file to write, before the work that makes it, and of its disk after a failure."""

from __future__ import annotations

import errno
import os

from pycharrnn.common import extras
from pycharrnn.common.errors import UserError


def require_folder(path: str | os.PathLike[str], option: str = "") -> None:
    """Errors: UserError if the folder of `path` does not exist or can't be written.

    `option`: the flag with a blank, "-o ", or "".
    """
    path = os.fspath(path)
    if not os.path.isabs(path):
        extras.require_current_folder()
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        raise UserError(f"{option}{path}: there is no folder {folder}; make it first, or choose another.")
    # A pipe or a device is written in place, which takes no permission for its folder.
    is_file = os.path.isfile(path) or not os.path.exists(path)
    place = os.path.dirname(os.path.realpath(path))  # of a link, the target is replaced
    if is_file:
        require_permission(place, f"{option}{path}")


def require_permission(folder: str, named: str) -> None:
    """Errors: UserError, which begins with `named`, if a folder that exists can't be written."""
    if os.path.isdir(folder) and not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{named}: no permission to write in the folder {folder}; choose another.")


def is_disk_full(error: OSError) -> bool:
    """Whether a file could not be written since the disk, or the user's part of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
