"""Checks of paths that a program gives."""

from __future__ import annotations

import os
import reprlib
import sys

from pycharrnn.common.errors import UserError


def path(value: object) -> str:
    """A path as a str. Errors: TypeError; UserError for an empty path, and as `check`."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"path must be a str or a path, not {reprlib.repr(value)}")
    found = str(os.fsdecode(value))  # NumPy has a str of its own, whose buffer os.scandir takes for bytes
    if not found:
        raise UserError("the path is empty: name a file or a folder.")
    check("path", found)
    return found


def check(name: str, value: str) -> None:
    """Errors: UserError for a path that no file can have. `name`: of the argument."""
    if "\0" in value:
        raise UserError(f"{name} has a NUL character: {reprlib.repr(value)}.")
    try:
        os.fsencode(value)
    except UnicodeEncodeError as e:
        if "\ud800" <= value[e.start] <= "\udfff":
            raise UserError(f"{name} has an unpaired surrogate: {reprlib.repr(value)}.") from None
        encoding = sys.getfilesystemencoding()
        raise UserError(f"{name} has characters that file names can't have in {encoding}: {ascii(value)}.") from None
