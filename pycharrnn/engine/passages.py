"""An index of the passages of a text, and what may not follow in a stream that must not copy them (-max_copy).

A passage has N+1 characters. In an exact index the text itself answers. In a filter, for longer texts, a passage sets
BITS_OF_CONTEXT + BITS_OF_PASSAGE bits of a block: it may forbid a little too much, and never too little.

Where the characters are the bytes of UTF-8, the continuation bytes of a character may always follow its first byte, so
a stream may copy N bytes and the rest of the last character. That is never more than N code points. Once a byte has
been forbidden, only valid UTF-8 may follow.

kernel_passages.h defines both; array_passages.py computes the same without the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.engine import kernel_library
from pycharrnn.engine.array_passages import ArrayFilter, ArrayIndex
from pycharrnn.engine.kernel_passages import KernelFilter, KernelIndex
from pycharrnn.engine.kernel_structures import FILTER_WORDS
from pycharrnn.engine.passage_index import PassageFilter, PassageRules, Passages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

MAX_EXACT = 1 << 24  # characters of a text in an exact index, which takes about 10 bytes for each
MAX_EXACT_N = 1000  # passages in an exact index are compared, which takes a time in proportion to N
CHARACTERS_PER_BLOCK = 32  # so a filter takes 2 bytes for each character of the text


def index(
    pieces: Iterable[npt.NDArray[np.int32]], length: int, rules: PassageRules, max_exact: int = MAX_EXACT
) -> Passages:
    """Index a text of `length` characters: exactly, or a longer one, or for a large N, by a PassageFilter.

    Args:
        pieces: its token ids, from 0 to vocab_size - 1; -1 for a character that is in no passage.
        max_exact: the longest text for which the index is exact.

    Errors: ValueError for other token ids, or another length.
    """
    if length <= max_exact and rules.N <= MAX_EXACT_N:
        text = np.concatenate([np.empty(0, np.int32), *(_checked(piece, rules.vocab_size) for piece in pieces)])
        if len(text) != length:
            raise ValueError(f"the text has {len(text)} characters, not {length}")
        return _exact_index(rules, text)
    found = from_filter(np.zeros(filter_shape(length), np.uint64), rules)
    for piece in _overlapping(pieces, rules.N):
        found.add(_checked(piece, rules.vocab_size))
    return found


def _exact_index(rules: PassageRules, text: npt.NDArray[np.int32]) -> Passages:
    """An exact index in C, or in NumPy without the kernel."""
    return KernelIndex(rules, text) if kernel_library.library() else ArrayIndex(rules, text)


def from_filter(words: npt.NDArray[np.uint64], rules: PassageRules) -> PassageFilter:
    """The index of a text from the words of its filter; with words of zeros, an empty one. In C or NumPy."""
    return KernelFilter(rules, words) if kernel_library.library() else ArrayFilter(rules, words)


def filter_shape(length: int) -> tuple[int, int]:
    """The shape of the filter of a text of so many characters."""
    return max(1, -(-length // CHARACTERS_PER_BLOCK)), FILTER_WORDS


def _checked(piece: npt.NDArray[np.int32], vocab_size: int) -> npt.NDArray[np.int32]:
    """Errors: ValueError for ids out of range."""
    if len(piece) and not (int(piece.min()) >= -1 and int(piece.max()) < vocab_size):
        raise ValueError(f"the text has token ids beyond -1 to {vocab_size - 1}")
    return np.ascontiguousarray(piece, np.int32)


def _overlapping(pieces: Iterable[npt.NDArray[np.int32]], N: int) -> Iterator[npt.NDArray[np.int32]]:
    """The pieces, each after the last N characters before it."""
    before = np.empty(0, np.int32)
    for piece in pieces:
        joined = np.concatenate([before, piece])
        yield joined
        before = joined[-N:]
