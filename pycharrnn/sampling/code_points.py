"""The code points to which characters of a text belong, which are its bytes or its code points."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.text.places import points_and_boundaries

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_BLOCK = 1 << 16  # characters


def code_point_length(text: bytes, position: int) -> int:
    """The length in bytes of the UTF-8 character at a position; 1 for invalid UTF-8."""
    for length in (2, 3, 4):
        with contextlib.suppress(UnicodeDecodeError):
            if len(text[position : position + length].decode()) == 1:
                return min(length, len(text) - position)
    return 1


def code_point_at(text: bytes, position: int) -> range:
    """Where the UTF-8 character that has the byte at a position lies; that byte alone for invalid UTF-8."""
    for start in range(position, max(position - 4, -1), -1):
        stop = start + code_point_length(text, start)
        if text[start] & 0xC0 != 0x80:
            return range(start, stop) if position < stop else range(position, position + 1)
    return range(position, position + 1)


def code_points_with(characters: Sequence[bytes], chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """The code points of a text to which the chosen ones of its characters belong, in order, each once.

    Args:
        characters: of the text, (N,): its bytes or its code points. chosen: which of them, bool, (N,).

    Returns: U+DC80 to U+DCFF for a byte of invalid UTF-8.
    """
    found = [np.empty(0, np.uint32)]
    first = 0
    while first < len(characters):  # in blocks, which take much more memory than the text
        last = first + _BLOCK
        while last < len(characters) and characters[last][0] & 0xC0 == 0x80:  # a block ends with a whole code point
            last += 1
        block, chosen_in_block = characters[first:last], chosen[first:last]
        if chosen_in_block.any():
            points, at = points_and_boundaries(b"".join(block))
            chosen_bytes = np.repeat(chosen_in_block, [len(character) for character in block])
            found.append(points[np.logical_or.reduceat(chosen_bytes, at[:-1])])
        first = last
    return np.concatenate(found)


def unknown_code_points(characters: Sequence[bytes], known: npt.NDArray[np.bool_]) -> Counter[bytes]:
    """Count the code points of a text, as bytes of UTF-8, that have an unknown byte.

    Args:
        characters: of the text, (N,). known: whether the vocabulary has each, bool, (N,).

    Returns: code point -> count; a byte of invalid UTF-8 counts as one.
    """
    counts = Counter(code_points_with(characters, ~known).tolist())
    return Counter({chr(point).encode("utf-8", "surrogateescape"): count for point, count in counts.items()})
