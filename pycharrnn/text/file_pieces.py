"""Reads a file in pieces, so that a text of any size takes little memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE = 1 << 20  # bytes in memory at a time; decoding UTF-8 may take a dozen bytes of memory for each


def file_pieces(path: str, advance: Callable[[int], None] = lambda done: None) -> Iterator[bytes]:
    """The bytes of a file. `advance` receives the number of bytes of each piece after its use. Errors: OSError."""
    with open(path, "rb") as f:
        while piece := f.read(_PIECE):
            yield piece
            advance(len(piece))
