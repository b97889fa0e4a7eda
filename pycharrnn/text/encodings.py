"""What a character is: a byte, or with -encoding utf8 a code point. Texts of both, numbered piece by piece.

Source: text_to_tensor of util/CharSplitLMMinibatchLoader.lua for bytes; code points are not char-rnn's.
"""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from compat import T7Error
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy.typing as npt

    Numbers: TypeAlias = npt.NDArray[np.integer[Any]]  # of characters: uint8 for bytes, int32 for code points

_PIECE = 1 << 22  # bytes of text in memory at a time
_UTF8_PIECE = 1 << 20  # the same for UTF-8, where decoding may take a dozen bytes of memory for each byte
_CODE_POINTS = 0x110000  # all that Unicode has


class Encoding(ABC):
    """How a text is divided into characters, and how the cache stores their numbers.

    Attributes:
        vocab_name, data_name: the names of the two files of the cache.
        kind: the Torch7 type of the stored numbers, without "Tensor" or "Storage".
    """

    vocab_name: str
    data_name: str
    kind: bytes

    @abstractmethod
    def survey(self, path: str, advance: Callable[[int], None]) -> tuple[list[bytes], int]:
        """Read a text once: its distinct characters in the order of their bytes, and its length in characters.

        Args:
            advance: called with the number of bytes that have just been read.

        Errors: OSError; UserError for a text that is not in this encoding.
        """

    @abstractmethod
    def numbered(self, path: str, characters: list[bytes], advance: Callable[[int], None]) -> Iterator[Numbers]:
        """The text as it is stored: the number of each character, piece by piece.

        Args:
            characters: all that the text has; the first of them gets the number 1.
            advance: as for survey.

        Errors: as survey's.
        """

    @abstractmethod
    def stored(self, number: int) -> int:
        """How the cache stores a character's number."""

    @abstractmethod
    def from_zero(self, stored: Numbers) -> Numbers:
        """Stored numbers, which count from 1, as numbers that count from 0, of the same type."""

    @abstractmethod
    def is_character(self, character: bytes) -> bool:
        """Whether these bytes are exactly one character."""


class _Bytes(Encoding):
    """Characters are bytes. Their numbers are a ByteTensor, which stores 256 as 0, as in the original."""

    vocab_name, data_name, kind = "vocab.t7", "data.t7", b"torch.Byte"

    def survey(self, path: str, advance: Callable[[int], None]) -> tuple[list[bytes], int]:
        characters, length = b"", 0
        for piece in _pieces(path, _PIECE, advance):
            new = piece.translate(None, characters)  # without those already found: much faster than counting every byte
            if new:
                characters = bytes(sorted({*characters, *new}))
            length += len(piece)
        return [bytes([c]) for c in characters], length

    def numbered(self, path: str, characters: list[bytes], advance: Callable[[int], None]) -> Iterator[Numbers]:
        stored = bytearray(256)
        for number, character in enumerate(characters, 1):
            stored[character[0]] = self.stored(number)
        for piece in _pieces(path, _PIECE, advance):
            yield np.frombuffer(piece.translate(stored), np.uint8)

    def stored(self, number: int) -> int:
        return number % 256

    def from_zero(self, stored: Numbers) -> Numbers:
        numbers: Numbers = stored - np.uint8(1)  # 0, which stands for 256, wraps round to 255
        return numbers

    def is_character(self, character: bytes) -> bool:
        return len(character) == 1


class _Utf8(Encoding):
    """Characters are code points, each written as its bytes in UTF-8. Their numbers are an IntTensor."""

    vocab_name, data_name, kind = "vocab_utf8.t7", "data_utf8.t7", b"torch.Int"

    def survey(self, path: str, advance: Callable[[int], None]) -> tuple[list[bytes], int]:
        seen = np.zeros(_CODE_POINTS, bool)
        length = 0
        for points in _code_points(path, advance):
            seen[points] = True
            length += len(points)
        return [chr(point).encode() for point in np.flatnonzero(seen)], length  # the order of their bytes as well

    def numbered(self, path: str, characters: list[bytes], advance: Callable[[int], None]) -> Iterator[Numbers]:
        numbers = np.zeros(_CODE_POINTS, np.int32)
        numbers[[ord(c.decode()) for c in characters]] = np.arange(1, len(characters) + 1)
        for points in _code_points(path, advance):
            yield numbers[points]

    def stored(self, number: int) -> int:
        return number

    def from_zero(self, stored: Numbers) -> Numbers:
        numbers: Numbers = stored - np.int32(1)
        return numbers

    def is_character(self, character: bytes) -> bool:
        try:
            return len(character.decode()) == 1
        except UnicodeDecodeError:
            return False


BYTES, UTF8 = _Bytes(), _Utf8()
ENCODINGS: dict[str, Encoding] = {"bytes": BYTES, "utf8": UTF8}  # by the value of -encoding


def of_numbers(dtype: np.dtype[Any]) -> Encoding:
    """The encoding whose characters are stored as numbers of this type."""
    return BYTES if dtype == np.uint8 else UTF8


def from_zero(stored: Numbers, vocab_size: int) -> Numbers:
    """Numbers as the cache stores them, as numbers from 0 to vocab_size - 1, of the same type.

    Errors: T7Error for a number that belongs to no character of the vocabulary.
    """
    numbers = of_numbers(stored.dtype).from_zero(stored)
    unsigned = numbers.view(f"u{numbers.itemsize}")  # here a negative number is a very large one
    if len(numbers) and int(unsigned.max()) >= vocab_size:
        wrong = int(numbers[unsigned.argmax()]) + 1
        raise T7Error(f"it holds character number {wrong}, the vocabulary numbers {vocab_size}")
    return numbers


def _pieces(path: str, size: int, advance: Callable[[int], None]) -> Iterator[bytes]:
    """A file in pieces of `size` bytes; `advance` is told of each piece after it has been used."""
    with open(path, "rb") as f:
        while piece := f.read(size):
            yield piece
            advance(len(piece))


def _code_points(path: str, advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.uint32]]:
    """The code points of a text in pieces. One whose bytes lie in two pieces of the file comes with the second.

    Errors: OSError; UserError with the offset of the first byte that is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0  # of the first byte that is not decoded yet
    pieces = _pieces(path, _UTF8_PIECE, advance)
    while True:
        piece = next(pieces, b"")
        waiting = len(decoder.getstate()[0])
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as e:
            raise UserError(
                f"{path} is not UTF-8 at offset {offset + e.start} (byte 0x{e.object[e.start]:02x}): convert it, or use"
                " -encoding bytes."
            ) from None
        if not piece:
            return
        offset += waiting + len(piece) - len(decoder.getstate()[0])
        yield np.frombuffer(text.encode("utf-32-le"), "<u4")
