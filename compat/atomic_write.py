"""Files that appear whole or not at all: written under a temporary name, then renamed.

An advisory lock on each temporary file tells live files from those that killed processes leave behind. The next atomic
write to the same target removes these.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

if os.name == "nt":  # where an open file can't be removed
    _LOCK_SHARED = _LOCK_EXCLUSIVE = _TRY = 0
else:
    import fcntl

    _LOCK_SHARED, _LOCK_EXCLUSIVE, _TRY = fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_NB

_T = TypeVar("_T")
_LONGEST_NAME = 255 - len("..9999.tmp")  # bytes of a target's name that its temporary names hold whole
_HEAD = 200  # bytes of a longer name that they hold, before "~" and a hash
_TEMPORARY = re.compile(r"\.(?P<target>.+?)(\.\d+)?\.tmp", re.DOTALL)
_WINDOWS_GRACE = 60  # seconds within which Windows renames a closed temporary file
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it holds its old content until all is written and on disk, then the new.

    On any exception, Ctrl-C included, the temporary file is removed and `path` is untouched. A symbolic link stays, and
    its target is written. A pipe or a device is written directly. The permissions are those that open(path, "w") would
    leave. Errors: OSError, as open() and write() raise it; where there is no room, it names `path`.
    """
    path = os.fspath(path)
    is_special = _is_special(path)  # before links are followed: that of /dev/stdout to a pipe names no path
    path = path if is_special else _real_path(path)
    try:
        if is_special:
            with open(path, "wb") as f:
                yield f
        else:
            yield from _written(path)
    except OSError as e:
        if e.errno in _NO_ROOM and e.filename is None:
            raise type(e)(e.errno, e.strerror, path) from e
        raise


def _written(path: str) -> Iterator[BinaryIO]:
    """The file for atomic_write to give out, once."""
    folder, name = os.path.split(path)
    try:
        replaced: int | None = os.stat(path).st_mode & 0o7777
    except OSError:
        replaced = None
    try:
        temporary, handle = _create(folder, name, lambda new: _open_locked(new, replaced))
    except OSError as e:
        raise type(e)(e.errno, e.strerror, path) from None  # name the user's file, not the temporary one
    f = os.fdopen(handle, "wb")
    is_locked = os.name != "nt"  # Windows neither renames nor removes an open file
    try:
        try:
            yield f
            _flush(f, path)
            if is_locked:
                _replace(temporary, path)
        except BaseException:
            if is_locked and _is_same(handle, temporary):  # not one that another process has made since
                _unlink(temporary)
            raise
        finally:
            f.close()
        if not is_locked:
            _replace(temporary, path)
    except BaseException:
        if not is_locked:
            _unlink(temporary)
        raise
    _sync_folder(folder)


def _flush(file: BinaryIO, target: str) -> None:
    """Write a file's buffer to the disk. Errors: OSError, which names `target`."""
    try:
        file.flush()
        os.fsync(file.fileno())
    except OSError as e:
        raise type(e)(e.errno, e.strerror, target) from None


def _replace(source: str, target: str) -> None:
    """As os.replace, but on Windows tried for a second: another program may have the target open for a moment.

    Errors: OSError, which names `target`: nobody knows the temporary file.
    """
    until = time.monotonic() + (1 if os.name == "nt" else 0)
    try:
        while not _replaced(source, target, is_last_try=time.monotonic() >= until):
            time.sleep(0.05)
    except OSError as e:
        raise type(e)(e.errno, e.strerror, target) from None


def _replaced(source: str, target: str, is_last_try: bool) -> bool:
    try:
        os.replace(source, target)
    except PermissionError:
        if is_last_try:
            raise
        return False
    return True


def atomic_link(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Make `target` a hard link to the file `source`, or a copy where the file system has no hard links.

    Symbolic links are followed: a link `target` stays, and its own target is replaced. Errors: OSError.
    """
    source, target = os.path.realpath(os.fspath(source)), os.fspath(target)
    if _is_special(target):
        _copy(source, target)
        return
    target = _real_path(target)
    while not _link(source, target):
        pass
    _sync_folder(os.path.dirname(target))


def _link(source: str, target: str) -> bool:
    """As atomic_link; returns False to be tried again if another process was faster. Errors: OSError."""
    folder, name = os.path.split(target)
    if os.path.lexists(target) and os.path.samefile(source, target):
        return True
    try:
        temporary, _ = _create(folder, name, lambda new: os.link(source, new))
    except FileNotFoundError:  # also of a source that is replaced at this moment
        if os.path.exists(source) and os.path.isdir(folder):
            return False
        raise
    except OSError:
        _copy(source, target)
        return True
    try:
        with open(temporary, "rb") as own:
            _lock(own.fileno(), _LOCK_SHARED)
            if not _is_same(own.fileno(), temporary):  # removed as a leftover before it was locked
                return False
            if os.name != "nt":
                os.replace(temporary, target)
                if _is_same(own.fileno(), temporary):  # os.replace does nothing between links to one file
                    _unlink(temporary)
        if os.name == "nt":
            _replace(temporary, target)
    except FileNotFoundError:
        return False
    except BaseException:
        _unlink(temporary)
        raise
    return True


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as whole, atomic_write(target) as copy:
        shutil.copyfileobj(whole, copy, 1 << 20)


def remove_leftovers(folder: str, is_target: Callable[[str], bool]) -> None:
    """Remove the temporary files of killed processes from a folder; files that are being written stay.

    `is_target` tells whether to clean up after a target, by its name as `shortened` gives it.
    """
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):
            match = _TEMPORARY.fullmatch(entry)
            if match and is_target(match["target"]):
                _remove_leftover(os.path.join(folder, entry))


def shortened(name: str) -> str:
    """A target's name in its temporary names: whole, or `shortened_head(name)`, "~" and a hash."""
    raw = os.fsencode(name)
    return name if len(raw) <= _LONGEST_NAME else f"{shortened_head(name)}~{hashlib.sha256(raw).hexdigest()[:16]}"


def shortened_head(name: str) -> str:
    """The first characters of a name, at most 200 bytes."""
    sizes = itertools.accumulate(len(os.fsencode(c)) for c in name)
    return name[: sum(size <= _HEAD for size in sizes)]


def _create(folder: str, name: str, make: Callable[[str], _T]) -> tuple[str, _T]:
    """Call `make` with the first free temporary name; returns its path and the result. Errors: OSError, as `make`."""
    paths = (_temporary(folder, name, k) for k in itertools.count())
    for path in paths:
        with contextlib.suppress(FileExistsError):
            made = make(path)
            break
        if _remove_leftover(path):
            with contextlib.suppress(FileExistsError):
                made = make(path)
                break
    for other in paths:  # of processes that were killed while this name was taken
        if not (os.path.lexists(other) and _remove_leftover(other)):
            break
    return path, made


def _temporary(folder: str, name: str, k: int) -> str:
    return os.path.join(folder, f".{shortened(name)}{f'.{k}' if k else ''}.tmp")


def _open_locked(path: str, mode: int | None) -> int:
    """Create and lock a file; mode None: by the umask. Errors: OSError; FileExistsError also if it was removed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o666 if mode is None else 0o600)
    try:
        if mode is not None and os.name != "nt":
            os.fchmod(handle, mode)
        _lock(handle, _LOCK_EXCLUSIVE)
        if not os.fstat(handle).st_nlink:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _remove_leftover(path: str) -> bool:
    """Remove a temporary file unless a process is writing it; returns whether its name is free now."""
    try:
        if os.name == "nt":
            if time.time() - os.stat(path).st_mtime < _WINDOWS_GRACE:
                return False
            os.unlink(path)
            return True
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, _LOCK_EXCLUSIVE | _TRY)
            if _is_same(handle, path):
                os.unlink(path)
        finally:
            os.close(handle)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _is_same(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:
        return False


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _lock(handle: int, how: int) -> None:
    """Lock an open file where its file system has locks."""
    if os.name != "nt":
        with contextlib.suppress(OSError):
            fcntl.flock(handle, how)


def _real_path(path: str | os.PathLike[str]) -> str:
    """The absolute path with all symbolic links followed. Errors: OSError for a cycle of links."""
    real = os.path.realpath(os.fspath(path))
    if os.path.islink(real):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
    return real


def _is_special(path: str) -> bool:
    """Whether `path` is a pipe or a device. Errors: IsADirectoryError; OSError for a name that is too long."""
    try:
        mode = os.stat(path).st_mode
    except OSError as e:
        if e.errno == errno.ENAMETOOLONG:
            raise
        return False  # it does not exist, or opening it gives the error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return not stat.S_ISREG(mode)


def _sync_folder(folder: str) -> None:
    """Sync a directory, so that a rename survives a power cut; some systems can't sync directories."""
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
