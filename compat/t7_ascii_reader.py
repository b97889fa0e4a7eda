"""Reads the ASCII encoding of .t7 files: decimal numbers, blanks between elements, a line for each value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from compat.t7_binary_reader import T7Reader
from compat.t7_objects import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from compat.t7_objects import Array, Table

_START = re.compile(rb"[0-8]\n")
_INTEGER = re.compile(rb"\s*([-+]?[0-9]{1,20})(?![-+.\w])\n?")
_REAL = re.compile(rb"\s*([-+.\w]{1,64})(?![-+.\w])\n?")
_BLANKS = re.compile(rb"\s*")
_PIECE = 1 << 16  # bytes that are split into words at a time


def is_ascii(content: bytes | bytearray) -> bool:
    """Whether `content` begins with the type number of an object on its own line."""
    return _START.match(content) is not None


class AsciiT7Reader(T7Reader):
    smallest_entry = 4  # two one-digit types, a line each

    @property
    def dialect(self) -> Dialect:
        return Dialect("ascii")

    def at_end(self) -> bool:
        blanks = _BLANKS.match(self.content, self.position)
        return blanks is not None and blanks.end() == len(self.content)

    def _word(self, pattern: re.Pattern[bytes]) -> bytes:
        """The next word, which must match `pattern`; skips the line end after it. Errors: T7Error."""
        match = pattern.match(self.content, self.position)
        if not match:
            raise self.early_end("a number expected")
        self.position = match.end()
        return match[1]

    def _words(self, most: int) -> list[bytes]:
        """The next words, one to `most`; after `most`, also the line end. Errors: T7Error if none follows."""
        piece = bytes(self.content[self.position : self.position + _PIECE])
        if len(piece) == _PIECE:  # it may end within a word
            piece = piece[: max(piece.rfind(b" "), piece.rfind(b"\n"), 0)]
        words = piece.split(None, most)
        if len(words) > most:
            piece = piece[: len(piece) - len(words.pop())].rstrip()
        if not words:
            raise self.early_end("a number expected")
        self.position += len(piece)
        if len(words) == most:
            self._end_line(most)
        return words

    def _end_line(self, n: int) -> None:
        """Skip the line end after n values; no values have none."""
        if n and self.content[self.position : self.position + 1] == b"\n":
            self.position += 1

    def read_int(self) -> int:
        value = int(self._word(_INTEGER))
        if not -(1 << 63) <= value < 1 << 63:
            raise self.fault("a whole number beyond 64 bits before")
        return value

    def read_long_array(self, n: int) -> list[int]:
        return [self.read_int() for _ in range(n)]

    def read_double(self) -> float:
        word = self._word(_REAL)
        try:
            return float(word)
        except ValueError:
            raise self.fault("a number expected before") from None

    def read_string(self, disable_utf8: bool = True) -> bytes:
        text = super().read_string()
        self._end_line(len(text))
        return text

    def _read_numbers(self, table: Table, count: int) -> int:
        return 0  # entries of two numbers have no fixed size here

    def read_array(self, dtype: np.dtype[Any], n: int) -> Array:
        if dtype.itemsize == 1:  # raw bytes
            start = self._take(n)
            self._charge(n)
            self._end_line(n)
            stored: Array = np.frombuffer(self.content, dtype, n, start).copy()
            return stored
        if not 0 <= n <= (len(self.content) - self.position + 1) // 2:
            raise self.early_end(f"{n} numbers wanted")
        self._charge(n * dtype.itemsize)
        array: Array = np.empty(n, dtype)
        filled = 0
        number: Callable[[bytes], float] = float if dtype.kind == "f" else int
        limits = None if dtype.kind == "f" else np.iinfo(dtype)
        while filled < n:
            words = self._words(n - filled)
            try:
                numbers = list(map(number, words))
                if limits and not limits.min <= min(numbers) <= max(numbers) <= limits.max:
                    raise OverflowError  # as NumPy does, but only from 2.0 on
                array[filled : filled + len(words)] = numbers
            except (ValueError, OverflowError):
                raise self.fault(f"an array of {dtype} with something else in it before") from None
            filled += len(words)
        return array
