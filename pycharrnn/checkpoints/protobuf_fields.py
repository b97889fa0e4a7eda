"""Reads the fields of a protobuf message from its bytes, without a copy and without a schema.

Source: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; the others are obsolete
_LONGEST_VARINT = 10  # bytes
_MOST_FIELDS = 1_000_000  # of all messages of a file; a model has some thousands


class FieldReader:
    """Reads the messages in a file, and limits their fields: a loop over very many tiny ones takes minutes."""

    def __init__(self) -> None:
        self._left = _MOST_FIELDS

    def fields(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """(number, value) of each field in order: integers as int, 0 to 2^64 - 1, everything else as its bytes.

        Errors: ValueError for an invalid message, and for more than a million fields in all messages so far.

        Example:
            >>> [(number, bytes(value)) for number, value in FieldReader().fields(memoryview(bytes([10, 2, 104, 105])))]
            [(1, b'hi')]
        """
        at = 0
        while at < len(message):
            tag, at = _varint(message, at)
            kind = tag & 7
            value: int | memoryview
            if kind == VARINT:
                value, at = _varint(message, at)
            elif kind in (FIXED64, BYTES, FIXED32):
                size, at = _varint(message, at) if kind == BYTES else (8 if kind == FIXED64 else 4, at)
                value = message[at : at + size]
                at += size
                if at > len(message):
                    raise ValueError("a field ends beyond its message")
            else:
                raise ValueError(f"a field of type {kind}")
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"more than {_MOST_FIELDS} fields")
            yield tag >> 3, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, the lowest first, and the position after it. Errors: ValueError."""
    value = 0
    for k, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            return value & ((1 << 64) - 1), at + k + 1
    raise ValueError("a number without an end")
