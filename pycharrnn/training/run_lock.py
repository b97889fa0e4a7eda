"""-lock: one training at a time for one -checkpoint_dir and -savefile, and for one -log."""

from __future__ import annotations

import os

from pycharrnn.checkpoints import run_names
from pycharrnn.common.errors import UserError, flag, on_page
from pycharrnn.common.file_lock import LockHeld, acquire, is_of, release
from pycharrnn.common.printing import PrintLine
from pycharrnn.training.settings import FileSettings


class RunLock:
    """The locks of a run, held within a `with` statement: `.lm_<savefile>.lock` in the checkpoint directory, and
    `.<log>.lock` beside -log. With -lock 0 there are none.

    A file left by a crash is ignored; without locks in the file system, `note` prints a warning. Errors, of `with`:
    UserError if another process holds one of them.
    """

    def __init__(self, files: FileSettings, note: PrintLine) -> None:
        self._files, self._note = files, note
        self._held: dict[str, int] = {}  # path -> descriptor

    @property
    def is_held(self) -> bool:
        """Whether the lock of the checkpoints is held."""
        return run_names.lock_file(self._files.stem) in self._held

    def __enter__(self) -> RunLock:
        try:
            for path in _paths(self._files):
                self._take(path)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        while self._held:
            path, fd = self._held.popitem()
            release(fd, path)

    def renew(self) -> None:
        """Lock the checkpoint directory anew if it has been moved or removed, and another one is in its place.

        Errors: OSError if none is; LockHeld if another training is in that one.
        """
        path = run_names.lock_file(self._files.stem)
        fd = self._held.get(path)
        if fd is not None and not is_of(fd, path):
            self._held[path] = acquire(path)
            os.close(fd)

    def _take(self, path: str) -> None:
        try:
            self._held[path] = acquire(path)
        except LockHeld as e:
            raise _held(self._files, path, e) from None
        except OSError as e:
            self._note(f"can't lock {path} ({e.strerror or e}): make sure that no other training writes there.")


def check(files: FileSettings) -> None:
    """Errors: UserError if another training holds one of the locks."""
    for path in _paths(files):
        if os.path.exists(path):
            try:
                release(acquire(path), path)
            except LockHeld as e:
                raise _held(files, path, e) from None
            except OSError:  # RunLock will print it
                pass


def _paths(files: FileSettings) -> dict[str, None]:
    """Each once, in their order."""
    if not files.lock:
        return {}
    # By its real name: a link to the log of another training would not be locked.
    of_log = [run_names.lock_file(os.path.realpath(files.log))] if files.log else []
    return dict.fromkeys([run_names.lock_file(files.stem), *of_log])


def another_training(error: LockHeld) -> str:
    """What holds a lock, for messages: "another training (process 5 on host)"."""
    return f"another training{error.holder and f' ({error.holder})'}"


def _held(files: FileSettings, path: str, error: LockHeld) -> UserError:
    other = f"{another_training(error)} writes"
    or_else = on_page("or wait until it has ended", elsewhere=f"or wait; {flag('lock', 0)} trains all the same")
    folder, stem = os.path.split(files.stem)
    if path != run_names.lock_file(files.stem):
        return UserError(f"{other} {files.log}: choose another {flag('log')}, {or_else}.")
    name = flag("savefile")
    another = on_page(name, elsewhere=f"{name} or {flag('checkpoint_dir')}")
    return UserError(f"{other} {stem}_* to {folder}: choose another {another}, {or_else}.")
