"""The index of a list: where its items begin, their lengths and hashes, in a file beside the cache of the text.

It takes 24 bytes an item on the disk, 32 with labels. An index of at most _HELD bytes is held in memory, a larger one
is mapped: a list may be larger than memory. Mapping is safe, since the file is replaced as a whole and never shortened.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from compat.item_options import MAX_LABELS, TAB
from compat.vocabulary import characters_by_id
from pycharrnn.common import regular_files
from pycharrnn.common.display import escape_line
from pycharrnn.common.progress import bar
from pycharrnn.text import cache_record, preprocessing
from pycharrnn.text.items import ItemSplitter, ListCheck
from pycharrnn.text.text_folder import input_file

if TYPE_CHECKING:
    import numpy.typing as npt

    from pycharrnn.text.token_text import TokenText

# start: of its first character in the text. length: characters, without the end. hash: BLAKE2b, 64 bits, of its bytes.
ITEM = np.dtype([("start", "<i8"), ("length", "<i8"), ("hash", "<u8")])
# With -label start and length are those of the label, a tab, and the item; the hash is of the item alone. label: its
# number. skip: characters of the label and the tab.
LABELLED = np.dtype([*ITEM.descr, ("label", "<i4"), ("skip", "<i4")])
Index: TypeAlias = "npt.NDArray[Any]"  # of ITEM or LABELLED

_HELD = 1 << 26  # bytes
BLOCK = 1 << 16  # items in memory at a time
_HASHES = 1 << 24  # that are sorted at a time


def load(
    data_dir: str, text: TokenText, kind: str, end: bytes, is_utf8: bool, progress: int = 0, label: str = ""
) -> Index:
    """The index of the items of a text, from its file or else made anew. Errors: UserError, TextChanged.

    `label`: the value of -label.
    """
    stem = os.path.basename(text.path).removesuffix(".t7")
    name = f"{stem}_items_{end.hex()}{'_labels' if label else ''}.bin"  # data_items_0a.bin
    dtype = LABELLED if label else ITEM
    path = os.path.join(data_dir, name)
    record = cache_record.load(data_dir)
    made_of = record.made_of(data_dir, os.path.basename(text.path))
    if made_of and record.made_of(data_dir, name) == made_of:
        with contextlib.suppress(OSError, ValueError):
            found = _open(path, dtype)
            if _fits(found, len(text)):
                return found
    try:
        with regular_files.atomic_write(path) as f, bar("finding items", len(text), progress) as advance:
            check = ListCheck(kind, input_file(data_dir), label, is_cut=bool(text.left_out))
            for block in _blocks(text, check, end, is_utf8, advance, dtype):
                f.write(block.tobytes())
        found = _open(path, dtype)
    except OSError as e:
        raise preprocessing.not_written(escape_line(path), e) from e
    if made_of:
        cache_record.add(data_dir, made_of, name)
    return found


def count_distinct(index: Index) -> int:
    """The number of distinct items, by their hashes: too low by one with a chance of n^2 / 2^65."""
    parts = -(-len(index) // _HASHES)  # of the hashes' range, so that each fits in memory
    distinct = 0
    for part in range(parts):
        found = [h[(h >> np.uint64(40)) * np.uint64(parts) >> np.uint64(24) == part] for h in _hashes(index)]
        distinct += len(np.unique(np.concatenate(found)))
    return distinct


def longest(index: Index) -> int:
    """The number of characters of the longest item, without its label."""
    blocks = (index[first : first + BLOCK] for first in range(0, len(index), BLOCK))
    is_labelled = index.dtype == LABELLED
    return max(int((block["length"] - (block["skip"] if is_labelled else 0)).max()) for block in blocks)


def labels(index: Index, text: TokenText) -> list[bytes]:
    """The labels of the items of a text, by their numbers; [] for an index without labels."""
    if index.dtype != LABELLED:
        return []
    characters = characters_by_id(text.vocab)
    found: dict[int, bytes] = {}
    for first in range(0, len(index), BLOCK):
        block = index[first : first + BLOCK]
        numbers, at = np.unique(block["label"], return_index=True)
        for number, item in zip(numbers.tolist(), block[at], strict=True):
            if number not in found:
                start = int(item["start"])
                ids = text.read(start, start + int(item["skip"]) - 1)
                found[number] = b"".join(characters[k] for k in ids.tolist())
    return [found.get(number, b"") for number in range(max(found) + 1)]


def _hashes(index: Index) -> Iterator[npt.NDArray[np.uint64]]:
    for first in range(0, len(index), BLOCK):
        yield index["hash"][first : first + BLOCK]


def _blocks(
    text: TokenText,
    check: ListCheck,
    end: bytes,
    is_utf8: bool,
    advance: Callable[[int], None],
    dtype: np.dtype[Any] = ITEM,
) -> Iterator[Index]:
    """The index in blocks, and the checks of `check`. `advance` receives the characters just read."""
    splitter = ItemSplitter(end)
    start = 0
    for piece in chain(text.pieces(), (None,)):
        items = [splitter.rest()] if piece is None else splitter.push(piece)
        check.add(items)
        lengths = _lengths(items, is_utf8)
        starts = start + np.cumsum(lengths + 1) - lengths - 1
        start += int(lengths.sum()) + len(items)
        alone = items
        if dtype == LABELLED:
            parts = [item.partition(TAB) for item in items]
            alone = [item for _, _, item in parts]
        is_item = np.array([bool(item) for item in alone], bool)
        block = np.empty(int(np.count_nonzero(is_item)), dtype)
        block["start"], block["length"] = starts[is_item], lengths[is_item]
        hashes = b"".join(blake2b(item, digest_size=8).digest() for item in alone if item)
        block["hash"] = np.frombuffer(hashes, "<u8")
        if dtype == LABELLED:
            of_items = [label for label, _, item in parts if item]
            block["label"] = [check.labels[label] for label in of_items]
            block["skip"] = _lengths(of_items, is_utf8) + 1
        yield block
        advance(int(lengths.sum()) + len(items))
    check.finish()


def _lengths(texts: list[bytes], is_utf8: bool) -> npt.NDArray[np.int64]:
    return np.array([len(text.decode()) if is_utf8 else len(text) for text in texts], np.int64)


def _open(path: str, dtype: np.dtype[Any]) -> Index:
    """Errors: OSError; ValueError for a file of another size than that of an index."""
    if os.path.getsize(path) <= _HELD:
        return np.fromfile(path, np.uint8).view(dtype)
    return np.memmap(path, dtype, "r")


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
        if index.dtype == LABELLED and not (
            np.all((block["label"] >= 0) & (block["label"] < MAX_LABELS))
            and np.all((block["skip"] > 1) & (block["skip"] < lengths))
        ):
            return False
    return len(index) > 1
