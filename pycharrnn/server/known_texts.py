"""Decides for `pycharrnn serve` whether items are in training texts, exactly and within a limit of memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pycharrnn.common.errors import UserError
from pycharrnn.common.lru import LRU
from pycharrnn.text import cache_record

if TYPE_CHECKING:
    from pycharrnn.sampling.known_items import RecordedItems
    from pycharrnn.text.cache_record import FileState

MAX_BYTES = 1 << 28  # of the items of all texts in memory
_BYTES_PER_ITEM = 96  # beside its characters: the object, and its place in a set

_Key = tuple[str, str, bytes, "FileState | None"]  # folder, fingerprint and end of a text; state of its file


class KnownTexts:
    """The items of training texts, those of the texts that were used last. Models of one run share a text."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        # With the size of each. None for a text that is missing, changed or too large.
        self._texts: LRU[_Key, tuple[set[bytes] | None, int]] = LRU(max_bytes, lambda found: found[1])
        self._one_at_a_time = asyncio.Lock()

    async def items_of(self, recorded: RecordedItems) -> set[bytes] | None:
        """The items of a text; None if it is missing, has changed, or is too large. Read in a thread if needed."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._items_of, recorded)

    def _items_of(self, recorded: RecordedItems) -> set[bytes] | None:
        text = recorded.text
        key = text.folder, text.fingerprint, recorded.end, cache_record.file_state(text.path) if text.folder else None
        if key not in self._texts:
            self._texts[key] = self._read(recorded)
        return self._texts[key][0]

    def _read(self, recorded: RecordedItems) -> tuple[set[bytes] | None, int]:
        """The items of a text, and about how much memory they take."""
        if not recorded.text.may_be_read_unasked():
            return None, _BYTES_PER_ITEM
        found, size = set[bytes](), _BYTES_PER_ITEM
        try:
            for item in recorded.read():
                if item not in found:
                    found.add(item)
                    size += len(item) + _BYTES_PER_ITEM
                if size > self._max_bytes:
                    return None, _BYTES_PER_ITEM
        except (OSError, ValueError, UserError):
            return None, _BYTES_PER_ITEM
        return found, size
