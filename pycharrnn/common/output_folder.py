"""Checks the folder of a file to write, before the work that makes it."""

from __future__ import annotations

import os

from pycharrnn.common.errors import UserError


def require_folder(path: str | os.PathLike[str], option: str = "") -> None:
    """Errors: UserError if the folder of `path` does not exist or can't be written.

    `option`: the flag with a blank, "-o ", or "".
    """
    path = os.fspath(path)
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        raise UserError(f"{option}{path}: there is no folder {folder}; make it first, or choose another.")
    # A pipe or a device is written in place, which takes no permission for its folder.
    is_file = os.path.isfile(path) or not os.path.exists(path)
    place = os.path.dirname(os.path.realpath(path))  # of a link, the target is replaced
    if is_file and os.path.isdir(place) and not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"{option}{path}: no permission to write in the folder {place}; choose another.")
