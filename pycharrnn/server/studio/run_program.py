"""The process of a training: `pycharrnn train`, with a lock while it runs, and its exit status in a file after it."""

from __future__ import annotations

import contextlib
import runpy
import sys

from pycharrnn.common import file_lock


def main() -> None:
    """Run the command line of the words after the paths of both files, and exit with its status."""
    lock_path, status_path, *words = sys.argv[1:]
    fd = file_lock.acquire(lock_path)
    status: object = 1
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
