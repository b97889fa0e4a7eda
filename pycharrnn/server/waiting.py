"""Waits for tasks whose results may no longer be wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

_ASK_SECONDS = 0.2  # between two questions whether the result is wanted


async def is_done_while(task: asyncio.Task[Any], is_wanted: Callable[[], Awaitable[bool]]) -> bool:
    """Wait for a task, which goes on if its result is no longer wanted. Returns: whether it is done."""
    while not (await asyncio.wait({task}, timeout=_ASK_SECONDS))[0]:
        if not await is_wanted():
            return False
    return True
