"""Reads, checks and writes the cache beside input.txt: two .t7 files, the vocabulary and the text as token ids.

The files of -encoding bytes are those of the Lua program. A text is written and checked piece by piece, so it may be
larger than memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from compat import Storage, T7Error, Table, Tensor, TensorFile, load_t7, save_t7
from compat.vocabulary import vocabulary_of
from pycharrnn.common import regular_files
from pycharrnn.common.progress import bar
from pycharrnn.text.encodings import Encoding, token_ids

if TYPE_CHECKING:
    from pycharrnn.text.encodings import TokenIds

_CHECKED = 1 << 17  # ids checked at a time: they fit in a processor's cache


def save_vocabulary(path: str, characters: Iterable[bytes]) -> None:
    """Write the table character -> id from 1. Errors: OSError, also for a link or a pipe, which may be a stranger's."""
    regular_files.check(path)
    save_t7(path, vocabulary_of(characters))


def load_vocabulary(path: str, encoding: Encoding) -> dict[bytes, int]:
    """Character -> id from 1, as in the file. Errors: OSError; T7Error unless the ids follow the order of the bytes."""
    name = os.path.basename(path)
    try:
        vocab = load_t7(path)
    except T7Error as e:
        raise type(e)(f"{name}: {e}") from e
    if not isinstance(vocab, Table) or not all(isinstance(c, bytes) and encoding.is_character(c) for c in vocab):
        raise T7Error(f"{name} holds other things than characters")
    if [number for _, number in sorted(vocab.items())] != list(range(1, len(vocab) + 1)):
        raise T7Error(f"the characters of {name} are not numbered in order")
    return dict(vocab)


def save_text(path: str, encoding: Encoding, length: int, blocks: Callable[[], Iterator[TokenIds]]) -> None:
    """Write a text of `length` characters, whose stored ids `blocks` yields. Errors: as save_vocabulary."""
    regular_files.check(path)
    storage = _Streamed(encoding.kind, length, blocks)
    save_t7(path, Tensor(encoding.kind + b"Tensor", storage, (length,)))


def load_text(
    path: str, encoding: Encoding, vocab: dict[bytes, int], input_file: str | None = None, progress: int = 0
) -> TensorFile:
    """Open an encoded text, and check that every id is in `vocab`, character -> id from 1 in the order of their bytes.

    `input_file`: the text that it must encode; None: any. Errors: OSError; T7Error for a file with other content.
    """
    name = os.path.basename(path)
    characters = sorted(vocab)
    text = None
    try:
        text = TensorFile(path)
        if text.typename != encoding.kind + b"Tensor":
            raise T7Error("it holds no encoded text")
        with bar(f"checking {name}", len(text), progress) as advance, open(input_file or os.devnull, "rb") as f:
            for block in text.blocks(_CHECKED):
                ids = token_ids(block, len(vocab))
                if input_file is not None:
                    expected = encoding.decode(ids, characters)
                    if f.read(len(expected)) != expected:
                        raise T7Error("it holds another text")
                advance(len(ids))
            if f.read(1):
                raise T7Error("it holds a part of the text")
    except T7Error as e:
        if text:
            text.close()  # before the cache is rewritten; the exception may keep this object alive
        raise type(e)(f"{name}: {e}") from e
    return text


class _Streamed(Storage):
    """A storage whose numbers are made block by block while it is written, so that memory holds one block."""

    def __init__(self, kind: bytes, length: int, blocks: Callable[[], Iterator[TokenIds]]):
        super().__init__(kind + b"Storage", np.empty(0))
        self._length, self._blocks = length, blocks

    def __len__(self) -> int:
        return self._length

    def blocks(self) -> Iterator[TokenIds]:
        return self._blocks()
