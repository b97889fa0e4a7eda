"""Divides a text into the characters of a vocabulary.

A character is one byte, as in char-rnn, or a UTF-8 character, as in torch-rnn and with `train -encoding utf8`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pycharrnn.sampling.code_points import code_point_length

if TYPE_CHECKING:
    import numpy.typing as npt

_BYTES = [bytes([byte]) for byte in range(256)]


def tokenize(text: bytes, vocab: dict[bytes, int], code_points: bool = False) -> Iterator[tuple[int, bytes | None]]:
    """Divide `text` into characters of `vocab`; where several match, the longest is taken.

    The work per byte is bounded by the longest character; a checkpoint's reader allows 64 bytes.

    Args:
        code_points: skip a whole UTF-8 character that `vocab` lacks, instead of one byte.

    Yields: (position, character), or (position, None) for what `vocab` lacks.

    Example:
        >>> list(tokenize(b"aba~", {b"a": 1, b"ab": 2}))
        [(0, b'ab'), (2, b'a'), (3, None)]
    """
    lengths = _lengths_by_first_byte(vocab)
    position = 0
    while position < len(text):
        for length in lengths.get(text[position], ()):
            character = text[position : position + length]
            if character in vocab:
                yield position, character
                position += length
                break
        else:
            yield position, None
            position += code_point_length(text, position) if code_points else 1


class TokenizedText(NamedTuple):
    """The characters of a text, (N,), and their token ids, int64 (N,), -1 for a character that the vocabulary lacks."""

    characters: list[bytes]
    token_ids: npt.NDArray[np.int64]

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether the vocabulary has each character, (N,)."""
        known: npt.NDArray[np.bool_] = self.token_ids >= 0
        return known


def encode(text: bytes, vocab: dict[bytes, int], code_points: bool = False) -> TokenizedText:
    """Divide a text into characters of `vocab`. What `vocab` lacks becomes bytes; with `code_points`, code points."""
    if not code_points and all(len(character) == 1 for character in vocab):
        by_byte = np.array([vocab.get(byte, 0) - 1 for byte in _BYTES], np.int64)
        return TokenizedText([_BYTES[byte] for byte in text], by_byte[np.frombuffer(text, np.uint8)])
    characters: list[bytes] = []
    token_ids: list[int] = []
    for position, character in tokenize(text, vocab, code_points):
        if character is None:
            length = code_point_length(text, position) if code_points else 1
            characters.append(text[position : position + length])
            token_ids.append(-1)
        else:
            characters.append(character)
            token_ids.append(vocab[character] - 1)
    return TokenizedText(characters, np.array(token_ids, np.int64))


def _lengths_by_first_byte(vocab: dict[bytes, int]) -> dict[int, list[int]]:
    """First byte -> lengths of the characters that begin with it, in descending order."""
    lengths: dict[int, set[int]] = {}
    for character in vocab:
        lengths.setdefault(character[0], set()).add(len(character))
    return {byte: sorted(of_byte, reverse=True) for byte, of_byte in lengths.items()}
