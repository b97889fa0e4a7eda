"""-lock: one training at a time for one -checkpoint_dir and -savefile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from pycharrnn.checkpoints import run_names
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.file_lock import LockHeld, acquire, release
from pycharrnn.common.printing import PrintLine
from pycharrnn.training.settings import FileSettings


@contextlib.contextmanager
def lock(files: FileSettings, note: PrintLine) -> Iterator[bool]:
    """Hold the lock file `.lm_<savefile>.lock` in the checkpoint directory, unless -lock 0. Yields: whether it is held.

    A file left by a crash is ignored; without locks in the file system, `note` prints a warning. Errors: UserError if
    another process holds it.
    """
    if not files.lock:
        yield False
        return
    path = run_names.lock_file(files.stem)
    try:
        fd = acquire(path)
    except LockHeld as e:
        raise _held(files, e) from None
    except OSError as e:
        note(f"can't lock {path} ({e.strerror or e}): make sure that no other training writes there.")
        yield False
        return
    try:
        yield True
    finally:
        release(fd, path)


def check(files: FileSettings) -> None:
    """Errors: UserError if another training holds the lock."""
    path = run_names.lock_file(files.stem)
    if not files.lock or not os.path.exists(path):
        return
    try:
        release(acquire(path), path)
    except LockHeld as e:
        raise _held(files, e) from None
    except OSError:  # `lock` will print it
        pass


def _held(files: FileSettings, error: LockHeld) -> UserError:
    folder, stem = os.path.split(files.stem)
    return UserError(
        f"another training{error.holder and f' ({error.holder})'} writes {stem}_* to {folder}: choose another"
        f" {flag('savefile')} or {flag('checkpoint_dir')}, or wait; {flag('lock', 0)} trains all the same."
    )
