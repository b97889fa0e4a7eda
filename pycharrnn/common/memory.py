"""Checks that an allocation fits in memory, and words the message if memory ran out."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pycharrnn.common.errors import UserError

# Linux's control groups, which limit a container or a job of Slurm: controllers in /proc/self/cgroup -> the folder of
# all groups, and the file with a group's limit. Version 2 has no controllers there.
_GROUPS = {"": ("/sys/fs/cgroup", "memory.max"), "memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")}
_RAN_OUT = re.compile(
    "out of memory|allocate memory|not enough memory|ALLOC(ATION)?_FAILED"
    "|failed to map segment(?!.*(not permitted|denied))",
    re.IGNORECASE,
)
_SMALL = 1 << 24  # bytes, less than Python itself takes: to read the limits would take longer than a short sample


def check(need: float, what: str, available: float | None = None) -> None:
    """Errors: UserError that names the option `what` if `need` bytes exceed those `available` (None: main memory)."""
    if available is None:
        if need < _SMALL:
            return
        available = _main_memory()
    if need > available:
        raise UserError(
            f"{what} takes about {_gigabytes(need)} of memory, but only {_gigabytes(available)} is available: use"
            " smaller values."
        )


def ran_out(error: BaseException) -> str | None:
    """The message for an exception about exhausted memory; None for any other exception."""
    if not _is_of_memory(error):
        return None
    amount = re.search(r"allocate ([\d.]+ ?\w+)", str(error))
    more = f", {amount[1]} more were needed" if amount else ""
    return f"out of memory{more}: use smaller values, or end other programs."


def _is_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM  # the text may have the name of a file
    # PyTorch has an exception class only for a GPU's memory, so the text must be searched.
    return isinstance(error, MemoryError) or bool(_RAN_OUT.search(str(error)))


def _main_memory() -> float:
    """Bytes of memory that this process may use; infinite if unknown."""
    limits = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ImportError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits += [limit] if limit != resource.RLIM_INFINITY else []
    return min(*limits, *_group_limits(Path("/")))


def _group_limits(root: Path) -> Iterator[int]:
    """The limits of this process's control groups, and of those that they are in. `root`: of the file system."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not on Linux
        return
    for _, controllers, group in (line.split(":", 2) for line in groups):
        if controllers in _GROUPS:
            folder, name = _GROUPS[controllers]
            found = PurePosixPath(group)
            for path in (found, *found.parents):
                with contextlib.suppress(OSError, ValueError):  # "max": no limit
                    yield int((root / f"{folder}{path}"[1:] / name).read_text(encoding="ascii"))


def _gigabytes(count: float) -> str:
    """`count` may be an int beyond the range of floats."""
    return f"{min(count, 1e300) / 1e9:.3g} GB"
