"""-encoding: characters as bytes or as UTF-8 code points, encoded as the token ids that the cache stores.

The cache stores ids from 1, as Lua does; everything else counts from 0.
Source: text_to_tensor of util/CharSplitLMMinibatchLoader.lua for bytes; code points are not char-rnn's.
"""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compat import T7Error

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy.typing as npt

    TokenIds: TypeAlias = npt.NDArray[np.integer[Any]]  # uint8 for bytes, int32 for code points

CODE_POINTS = 0x110000  # of Unicode


class Encoding(ABC):
    """How a text is divided into characters, and how the cache stores their token ids.

    Attributes:
        name: the value of -encoding. vocab_name, data_name: names of the two cache files.
        kind: Torch7 type of the stored ids, without "Tensor" or "Storage".
    """

    name: str
    vocab_name: str
    data_name: str
    kind: bytes

    @abstractmethod
    def encode(self, pieces: Iterable[bytes], characters: Sequence[bytes]) -> Iterator[TokenIds]:
        """The stored ids of a text in pieces: 1 for the first of `characters`, 0 for a character that is none of them.

        Errors: InvalidUtf8; those of `pieces`.
        """

    @abstractmethod
    def decode(self, token_ids: TokenIds, characters: Sequence[bytes]) -> bytes:
        """The text of ids that count from 0."""

    @abstractmethod
    def stored_id(self, number: int) -> int:
        """The stored form of an id that counts from 1."""

    @abstractmethod
    def from_stored(self, stored: TokenIds) -> TokenIds:
        """Stored ids as ids from 0, of the same dtype."""

    @abstractmethod
    def is_character(self, character: bytes) -> bool:
        """Whether the bytes are exactly one character."""


class _Bytes(Encoding):
    """Bytes. Their ids are a ByteTensor, which stores 256 as 0, as in the original."""

    name, vocab_name, data_name, kind = "bytes", "vocab.t7", "data.t7", b"torch.Byte"

    def encode(self, pieces: Iterable[bytes], characters: Sequence[bytes]) -> Iterator[TokenIds]:
        table = bytearray(256)
        for number, character in enumerate(characters, 1):
            table[character[0]] = self.stored_id(number)
        for piece in pieces:
            yield np.frombuffer(piece.translate(table), np.uint8)

    def decode(self, token_ids: TokenIds, characters: Sequence[bytes]) -> bytes:
        return token_ids.tobytes().translate(b"".join(characters).ljust(256, b"\0"))

    def stored_id(self, number: int) -> int:
        return number % 256

    def from_stored(self, stored: TokenIds) -> TokenIds:
        token_ids: TokenIds = stored - np.uint8(1)  # 0, which stands for 256, wraps round to 255
        return token_ids

    def is_character(self, character: bytes) -> bool:
        return len(character) == 1


class _Utf8(Encoding):
    """Code points, each held as its UTF-8 bytes. Their ids are an IntTensor."""

    name, vocab_name, data_name, kind = "utf8", "vocab_utf8.t7", "data_utf8.t7", b"torch.Int"

    def encode(self, pieces: Iterable[bytes], characters: Sequence[bytes]) -> Iterator[TokenIds]:
        table = np.zeros(CODE_POINTS, np.int32)
        table[code_points(b"".join(characters).decode())] = np.arange(1, len(characters) + 1)
        decoder = Utf8Decoder()
        for piece in pieces:
            yield table[code_points(decoder.decode(piece))]
        yield table[code_points(decoder.decode(b"", final=True))]

    def decode(self, token_ids: TokenIds, characters: Sequence[bytes]) -> bytes:
        return code_points(b"".join(characters).decode())[token_ids].tobytes().decode("utf-32-le").encode()

    def stored_id(self, number: int) -> int:
        return number

    def from_stored(self, stored: TokenIds) -> TokenIds:
        token_ids: TokenIds = stored - np.int32(1)
        return token_ids

    def is_character(self, character: bytes) -> bool:
        try:
            return len(character.decode()) == 1
        except UnicodeDecodeError:
            return False


BYTES, UTF8 = _Bytes(), _Utf8()
ENCODINGS: dict[str, Encoding] = {encoding.name: encoding for encoding in (BYTES, UTF8)}


def encoding_of_dtype(dtype: np.dtype[Any]) -> Encoding:
    """The encoding that stores ids with this dtype."""
    return BYTES if dtype == np.uint8 else UTF8


def token_ids(stored: TokenIds, vocab_size: int) -> TokenIds:
    """Stored ids as ids from 0 to vocab_size - 1, of the same dtype. Errors: T7Error for an id out of range."""
    found = encoding_of_dtype(stored.dtype).from_stored(stored)
    unsigned = found.view(f"u{found.itemsize}")  # a negative id is a very large one
    if len(found) and int(unsigned.max()) >= vocab_size:
        wrong = int(found[unsigned.argmax()]) + 1
        raise T7Error(f"it holds token id {wrong}, the vocabulary ends at {vocab_size}")
    return found


class InvalidUtf8(ValueError):
    """Invalid UTF-8 in a text; `offset`: of the first invalid byte."""

    def __init__(self, offset: int):
        super().__init__(f"invalid UTF-8 at offset {offset}")
        self.offset = offset


class Utf8Decoder:
    """Decodes UTF-8 piece by piece; a code point whose bytes lie in two pieces belongs to the second."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._offset = 0  # of the first byte that is not decoded yet

    def decode(self, piece: bytes, final: bool = False) -> str:
        """The text that ends in `piece`. Errors: InvalidUtf8."""
        waiting = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(piece, final)
        except UnicodeDecodeError as e:
            raise InvalidUtf8(self._offset + e.start) from None
        self._offset += waiting + len(piece) - len(self._decoder.getstate()[0])
        return text


def invalid_utf8_at(pieces: Iterable[bytes]) -> int | None:
    """The offset of the first invalid byte of a text in pieces; None for valid UTF-8. Errors: those of `pieces`."""
    decoder = Utf8Decoder()
    try:
        for piece in pieces:
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except InvalidUtf8 as e:
        return e.offset
    return None


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The code points of a text, uint32 (T,). Errors: UnicodeEncodeError for a surrogate."""
    return np.frombuffer(text.encode("utf-32-le"), "<u4")
