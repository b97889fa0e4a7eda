"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it holds either its old content or, once all is written, the new.

    The bytes go to a temporary file beside `path`, reach the disk, and are renamed into place; on any exception, Ctrl-C
    included, the temporary file is removed and `path` is untouched. A symbolic link stays: the file that it leads to
    gets the bytes. What is no file, a pipe or /dev/null, is written to as it is.

    Errors: OSError, as open() and write() raise it.
    """
    path = _real_path(path)
    if _is_special(path):
        with open(path, "wb") as f:
            yield f
        return
    folder, name = os.path.split(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{name[:100]}.", suffix=".tmp", dir=folder)
    except OSError as e:
        raise type(e)(e.errno, e.strerror, path) from None  # name the user's file, not the temporary one
    try:
        with open(handle, "wb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        if os.name != "nt":  # which only knows whether a file is read-only, and neither replaces nor removes one
            os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def atomic_link(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Make `target` a second name of the file `source`, or a copy where there can be no second name.

    A symbolic link stays; it is what it leads to that becomes a second name.

    Errors: OSError.
    """
    source, target = os.path.abspath(os.fspath(source)), _real_path(target)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        if _is_special(target):
            raise OSError(errno.EEXIST, "no file, so nothing that can be replaced", target)
        os.link(source, temporary)
    except FileNotFoundError:
        raise
    except OSError:
        with open(source, "rb") as whole, atomic_write(target) as copy:
            shutil.copyfileobj(whole, copy, 1 << 20)
        return
    try:
        os.replace(temporary, target)
    finally:
        # Renaming one name of a file to another name of the same file does nothing.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    _sync_folder(folder)


def _real_path(path: str | os.PathLike[str]) -> str:
    """The absolute path with all symbolic links followed. Errors: OSError where they lead in a circle."""
    real = os.path.realpath(os.fspath(path))
    if os.path.islink(real):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
    return real


def _is_special(path: str) -> bool:
    """Whether there is something at `path` that is no file: a pipe, a device. Errors: IsADirectoryError."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False  # there is nothing there, or opening it gives the error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return not stat.S_ISREG(mode)


def _mode(path: str) -> int:
    """Permissions that open(path, "w") would leave: those of the file it replaces, else what the umask allows."""
    try:
        return os.stat(path).st_mode & 0o7777
    except OSError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _sync_folder(folder: str) -> None:
    """A rename survives a power cut only once the directory itself is on disk; some systems can't sync directories."""
    if os.name == "nt":
        return
    try:
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as e:
        if e.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
            raise type(e)(e.errno, e.strerror, folder) from None
