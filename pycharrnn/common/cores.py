"""CPU cores that this process may use, how its threads wait, and the load of other programs."""

from __future__ import annotations

import os
import time

MAX_THREADS = 1024  # no machine has more cores
_MOST_DIGITS = 9  # of a number of threads
_STATISTICS = "/proc/stat"  # only Linux has it
_LEAST_SECONDS = 0.5  # the kernel counts in hundredths of a second: less time is too inexact


def usable() -> int:
    """Number of cores that this process may use."""
    return len(_allowed() or ()) or os.cpu_count() or 1


def default_threads() -> int:
    """OMP_NUM_THREADS, as PyTorch reads it, or one thread for each usable core."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    is_number = first.isdecimal() and len(first) <= _MOST_DIGITS
    return min(int(first) if is_number else 0, MAX_THREADS) or usable()


def use_threads(count: int) -> None:
    """Set the number of threads of NumPy and PyTorch, before they are imported.

    0 = one for NumPy unless the environment sets it, since a step of sampling is too small for more; PyTorch keeps its
    default.
    """
    if count:
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(count)))
    else:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def limit_spinning() -> None:
    """Let the threads of PyTorch's OpenMP wait for each other asleep, before it is imported.

    They spin for milliseconds otherwise, which on a busy machine takes more processor time than a training itself.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


class Meter:
    """Measures the load of other programs on the usable cores since its construction."""

    def __init__(self) -> None:
        self._start = self._now()

    def others(self) -> float | None:
        """The mean number of cores busy with other programs since the construction; None if it is unknown.

        Waits until 0.5 s have passed since then.
        """
        if self._start is None:
            return None
        time.sleep(max(_LEAST_SECONDS - (time.monotonic() - self._start[0]), 0))
        now = self._now()
        if now is None:
            return None
        seconds, busy, own = (after - before for after, before in zip(now, self._start, strict=True))
        return min(max((busy - own) / seconds, 0.0), float(usable()))

    def _now(self) -> tuple[float, float, float] | None:
        """Seconds: of the clock, of busy cores, of this process."""
        busy = _busy_seconds()
        return None if busy is None else (time.monotonic(), busy, time.process_time())


def _allowed() -> set[int] | None:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _busy_seconds() -> float | None:
    """Busy seconds of the usable cores since boot, summed, including processes of low priority; None if unknown."""
    allowed = _allowed()
    try:
        with open(_STATISTICS, encoding="ascii", errors="replace") as f:
            rows = [line.split() for line in f if line.startswith("cpu") and line[3].isdigit()]
        # user, nice, system, idle, waiting for a disk, interrupts, soft interrupts, taken by another virtual machine
        times = {int(row[0][3:]): [int(ticks) for ticks in row[1:9]] for row in rows}
        ticks = sum(sum(row) - row[3] - row[4] for core, row in times.items() if not allowed or core in allowed)
        return ticks / os.sysconf("SC_CLK_TCK") if times else None
    except (OSError, ValueError, IndexError, AttributeError):
        return None
