"""Encodes text for a model's vocabulary and decodes token ids."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

from compat.vocabulary import characters_by_id
from pycharrnn.common.errors import UserError, in_words_of_a_program
from pycharrnn.library.arguments import token_ids
from pycharrnn.library.generated import GeneratedText
from pycharrnn.sampling.primetext import encode_primetext, without_unknown

if TYPE_CHECKING:
    from pycharrnn.sampling.tokenizer import TokenizedText


def utf8(text: object, name: str) -> bytes:
    """Encode a str as UTF-8; bytes stay as they are. `name` is the argument's, for messages.

    Errors: TypeError; UserError for a surrogate that os.fsdecode does not produce.
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


def encode(text: bytes, vocab: dict[bytes, int], name: str, ignore_bad: int | None = None) -> TokenizedText:
    """The characters of a text and their token ids; `ignore_bad` leaves out others, None = not an option.

    Errors: UserError for a character that the vocabulary lacks, with the argument's `name`.
    """
    if ignore_bad:
        text, _ = without_unknown(text, vocab)
    with in_words_of_a_program(primetext=name):
        return encode_primetext(text, vocab, ignorable=ignore_bad is not None)


def decode(ids: object, vocab: dict[bytes, int]) -> str:
    """The text of token ids, with U+FFFD for invalid UTF-8. Errors: TypeError; IndexError for an unknown id."""
    found = token_ids(ids)
    wrong = found[(found < 0) | (found >= len(vocab))]
    if wrong.size:
        raise IndexError(f"token_ids hold {wrong[0]}, but the token ids are 0 to {len(vocab) - 1}")
    characters = characters_by_id(vocab)
    return b"".join(characters[k] for k in found.tolist()).decode("utf-8", "replace")
