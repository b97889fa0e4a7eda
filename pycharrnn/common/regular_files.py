"""Opens and replaces regular files only: another user of a folder may have put a link or a pipe in their place."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from compat.atomic_write import atomic_write as compat_write

# A link would lead elsewhere, and opening a pipe waits for its other end. Windows has neither flag.
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class NotRegularError(OSError):
    """Something other than a regular file is at the path; `strerror` says what it is, and what to do."""


def opener(path: str, flags: int) -> int:
    """Open a regular file, for the argument `opener` of open(). Returns: a descriptor. Errors: OSError; as `check`."""
    check(path)
    fd = os.open(path, flags | _FLAGS, 0o666)
    try:
        _check_mode(os.fstat(fd).st_mode, path)  # it may have been replaced meanwhile
    except OSError:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def atomic_write(path: str) -> Iterator[BinaryIO]:
    """As compat's atomic_write, which follows a symbolic link. Errors: OSError; as `check`."""
    check(path)
    with compat_write(path) as f:
        yield f


def check(path: str) -> None:
    """Errors: NotRegularError if a link, a pipe, a device or a folder is at a path; none if nothing is there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    _check_mode(mode, path)


def _check_mode(mode: int, path: str) -> None:
    if not stat.S_ISREG(mode):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
        raise NotRegularError(errno.EINVAL, f"it is {what}: remove it", path)
