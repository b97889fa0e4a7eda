"""Lines and columns of places in a text that is read in pieces."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import numpy.typing as npt


class Place(NamedTuple):
    """A line and a column, from 1. Columns count characters: code points, and bytes of invalid UTF-8."""

    line: int
    column: int


def places(pieces: Iterable[bytes], offsets: Collection[int]) -> dict[int, Place]:
    """Offset in bytes -> its place, for offsets where characters begin; none for those beyond the text.

    Example:
        >>> places([b"one\\ntw", b"o"], [0, 6])
        {0: Place(line=1, column=1), 6: Place(line=2, column=3)}
    """
    found: dict[int, Place] = {}
    waiting = sorted(set(offsets), reverse=True)
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    line, column, first = 1, 1, 0  # `first`: offset of the piece
    for piece in pieces:
        at = 0
        while at < len(piece) and waiting:
            end = min(waiting[-1] - first, len(piece))
            line += piece.count(b"\n", at, end)
            if (newline := piece.rfind(b"\n", at, end)) >= 0:
                decoder.reset()
                column, at = 1, newline + 1
            column += len(decoder.decode(piece[at:end]))
            at = end
            if first + at == waiting[-1]:
                # A character that is not whole here counts as bytes: it is invalid, unless the offset is inside of it.
                found[waiting.pop()] = Place(line, column + len(decoder.getstate()[0]))
        if not waiting:
            break
        first += len(piece)
    return found


def boundaries(text: bytes) -> npt.NDArray[np.int64]:
    """Where the N characters of a text begin, and its end: offsets in bytes, (N + 1,).

    A character is a code point, or a byte of invalid UTF-8.

    Example:
        >>> boundaries("aé".encode() + b"\\xff").tolist()
        [0, 1, 3, 4]
    """
    return points_and_boundaries(text)[1]


def points_and_boundaries(text: bytes) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The code points of a text, (N,), U+DC80 to U+DCFF for bytes of invalid UTF-8, and its boundaries, (N + 1,)."""
    points = np.frombuffer(text.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), "<u4")
    sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    sizes[(points >= 0xDC80) & (points <= 0xDCFF)] = 1
    return points, np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
