""".cache.json beside input.txt: the statistics of the text, and the text that each cache file was made of.

An unchanged text need not be read again, and an outdated cache is found even if `cp -p`, rsync or tar gave a new text
an old time. Without this file, or with a damaged one, char-rnn's rule holds: a cache older than its text is outdated.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from dataclasses import dataclass, field
from typing import Any

from pycharrnn.common import regular_files

NAME = ".cache.json"
_MAX_BYTES = 1 << 24
_TICK = 20_000_000  # ns; a file rewritten within a tick of the clock may keep its time
_SECONDS = 2_000_000_000  # ns; the tick of file systems that store whole seconds

FileState = tuple[int, int, int, int]  # size, mtime_ns, ctime_ns, inode: equal for an unchanged file


@dataclass
class CacheRecord:
    """The content of .cache.json.

    Attributes:
        text: the state of input.txt when it was read. stats: the fields of its TextStats.
        caches: name of a cache file -> its state, and the fingerprint of its text.
    """

    text: FileState | None = None
    stats: dict[str, Any] = field(default_factory=dict)
    caches: dict[str, tuple[FileState, str]] = field(default_factory=dict)

    def made_of(self, data_dir: str, *names: str) -> str | None:
        """The fingerprint of the text that all these cache files were made of; None if unknown."""
        found = set()
        for name in names:
            state, fingerprint = self.caches.get(name, (None, None))
            found.add(fingerprint if state == file_state(os.path.join(data_dir, name)) else None)
        return found.pop() if len(found) == 1 else None

    def add_cache(self, data_dir: str, fingerprint: str, *names: str) -> None:
        """Record that these cache files were made of the text with this fingerprint."""
        for name in names:
            if state := file_state(os.path.join(data_dir, name)):
                self.caches[name] = state, fingerprint

    def save(self, data_dir: str) -> None:
        """Write the record, unless the folder holds the same one, is not writable, or has a link or a pipe there."""
        if self == load(data_dir):
            return
        with contextlib.suppress(OSError), regular_files.atomic_write(os.path.join(data_dir, NAME)) as f:
            f.write(json.dumps(self.__dict__).encode())


def load(data_dir: str) -> CacheRecord:
    """The record of a folder; an empty one if it is missing or unreadable."""
    path = os.path.join(data_dir, NAME)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return CacheRecord()
        with open(path, "rb") as f:
            content = f.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            return CacheRecord()
        found = json.loads(content)
        caches = {str(name): (_state(state), str(made_of)) for name, (state, made_of) in found["caches"].items()}
        return CacheRecord(found["text"] and _state(found["text"]), dict(found["stats"]), caches)
    except (OSError, ValueError, OverflowError, TypeError, KeyError, AttributeError, RecursionError):
        return CacheRecord()


def add(data_dir: str, fingerprint: str, *names: str) -> None:
    """Record that these cache files were made of the text with this fingerprint.

    The record is read anew: other programs may have added to it while the files were made.
    """
    record = load(data_dir)
    record.add_cache(data_dir, fingerprint, *names)
    record.save(data_dir)


def file_state(path: str) -> FileState | None:
    """The state of a file; None if it is missing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def is_settled(state: FileState) -> bool:
    """Whether a write from now on will change the state: the file's clock has ticked since the last write."""
    changed = max(state[1], state[2])
    return time.time_ns() - changed > (_TICK if changed % 1_000_000_000 else _SECONDS)


def _state(value: Any) -> FileState:
    size, mtime, ctime, inode = map(int, value)
    return size, mtime, ctime, inode
