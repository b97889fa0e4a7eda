"""Waits for threads in a way that lets Ctrl-C through.

Slow to import: import it where threads are used, and before they start. A signal during an import ends the process at
once, and threads that have begun could not remove what they have written.
"""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    _Result = TypeVar("_Result")

_SECONDS_BETWEEN_SIGNALS = 0.1


def results_of(futures: Iterable[Future[_Result]]) -> Iterator[_Result]:
    """The results of futures, in any order. Errors: the first exception of one of them, as soon as it ends."""
    working = set(futures)
    while working:
        # The timeout lets Ctrl-C through on Windows, where a signal does not interrupt a wait for a lock.
        done, working = wait(working, _SECONDS_BETWEEN_SIGNALS, FIRST_EXCEPTION)
        for future in done:
            yield future.result()
