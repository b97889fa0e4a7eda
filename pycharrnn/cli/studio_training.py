"""The process of a training of the studio: `pycharrnn train` in the words of the page, with a lock and events."""

from __future__ import annotations

import contextlib
import os
import sys

from pycharrnn.cli import commands
from pycharrnn.common import errors, file_lock
from pycharrnn.server.studio import page_words
from pycharrnn.server.studio.run_events import Event, EventWriter


def main() -> None:
    """Run the command line of the words after those of both files, and exit with its status.

    The words before it: the path of the lock, the inherited descriptor that holds it or -1, the path of the events.
    """
    lock_path, inherited, events_path, *words = sys.argv[1:]
    fd = int(inherited)
    if fd < 0:
        fd = file_lock.acquire(lock_path)
    else:
        os.set_inheritable(fd, False)
        file_lock.name_holder(fd)
    events, status = EventWriter(events_path), 1

    def tell(sentence: str, where: str = "pycharrnn") -> None:
        commands.tell_error(sentence, where)
        events.error(sentence)

    errors.use_wording(page_words.reword)
    try:
        status = commands.run(words, tell, events.callbacks())
        sys.exit(status)
    finally:
        events.write(Event(status=status))
        with contextlib.suppress(OSError):
            file_lock.release(fd, lock_path)
