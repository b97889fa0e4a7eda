"""Finds for `pycharrnn serve` the passages of a text that are in a model's training text."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.analysis import copied
from pycharrnn.common.errors import UserError
from pycharrnn.server.schemas import CopiedPassage
from pycharrnn.server.waiting import is_done_while

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator

    from pycharrnn.text.recorded_text import RecordedText


class Unwanted(Exception):
    """Nobody waits for a comparison any more."""


class CopiedPassages:
    """Compares texts with training texts that may be read unasked, one at a time, in a thread."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    async def of(
        self,
        recorded: RecordedText,
        text: bytes,
        known_labels: Collection[bytes],
        least: int,
        is_wanted: Callable[[], Awaitable[bool]],
    ) -> list[CopiedPassage] | None:
        """The passages; None if the training text is missing, has changed, or is too large.

        Errors: Unwanted, soon after `is_wanted` has become false.
        """
        given_up = threading.Event()
        async with self._one_at_a_time:
            if not await is_wanted():
                raise Unwanted
            comparing = asyncio.create_task(asyncio.to_thread(_passages, recorded, text, known_labels, least, given_up))
            # It may end with Unwanted after this request has gone.
            comparing.add_done_callback(lambda task: task.cancelled() or task.exception())
            try:
                await is_done_while(comparing, is_wanted)
            finally:
                given_up.set()
            return await comparing


def _passages(
    recorded: RecordedText, text: bytes, known_labels: Collection[bytes], least: int, given_up: threading.Event
) -> list[CopiedPassage] | None:
    """Errors: Unwanted once `given_up` is set."""
    if not recorded.may_be_read_unasked():
        return None

    def pieces() -> Iterator[bytes]:
        for piece in whole.pieces():
            if given_up.is_set():
                raise Unwanted
            yield piece

    try:
        whole = copied.text_of_record(recorded)
        training_text = dataclasses.replace(whole, pieces=pieces)
        found = copied.compare(text, training_text, known_labels, progress=0)
        passages = copied.passages(found, training_text, least, each_once=False)
    except (OSError, ValueError, UserError):
        return None
    starts = np.searchsorted(found.boundaries, [passage.start for passage in passages]).tolist()
    return [
        CopiedPassage(start=start, length=p.length, text_line=p.text_line, text_column=p.text_column)
        for start, p in zip(starts, passages, strict=True)
    ]
