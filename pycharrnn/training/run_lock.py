"""One training at a time for one -checkpoint_dir and -savefile."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator

from pycharrnn.common.errors import UserError, flag
from pycharrnn.training.settings import FileSettings

_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@contextlib.contextmanager
def lock(files: FileSettings, note: Callable[[str], None]) -> Iterator[bool]:
    """Hold the lock on lm_<savefile>_* in the checkpoint directory, unless -lock 0.

    The operating system holds it for the process, so it goes with the process, however that ends; the file
    `.lm_<savefile>.lock` that a crash leaves is empty of meaning. Where the file system has no locks, `note` says so.

    Yields: whether the lock is held.

    Errors: UserError where another process has it.
    """
    if not files.lock:
        yield False
        return
    folder, stem = os.path.split(files.stem)
    path = _path(files)
    try:
        fd = _take(path)
    except OSError as e:
        if e.errno in _HELD:
            raise UserError(
                f"{_holder(path)} writes {stem}_* to {folder}: choose another {flag('savefile')} or"
                f" {flag('checkpoint_dir')}, or wait; {flag('lock', 0)} trains all the same."
            ) from None
        note(f"can't lock {path} ({e.strerror or e}): see to it that no other training writes there.")
        yield False
        return
    try:
        yield True
    finally:
        _release(fd, path)


def is_held(files: FileSettings) -> bool:
    """Whether another training has the lock, so that `lock` would be refused."""
    if not files.lock or not os.path.exists(_path(files)):
        return False
    try:
        fd = _take(_path(files))
    except OSError as e:
        return e.errno in _HELD
    os.close(fd)
    return False


def _path(files: FileSettings) -> str:
    folder, stem = os.path.split(files.stem)
    return os.path.join(folder, f".{stem}.lock")


def _take(path: str) -> int:
    """A descriptor that has the lock on `path`. Errors: OSError."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock_descriptor(fd)
            # Whoever had it before may have removed the file between our two calls: then another file is the lock.
            try:
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    os.ftruncate(fd, 0)
                    os.write(fd, f"process {os.getpid()} on {socket.gethostname()}".encode())
                    return fd
            except FileNotFoundError:
                pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _release(fd: int, path: str) -> None:
    """Give the lock back, and remove its file."""
    if os.name == "nt":  # it removes no open file: not ours, nor that of a training which has opened it since
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(path)
    else:  # closed first, it might be the lock of another training when it is removed
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(fd)


def _lock_descriptor(fd: int) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        os.lseek(fd, 1 << 30, os.SEEK_SET)  # Windows keeps others from reading what is locked
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # of Windows
        os.lseek(fd, 0, os.SEEK_SET)
    else:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(path: str) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as f:
        words = f.read(200).decode("ascii", "replace")
        if words.isprintable() and words:
            return f"another training ({words})"
    return "another training"
