"""Waits for tasks whose results may no longer be wanted, and repeats work beside the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pycharrnn.common.printing import PrintLine

_ASK_SECONDS = 0.2  # between two questions whether the result is wanted


async def is_done_while(task: asyncio.Task[Any], is_wanted: Callable[[], Awaitable[bool]]) -> bool:
    """Wait for a task, which goes on if its result is no longer wanted. Returns: whether it is done."""
    while not (await asyncio.wait({task}, timeout=_ASK_SECONDS))[0]:
        if not await is_wanted():
            return False
    return True


async def repeat(work: Callable[[], Awaitable[object]], seconds: float, what: str, note: PrintLine) -> None:
    """Do `work` every so many seconds until this task is cancelled; note an error once while it repeats itself.

    `what` names the work in the note: "scan the folders".
    """
    reported = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
            reported = ""
        except Exception as e:  # whatever it is, the next time may succeed
            error = f"can't {what} ({type(e).__name__}: {e}); trying again."
            if error != reported:
                note(error)
            reported = error
