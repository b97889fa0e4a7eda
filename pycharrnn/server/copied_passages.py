"""Finds for `pycharrnn serve` the passages of a text that are in a model's training text."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.analysis import copied
from pycharrnn.common.errors import UserError
from pycharrnn.server.schemas import CopiedPassage

if TYPE_CHECKING:
    from collections.abc import Collection

    from pycharrnn.text.recorded_text import RecordedText


class CopiedPassages:
    """Compares texts with training texts that may be read unasked, one at a time, in a thread."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    async def of(
        self, recorded: RecordedText, text: bytes, known_labels: Collection[bytes], least: int
    ) -> list[CopiedPassage] | None:
        """The passages; None if the training text is missing, has changed, or is too large."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(_passages, recorded, text, known_labels, least)


def _passages(
    recorded: RecordedText, text: bytes, known_labels: Collection[bytes], least: int
) -> list[CopiedPassage] | None:
    if not recorded.may_be_read_unasked():
        return None
    try:
        training_text = copied.text_of_record(recorded)
        found = copied.compare(text, training_text, known_labels, progress=0)
        passages = copied.passages(found, training_text, least, each_once=False)
    except (OSError, ValueError, UserError):
        return None
    starts = np.searchsorted(found.boundaries, [passage.start for passage in passages]).tolist()
    return [
        CopiedPassage(start=start, length=p.length, text_line=p.text_line, text_column=p.text_column)
        for start, p in zip(starts, passages, strict=True)
    ]
