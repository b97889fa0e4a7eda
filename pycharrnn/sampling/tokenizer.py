"""A text divided into the characters of a model's vocabulary, which are one byte or several.

A vocabulary of bytes, char-rnn's own kind, has characters of one byte. One of UTF-8 characters (torch-rnn's, or that of
`pycharrnn train -encoding utf8`) has longer ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pycharrnn.common.errors import UserError, flag


def tokenize(text: bytes, vocab: dict[bytes, int], code_points: bool = False) -> Iterator[tuple[int, bytes | None]]:
    """Divide `text` into characters of `vocab`; where several fit, the longest is taken.

    The work for each byte is bounded by the longest character, of which the reader of checkpoints allows 64 bytes.

    Args:
        code_points: whether what `vocab` lacks is a whole UTF-8 character, where there is one, and not a byte.

    Yields: (position, character), or (position, None) where no character begins.

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


def _lengths_by_first_byte(vocab: dict[bytes, int]) -> dict[int, list[int]]:
    """First byte -> lengths of the characters that begin with it, the longest first."""
    lengths: dict[int, set[int]] = {}
    for character in vocab:
        lengths.setdefault(character[0], set()).add(len(character))
    return {byte: sorted(of_byte, reverse=True) for byte, of_byte in lengths.items()}


def primetext_characters(primetext: bytes, vocab: dict[bytes, int]) -> list[bytes]:
    """`primetext` divided into characters of `vocab`.

    Errors: UserError naming the first character (a whole one, where the text is UTF-8) that `vocab` lacks.
    """
    characters = []
    for position, character in tokenize(primetext, vocab):
        if character is None:
            raise UserError(
                f"{flag('primetext')} has {describe_unknown(primetext, position)}: leave it out, or use"
                f" {flag('ignore_bad_primetext', 1)}."
            )
        characters.append(character)
    return characters


def without_unknown(text: bytes, vocab: dict[bytes, int]) -> tuple[bytes, int]:
    """`text` without the bytes with which no character of `vocab` begins, and how many those are."""
    characters = [character for _, character in tokenize(text, vocab)]
    return b"".join(filter(None, characters)), characters.count(None)


def code_point_length(text: bytes, position: int) -> int:
    """How many bytes the UTF-8 character at a position of `text` has; 1 where there is none."""
    for length in (2, 3, 4):
        with contextlib.suppress(UnicodeDecodeError):
            if len(text[position : position + length].decode()) == 1:
                return min(length, len(text) - position)
    return 1


def describe_unknown(text: bytes, position: int) -> str:
    """In words, for a message: the unknown character at a position of `text`, a whole one where the text is UTF-8."""
    start = position
    while start > 0 and text[start] & 0xC0 == 0x80:
        start -= 1
    character = repr(text[start : start + 4].decode("utf-8", "replace")[:1])
    return f"the character {character} (byte 0x{text[position]:02x}), which the model has never seen"
