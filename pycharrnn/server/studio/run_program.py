"""The process of a training: `pycharrnn train`, with a lock while it runs, and its exit status in a file after it.

Its messages are in the words of the page.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys

from pycharrnn.common import errors, file_lock
from pycharrnn.server.studio import page_words


def main() -> None:
    """Run the command line of the words after those of both files, and exit with its status.

    The words before it: the path of the lock, the inherited descriptor that holds it or -1, the path of the status.
    """
    lock_path, inherited, status_path, *words = sys.argv[1:]
    fd = int(inherited)
    if fd < 0:
        fd = file_lock.acquire(lock_path)
    else:
        os.set_inheritable(fd, False)
        file_lock.name_holder(fd)
    status: object = 1
    errors.use_wording(page_words.reword)
    try:
        sys.argv = ["pycharrnn", *words]
        runpy.run_module("pycharrnn", run_name="__main__")
        status = 0
    except SystemExit as e:
        status = e.code
        raise
    finally:
        with contextlib.suppress(OSError), open(status_path, "w", encoding="ascii") as f:
            f.write(f"{status}")
        with contextlib.suppress(OSError):
            file_lock.release(fd, lock_path)
