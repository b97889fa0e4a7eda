"""Processor cores: how many this process may use, and how many of them other programs keep busy."""

from __future__ import annotations

import os
import time

_STATISTICS = "/proc/stat"  # of Linux; other systems don't tell
_LEAST_SECONDS = 0.5  # the kernel counts in hundredths of a second, so that less time would say little


def usable() -> int:
    """How many cores this process may use."""
    return len(_allowed() or ()) or os.cpu_count() or 1


class Meter:
    """What other programs take of the cores that this process may use, from now on."""

    def __init__(self) -> None:
        self._start = self._now()

    def others(self, wait: bool = False) -> float | None:
        """How many cores other programs have kept busy, on average, since this meter was made.

        None where the system doesn't tell, or after less than half a second.

        Args:
            wait: until that has passed.
        """
        if self._start is None:
            return None
        missing = _LEAST_SECONDS - (time.monotonic() - self._start[0])
        if missing > 0 and not wait:
            return None
        time.sleep(max(missing, 0))
        now = self._now()
        if now is None:
            return None
        seconds, busy, own = (after - before for after, before in zip(now, self._start, strict=True))
        return min(max((busy - own) / seconds, 0.0), float(usable()))

    def _now(self) -> tuple[float, float, float] | None:
        """Seconds: of the clock, those that the cores were busy, and those that this process was."""
        busy = _busy_seconds()
        return None if busy is None else (time.monotonic(), busy, time.process_time())


def _allowed() -> set[int] | None:
    """The numbers of the cores that this process may use, where the system tells."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _busy_seconds() -> float | None:
    """For how long the usable cores have been busy since the system started, added up; None where nobody tells.

    Whatever has a low priority (nice) counts as well: threads that wait for each other wait for it, too.
    """
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
