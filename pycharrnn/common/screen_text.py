"""Incremental decoding of UTF-8 for the screen."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_Piece = TypeVar("_Piece")


class ScreenText:
    """Decodes UTF-8 piece by piece. A character may have several pieces if a model reads bytes.

    Example:
        >>> text = ScreenText()
        >>> [text.push(piece) for piece in (b"a", b"\\xc3", b"\\xa9", b"\\xe2", b"b")]
        [[('a', 1)], [], [('\u00e9', 2)], [], [('\ufffd', 1), ('b', 1)]]
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._incomplete = 0  # pieces of an incomplete character

    def push(self, piece: bytes) -> list[tuple[str, int]]:
        """The characters that a non-empty piece completes: (text, number of pieces). Invalid UTF-8 is U+FFFD."""
        text = self._decoder.decode(piece)
        if not text:
            self._incomplete += 1
            return []
        before, self._incomplete = self._incomplete, 0
        if self._decoder.getstate()[0]:  # the earlier pieces were invalid, and this one begins a character
            self._incomplete = 1
            return [(text, before)]
        if before and len(text) > 1:  # the earlier pieces were invalid, and this one is a character
            return [(text[:-1], before), (text[-1], 1)]
        return [(text, before + 1)]

    def end(self) -> list[tuple[str, int]]:
        """As push, at the end of the text; an incomplete character is U+FFFD."""
        before, self._incomplete = self._incomplete, 0
        text = self._decoder.decode(b"", final=True)
        return [(text, before)] if before else []


def completed(shown: list[tuple[str, int]], waiting: list[_Piece]) -> Iterator[tuple[str, list[_Piece]]]:
    """(text, its pieces) of each complete character; the pieces are removed from `waiting`.

    `shown`: from ScreenText.push or end. `waiting`: one entry for each pushed piece that is not shown yet.
    """
    for text, count in shown:
        pieces, waiting[:] = waiting[:count], waiting[count:]
        yield text, pieces
