"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it holds either its old content or, once all is written, the new.

    The bytes go to a temporary file beside `path`, reach the disk, and are renamed into place;
    on any exception, Ctrl-C included, the temporary file is removed and `path` is untouched.

    Errors: OSError, as open() and write() raise it.
    """
    path = os.path.abspath(os.fspath(path))
    folder, name = os.path.split(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{name[:100]}.", suffix=".tmp", dir=folder)
    except OSError as e:
        raise type(e)(e.errno, e.strerror, path) from None  # the user knows no temporary file
    try:
        with open(handle, "wb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def whole_link(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Make `target` a second name of the file `source`, or a copy where the file system has no links.

    Errors: OSError.
    """
    source, target = os.path.abspath(os.fspath(source)), os.path.abspath(os.fspath(target))
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        os.link(source, temporary)
    except FileNotFoundError:
        raise
    except OSError:
        with open(source, "rb") as whole, whole_file(target) as copy:
            shutil.copyfileobj(whole, copy, 1 << 20)
        return
    try:
        os.replace(temporary, target)
    finally:
        # Renaming one name of a file to another name of the same file does nothing.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    _sync_folder(folder)


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
