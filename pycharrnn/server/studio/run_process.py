"""One process for each training: begun, watched and stopped; found again by a server that starts anew.

Such a server can't wait for the process, and its number may be another process's by now. So each training holds a lock
on a file of its run, which the system releases when it ends, and writes its exit status to its events. The server
takes the lock and the process inherits it: there is no moment at which the process is there without it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pycharrnn.checkpoints import run_names
from pycharrnn.common import file_lock, regular_files
from pycharrnn.server.studio import run_events, studio_paths
from pycharrnn.server.studio.child_environment import child_environment
from pycharrnn.server.studio.run_events import Event, RunEvents
from pycharrnn.server.studio.run_record import RunRecord
from pycharrnn.server.studio.studio_paths import CHECKPOINTS

_PROGRAM = "from pycharrnn.cli.studio_training import main; main()"
_PREFIX = re.compile(r"^pycharrnn(?: \w+)?: ")  # of a line on stderr
_HOLDER = re.compile(r"process (\d+) on (.*)")  # the content of a lock file
_MOST_READ = 1 << 18  # bytes of a file


class Processes:
    """The trainings that run: those that this server began, and those that it finds. `environment`: of theirs."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._begun: dict[str, subprocess.Popen[bytes]] = {}  # by run id
        self._found: dict[str, int] = {}  # run id -> the number of a process that another server began

    def begin(self, record: RunRecord, words: Sequence[str]) -> None:
        """Run `pycharrnn` with these words, in a session of its own that a Ctrl-C for the server does not reach.

        Errors: OSError.
        """
        run_events.append(record.events, Event(attempt=record.attempts))
        lock, fd = _lock_path(record), -1
        apart: dict[str, Any] = {}
        if os.name == "nt":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
        else:
            fd = file_lock.acquire_for_child(lock)
            apart = {"start_new_session": True, "pass_fds": (fd,)}
        try:
            with open(record.stderr, "ab", opener=regular_files.opener) as err:
                self._begun[record.id] = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, lock, str(fd), record.events, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=err,
                    env=child_environment(self._environment),
                    **apart,
                )
        finally:
            if fd >= 0:
                os.close(fd)  # the process has it now

    def is_alive(self, record: RunRecord) -> bool:
        """Whether the run's process is there, whoever began it."""
        return self._pid(record) is not None

    def ask_to_stop(self, record: RunRecord) -> bool:
        """Send the signal at which training saves and ends; at a second one, it ends at once.

        Returns: False if the process is there, but its number is not known: ask again.
        Not SIGINT: a server in a shell's background ignores that, and its processes do too.
        """
        number = signal.SIGTERM if os.name != "nt" else signal.CTRL_BREAK_EVENT  # type: ignore[attr-defined]
        if pid := self._pid(record):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid != 0

    def _pid(self, record: RunRecord) -> int | None:
        """The number of the run's process; None if it has ended, 0 if it is there, but its number is not known.

        In a folder that several machines share, the process may be on another one: here, its number may be that of
        some other process.
        """
        if begun := self._begun.get(record.id):
            if begun.poll() is None:
                return begun.pid
            del self._begun[record.id]
        pid = _pid_in(_lock_path(record))
        if pid:
            self._found[record.id] = pid
        if pid is None and _is_removed(record) and record.id in self._found:
            held = _pid_in(_lock_of_training(record))  # perhaps by another training of this name
            return held if held == self._found[record.id] else None
        return pid


def _pid_in(path: str) -> int | None:
    """The number of the process that holds a lock; None if none does, 0 if its number is not known here."""
    if not os.path.exists(path):
        return None
    try:
        file_lock.release(file_lock.acquire(path), path)
    except file_lock.LockHeld as e:
        holder = _HOLDER.match(e.holder)
        return int(holder[1]) if holder and holder[2] == socket.gethostname() else 0
    except OSError:  # its folder is gone
        pass
    return None


def _is_removed(record: RunRecord) -> bool:
    """Whether somebody has removed the files of a run's process, which may go on without them."""
    return not os.path.exists(record.stderr)


def _lock_of_training(record: RunRecord) -> str:
    """The lock file of -lock, which `train` holds while it trains, beside its checkpoints."""
    return run_names.lock_file(f"{CHECKPOINTS}/lm_{record.name}")


def error_of(record: RunRecord, events: RunEvents) -> str:
    """The sentence with which a training failed, or the last line of its stderr."""
    if events.error:
        return events.error
    if events.status is None and _is_removed(record):
        return f"nothing is left of what the training wrote to {record.folder}; perhaps that folder was removed."
    if events.status is None and studio_paths.is_full():
        return "the training has left no exit status, and the disk is full: make room, and try again."
    if events.status is None:
        return "the training was killed, perhaps since memory ran out."
    lines = [line for line in lines_of(record.stderr, record.said_before) if line.strip()]
    if not lines:
        return f"the training ended with status {events.status}, and said nothing."
    return without_prefix(lines[-1]).strip()


def without_prefix(line: str) -> str:
    """A line on stderr without the name of the command."""
    return _PREFIX.sub("", line)


def lines_of(path: str, start: int = 0) -> list[str]:
    """The lines of a file from byte `start` on, of its last 256 KiB at most; none without such a file."""
    try:
        with open(path, "rb", opener=regular_files.opener) as f:
            f.seek(max(start, os.fstat(f.fileno()).st_size - _MOST_READ))
            return f.read(_MOST_READ).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _lock_path(record: RunRecord) -> str:
    return f"{record.folder}/.lock"
