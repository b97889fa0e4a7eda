"""Reads a file in pieces, so that a text of any size takes little memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 20  # bytes in memory at a time


def file_pieces(path: str) -> Iterator[bytes]:
    """The bytes of a file. Errors: OSError."""
    with open(path, "rb") as f:
        yield from iter(lambda: f.read(_PIECE), b"")
