"""Locks between processes, by lock files; the system releases the lock of a process that ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from pycharrnn.common import regular_files

_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class LockHeld(Exception):
    """Another process has the lock; `holder`: "process 5 on host", or "" if unknown."""

    def __init__(self, holder: str):
        super().__init__(holder)
        self.holder = holder


def acquire(path: str) -> int:
    """Create and lock the file without waiting; return a descriptor for `release`. Errors: LockHeld; OSError."""
    fd = acquire_for_child(path)
    try:
        name_holder(fd)
    except OSError:  # such as a full disk
        release(fd, path)
        raise
    return fd


def name_holder(fd: int) -> None:
    """Write into a locked file that this process holds the lock. Errors: OSError."""
    os.write(fd, f"process {os.getpid()} on {socket.gethostname()}".encode())


def acquire_for_child(path: str) -> int:
    """As `acquire`, for a process that inherits the descriptor and calls `name_holder`; until then the file is empty.

    The lock is held until both processes have closed it. On Windows no process can inherit a lock.
    Errors: LockHeld; OSError.
    """
    while True:
        is_writable = True
        try:
            fd = regular_files.opener(path, os.O_RDWR | os.O_CREAT)
        except PermissionError:
            if not os.path.exists(path):
                raise
            # It is another user's, who may hold it.
            fd, is_writable = regular_files.opener(path, os.O_RDONLY), False
        try:
            _lock_descriptor(fd)
            # The last holder may have removed the file between open and lock: then it no longer is the lock.
            is_there = is_of(fd, path)
            if is_there and is_writable:
                os.ftruncate(fd, 0)
                return fd
        except OSError as e:
            os.close(fd)
            if e.errno in _HELD:
                raise LockHeld(_holder(path)) from None
            raise
        except BaseException:
            os.close(fd)
            raise
        try:
            if is_there:
                os.unlink(path)  # left by a crash; PermissionError where only its owner may
        finally:
            os.close(fd)


def is_of(fd: int, path: str) -> bool:
    """Whether a lock file is still at its path. Errors: OSError, but not for a path without a file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def release(fd: int, path: str) -> None:
    """Remove the lock file, unless it has been moved, and release the lock."""
    if os.name == "nt":  # it can't remove a file that this or another process has open
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(path)
    else:  # after close, the file might be the lock of another process when it is removed
        with contextlib.suppress(OSError):
            if is_of(fd, path):
                os.unlink(path)
        os.close(fd)


def _lock_descriptor(fd: int) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        os.lseek(fd, 1 << 30, os.SEEK_SET)  # on Windows others can't read a locked byte
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # of Windows
        os.lseek(fd, 0, os.SEEK_SET)
    else:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(path: str) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as f:
        words = f.read(200).decode("ascii", "replace")
        if words.isprintable():
            return words
    return ""
