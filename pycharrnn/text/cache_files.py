"""The two files of the cache beside input.txt: a vocabulary, and a text in the numbers of its characters.

Both are .t7 files. Those of -encoding bytes are shared with the Lua program. A text is written and checked piece by
piece, so that it may be larger than memory, and no file is believed before it has been checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from compat import Storage, T7Error, Table, Tensor, TensorFile, load_t7, save_t7
from compat.vocabulary import vocabulary_of
from pycharrnn.common.progress import bar
from pycharrnn.text.encodings import BYTES, Encoding, from_zero

if TYPE_CHECKING:
    from pycharrnn.text.encodings import Numbers

_CHECKED = 1 << 17  # numbers checked at a time: what fits in a processor's cache


def save_vocabulary(path: str, characters: Iterable[bytes]) -> None:
    """Write the table character -> number from 1. Errors: OSError."""
    save_t7(path, vocabulary_of(characters))


def load_vocabulary(path: str, encoding: Encoding) -> dict[bytes, int]:
    """Character -> number from 1, in the order of the file.

    Errors: T7Error, OSError unless the file holds characters of this encoding, numbered in the order of their bytes.
    """
    vocab = load_t7(path)
    name = os.path.basename(path)
    if not isinstance(vocab, Table) or not all(isinstance(c, bytes) and encoding.is_character(c) for c in vocab):
        raise T7Error(f"{name} holds no characters")
    if [number for _, number in sorted(vocab.items())] != list(range(1, len(vocab) + 1)):
        raise T7Error(f"the characters of {name} are not numbered in order")
    return dict(vocab)


def save_text(path: str, encoding: Encoding, length: int, pieces: Callable[[], Iterator[Numbers]]) -> None:
    """Write a text of `length` characters, in numbers as they are stored, from what `pieces` makes. Errors: OSError."""
    storage = _Streamed(encoding.kind, length, pieces)
    save_t7(path, Tensor(encoding.kind + b"Tensor", storage, (length,)))


def load_text(
    path: str, encoding: Encoding, vocab: dict[bytes, int], size: int | None = None, progress: int = 0
) -> TensorFile:
    """A numbered text, on disk, after all of it has been checked.

    Args:
        vocab: character -> number from 1, in the order of the characters' bytes.
        size: bytes that the text must have; None: any number.
        progress: whether to show a bar, as for common.progress.enabled.

    Errors: OSError; T7Error unless the file holds numbers of this vocabulary, of a text of `size` bytes.
    """
    name = os.path.basename(path)
    lengths = np.array([len(c) for c in sorted(vocab)])
    numbers, bytes_of_text = None, 0
    try:
        numbers = TensorFile(path)
        if numbers.typename != encoding.kind + b"Tensor":
            raise T7Error("it holds no numbered text")
        if encoding is BYTES and size not in (None, len(numbers)):
            raise T7Error(f"it does not hold {size} characters")
        with bar(f"checking {name}", len(numbers), progress) as advance:
            for start in range(0, len(numbers), _CHECKED):
                part = from_zero(numbers.read(start, min(start + _CHECKED, len(numbers))), len(vocab))
                if encoding is not BYTES and size is not None:
                    bytes_of_text += int(lengths[part].sum())
                advance(len(part))
        if encoding is not BYTES and size not in (None, bytes_of_text):
            raise T7Error(f"it holds {bytes_of_text} bytes of text, not {size}")
    except T7Error as e:
        if numbers:
            numbers.close()  # the cache is made anew, and what has failed may hold on to this object until then
        raise T7Error(f"{name}: {e}") from e
    return numbers


class _Streamed(Storage):
    """A storage whose numbers are made piece by piece while it is written, and never all in memory."""

    def __init__(self, kind: bytes, length: int, pieces: Callable[[], Iterator[Numbers]]):
        super().__init__(kind + b"Storage", np.empty(0))
        self._length, self._pieces = length, pieces

    def __len__(self) -> int:
        return self._length

    def blocks(self) -> Iterator[Numbers]:
        return self._pieces()
