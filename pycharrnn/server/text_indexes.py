"""Gives `pycharrnn serve` the indexes of training texts for max_copy, within limits of memory and time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pycharrnn.sampling.copy_limits import CopyLimits, KeptPassages
from pycharrnn.server.scheduler import SchedulerClosed
from pycharrnn.server.waiting import is_done_while

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pycharrnn.sampling.model_text import ModelText

MAX_BYTES = 1 << 28  # of the indexes in memory
MAX_MAKING = 4  # of indexes that requests wait for: that of a long text takes seconds


class TooManyIndexes(Exception):
    """MAX_MAKING indexes are being made."""


class TextIndexes:
    """Keeps the indexes that were used last, and makes others, one at a time."""

    def __init__(self) -> None:
        # Each client may ask for another max_copy: files of all of them would fill the disk.
        self._kept = KeptPassages(MAX_BYTES, writes=False)
        self._making: dict[object, asyncio.Task[None]] = {}  # by ModelText.key
        self._one_at_a_time = asyncio.Lock()  # so that those who wait hold no threads

    async def limits(self, text: ModelText, max_copy: int, is_open: Callable[[], Awaitable[bool]]) -> CopyLimits | None:
        """What max_copy forbids, as copy_limits.for_options. `is_open`: false once the server stops.

        Errors: TooManyIndexes; SchedulerClosed, while the index is made; OSError, ValueError or UserError if the text
        is not here or has changed.
        """
        key = text.key(max_copy)
        if key not in self._kept:
            if key not in self._making and len(self._making) == MAX_MAKING:
                raise TooManyIndexes
            if key not in self._making:
                self._making[key] = asyncio.create_task(self._make(text, max_copy))
                self._making[key].add_done_callback(lambda task: self._has_ended(key, task))
            making = self._making[key]  # which goes on if the client leaves
            if not await is_done_while(making, is_open):
                raise SchedulerClosed
            await making
        return await asyncio.to_thread(self._kept.limits, text, max_copy)

    async def _make(self, text: ModelText, max_copy: int) -> None:
        async with self._one_at_a_time:
            await asyncio.to_thread(self._kept.limits, text, max_copy)

    def _has_ended(self, key: object, task: asyncio.Task[None]) -> None:
        del self._making[key]
        if not task.cancelled():
            task.exception()  # which nobody else may ask for
