"""What a model reads before it samples: a primetext, or the beginning of a line or an item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.vocabulary import characters_by_id
from pycharrnn.checkpoints import checkpoint_facts
from pycharrnn.common.errors import UserError, flag, wordings
from pycharrnn.sampling import tokenizer
from pycharrnn.sampling.code_points import code_point_at
from pycharrnn.sampling.unknown_characters import describe_all_unknown, describe_and_advise

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.tokenizer import TokenizedText


def primetext_characters(
    primetext: bytes, vocab: dict[bytes, int], option: str = "primetext", ignorable: bool = True
) -> list[bytes]:
    """As encode_primetext, without the token ids."""
    return encode_primetext(primetext, vocab, option, ignorable).characters


def encode_primetext(
    primetext: bytes, vocab: dict[bytes, int], option: str = "primetext", ignorable: bool = True
) -> TokenizedText:
    """Encode `primetext`. Errors: UserError that names the characters that `vocab` lacks, and the `option`.

    The message names -ignore_bad_primetext if the caller has that option, and is `ignorable`.
    """
    encoded = tokenizer.encode(primetext, vocab)
    if not encoded.known.all():
        unknown = [position for position, character in tokenizer.tokenize(primetext, vocab) if character is None]
        described, advice = describe_and_advise(primetext, unknown, vocab)
        if ignorable:
            advice += f", or use {wordings('-ignore_bad_primetext 1', 'ignore_bad_primetext=True')}"
        raise UserError(f"{flag(option)} has {described}: {advice}.")
    return encoded


def without_unknown(text: bytes, vocab: dict[bytes, int]) -> tuple[bytes, str]:
    """`text` without what `vocab` lacks, and the sentence part of describe_all_unknown about it; "" = nothing.

    Drops all bytes of a UTF-8 character if `vocab` lacks one of them, since the rest would be invalid UTF-8.
    """
    found = list(tokenizer.tokenize(text, vocab))
    dropped = {k for position, character in found if character is None for k in code_point_at(text, position)}
    kept = b"".join(character for position, character in found if character and position not in dropped)
    unknown = [position for position, character in found if character is None]
    return kept, describe_all_unknown(text, unknown, vocab) if unknown else ""


def line_start(loaded: Checkpoint) -> list[bytes]:
    """The characters that a model reads, but doesn't show, before a text without a primetext: a newline.

    So the text begins as a line does; that of a model of items begins with an item, see item_start. None for a model of
    -data_dir or a Lua program, which begins as sample.lua does, nor for a vocabulary without a newline.
    """
    if loaded.network.end_id is not None:
        return item_start(loaded)
    return [b"\n"] if checkpoint_facts.is_from_texts(loaded) and b"\n" in loaded.vocab else []


def item_start(loaded: Checkpoint) -> list[bytes]:
    """The end character, which a model of items reads before its first item; [] for a model of a text."""
    end = loaded.network.end_id
    return [] if end is None else [characters_by_id(loaded.vocab)[end]]
