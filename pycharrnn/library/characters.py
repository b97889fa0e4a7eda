"""Texts of a program as characters of a model's vocabulary, and back."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

from compat.vocabulary import characters_by_id
from pycharrnn.common.errors import UserError
from pycharrnn.library.arguments import token_ids
from pycharrnn.library.generated import GeneratedText
from pycharrnn.library.keywords import in_words_of_a_program
from pycharrnn.sampling.tokenizer import primetext_characters, without_unknown

if TYPE_CHECKING:
    from collections.abc import Iterable


def utf8(text: object, name: str) -> bytes:
    """The bytes of a text; those of a str are UTF-8, in which os.fsdecode's surrogates stand for bytes that are none.

    Args:
        name: of the argument, for messages.

    Errors: TypeError for what is no text; UserError for a str with half a character.
    """
    if isinstance(text, GeneratedText):
        return text.encoded
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str or bytes, not {reprlib.repr(text)}")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as e:
        raise UserError(f"{name} has {text[e.start]!r}, which is half a character: leave it out.") from None


def known_characters(text: bytes, vocab: dict[bytes, int], name: str, ignore_bad: int = 0) -> list[bytes]:
    """A text as characters of the vocabulary.

    Args:
        name: of the argument, for messages.
        ignore_bad: whether what the vocabulary lacks is left out.

    Errors: UserError for a character that the vocabulary lacks.
    """
    if ignore_bad:
        text, _ = without_unknown(text, vocab)
    with in_words_of_a_program(primetext=name):
        return primetext_characters(text, vocab)


def decode(numbers: Iterable[int], vocab: dict[bytes, int]) -> str:
    """The text of characters with these numbers, from 0; what is no UTF-8 is U+FFFD.

    Args:
        numbers: a list, an array or a tensor of one dimension.

    Errors: IndexError for a number that the vocabulary lacks.
    """
    found = token_ids(numbers)
    wrong = found[(found < 0) | (found >= len(vocab))]
    if wrong.size:
        raise IndexError(f"numbers hold {wrong[0]}, but the characters are 0 to {len(vocab) - 1}")
    characters = characters_by_id(vocab)
    return b"".join(characters[k] for k in found.tolist()).decode("utf-8", "replace")
