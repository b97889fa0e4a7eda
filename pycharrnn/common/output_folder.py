"""Checks the folder of a file to write, before the work that makes it."""

from __future__ import annotations

import os

from pycharrnn.common.errors import UserError


def require_folder(path: str | os.PathLike[str], option: str = "") -> None:
    """Errors: UserError if the folder of `path` does not exist. `option`: the flag with a blank, "-o ", or ""."""
    path = os.fspath(path)
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        raise UserError(f"{option}{path}: there is no folder {folder}; make it first, or choose another.")
