"""The recorded runs of tests/golden, for all tests: a copy whose `.t7` files are unpacked."""

from __future__ import annotations

import atexit
import gzip
import os
import shutil
import tempfile
from pathlib import Path

PACKED = Path(__file__).parent / "golden"
_NAME = "PYCHARRNN_GOLDEN"  # the variable that gives the copy to the processes that the tests start


def _copy(source: str, target: str) -> None:
    if source.endswith(".t7"):
        Path(target).write_bytes(gzip.decompress(Path(source).read_bytes()))
    else:
        shutil.copyfile(source, target)
    shutil.copystat(source, target)


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # and not in a process that was forked
        shutil.rmtree(folder, ignore_errors=True)


def _unpacked() -> Path:
    if _NAME not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="pycharrnn_golden_"))
        atexit.register(_remove, folder, os.getpid())
        os.environ[_NAME] = str(shutil.copytree(PACKED, folder / "golden", copy_function=_copy))
    return Path(os.environ[_NAME])


GOLDEN = _unpacked()
