"""The index of a list: where its items begin, their lengths and hashes, in a file beside the cache of the text.

It takes 24 bytes an item on the disk. An index of at most _HELD bytes is held in memory, a larger one is mapped: a list
may be larger than memory. Mapping is safe, since the file is replaced as a whole and never shortened.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from compat.atomic_write import atomic_write
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.common.progress import bar
from pycharrnn.text import cache_record
from pycharrnn.text.items import ItemSplitter, ListCheck

if TYPE_CHECKING:
    import numpy.typing as npt

    from pycharrnn.text.token_text import TokenText

# start: of its first character in the text. length: characters, without the end. hash: BLAKE2b, 64 bits, of its bytes.
ITEM = np.dtype([("start", "<i8"), ("length", "<i8"), ("hash", "<u8")])
Index: TypeAlias = "npt.NDArray[Any]"  # of ITEM

_HELD = 1 << 26  # bytes
BLOCK = 1 << 16  # items in memory at a time
_HASHES = 1 << 24  # that are sorted at a time


def load(data_dir: str, text: TokenText, kind: str, end: bytes, is_utf8: bool, progress: int = 0) -> Index:
    """The index of the items of a text, from its file or else made anew. Errors: UserError, TextChanged."""
    stem = os.path.basename(text.path).removesuffix(".t7")
    name = f"{stem}_items_{end.hex()}.bin"  # data_items_0a.bin
    path = os.path.join(data_dir, name)
    record = cache_record.load(data_dir)
    made_of = record.made_of(data_dir, os.path.basename(text.path))
    if made_of and record.made_of(data_dir, name) == made_of:
        with contextlib.suppress(OSError, ValueError):
            found = _open(path)
            if _fits(found, len(text)):
                return found
    try:
        with atomic_write(path) as f, bar("finding items", len(text), progress) as advance:
            for block in _blocks(text, ListCheck(kind, os.path.join(data_dir, "input.txt")), end, is_utf8, advance):
                f.write(block.tobytes())
        found = _open(path)
    except OSError as e:
        raise UserError(f"can't write {escape_line(path)}: {e.strerror or e}.") from e
    if made_of:
        record.add_cache(data_dir, made_of, name)
        record.save(data_dir)
    return found


def count_distinct(index: Index) -> int:
    """The number of distinct items, by their hashes: too low by one with a chance of n^2 / 2^65."""
    parts = -(-len(index) // _HASHES)  # of the hashes' range, so that each fits in memory
    distinct = 0
    for part in range(parts):
        found = [h[(h >> np.uint64(40)) * np.uint64(parts) >> np.uint64(24) == part] for h in _hashes(index)]
        distinct += len(np.unique(np.concatenate(found)))
    return distinct


def _hashes(index: Index) -> Iterator[npt.NDArray[np.uint64]]:
    for first in range(0, len(index), BLOCK):
        yield index["hash"][first : first + BLOCK]


def _blocks(text: TokenText, check: ListCheck, end: bytes, is_utf8: bool, advance: Any) -> Iterator[Index]:
    """The index in blocks, and the checks of `check`."""
    splitter = ItemSplitter(end)
    start = 0
    for piece in (*text.pieces(), None):
        items = [splitter.rest()] if piece is None else splitter.push(piece)
        check.add(items)
        lengths = np.array([len(item.decode()) if is_utf8 else len(item) for item in items], np.int64)
        starts = start + np.cumsum(lengths + 1) - lengths - 1
        start += int(lengths.sum()) + len(items)
        block = np.empty(int(np.count_nonzero(lengths)), ITEM)
        block["start"], block["length"] = starts[lengths > 0], lengths[lengths > 0]
        hashes = b"".join(blake2b(item, digest_size=8).digest() for item in items if item)
        block["hash"] = np.frombuffer(hashes, "<u8")
        yield block
        advance(int(lengths.sum()) + len(items))
    check.finish()


def _open(path: str) -> Index:
    """Errors: OSError; ValueError for a file of another size than that of an index."""
    if os.path.getsize(path) <= _HELD:
        return np.fromfile(path, np.uint8).view(ITEM)
    return np.memmap(path, ITEM, "r")


def _fits(index: Index, length: int) -> bool:
    """Whether all items lie in a text of this length, one after the other."""
    end = 0
    for first in range(0, len(index), BLOCK):
        block = index[first : first + BLOCK]
        starts, lengths = block["start"], block["length"]
        if not (np.all(lengths > 0) and np.all(lengths <= length) and np.all(starts <= length)):
            return False
        ends = np.concatenate(([end], starts + lengths))
        if not (np.all(starts >= ends[:-1]) and np.all(ends <= length)):
            return False
        end = int(ends[-1]) + 1
    return len(index) > 1
