"""Describes the characters of a text that a vocabulary lacks, and advises what to do about them, for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycharrnn.common.display import is_utf8, quote_character, quote_code_point
from pycharrnn.sampling.code_points import code_point_at
from pycharrnn.sampling.tokenizer import tokenize

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterable, Sequence

_MOST_NAMED = 20  # characters in a message

# Characters that a keyboard gives for one another: a phone types U+2019 for an apostrophe. The page has the same.
_SIMILAR = ("'\u2019\u2018\u02bc", '"\u201c\u201d\u201e\u00ab\u00bb', "-\u2013\u2014\u2212\u2010\u2011")


def describe_unknown(text: bytes, position: int, vocab: Collection[bytes]) -> str:
    """A description of the unknown character at a position, for messages; a whole character in valid UTF-8.

    The byte is named too, unless the vocabulary has whole code points only.
    """
    return describe_all_unknown(text, [position], vocab)


def describe_all_unknown(text: bytes, positions: Iterable[int], vocab: Collection[bytes]) -> str:
    """As describe_unknown, for all distinct characters at some positions; at most _MOST_NAMED are named.

    Example:
        >>> describe_all_unknown(b"a~#", [1, 2], [b"a"])
        'the characters U+007E "~" and U+0023 "#", which the model has never seen'
    """
    names = [name for _, name in _all_unknown(text, positions, vocab)]
    first, *more = names
    if not more:
        return f"the character {first}, which the model has never seen"
    others = more[: _MOST_NAMED - 1]
    last = f"{len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else others.pop()
    return f"the characters {', '.join([first, *others])} and {last}, which the model has never seen"


def describe_and_advise(text: bytes, positions: Sequence[int], vocab: dict[bytes, int]) -> tuple[str, str]:
    """Describe the unknown characters of a text, and advise what to do about them, for messages.

    Args:
        positions: of all unknown characters or bytes, (N,), N >= 1.

    Returns: the description, see describe_all_unknown; the advice.
    """
    return describe_all_unknown(text, positions, vocab), advice_on_unknown(text, positions, vocab)


def advice_on_unknown(text: bytes, positions: Iterable[int], vocab: dict[bytes, int]) -> str:
    """What to do about the unknown characters at some positions, for messages.

    Example:
        >>> advice_on_unknown(b'"a', [0], {b"a": 1}), advice_on_unknown(b"b-a", [1], {"\u2013".encode(): 1})
        ('leave it out', 'write \u2013 in its place')
    """
    characters = _all_unknown(text, positions, vocab)
    if any(character == "\ufffd" for character, _ in characters) and not is_utf8(text):
        return "save the text as UTF-8, which it is not"
    is_one = len(characters) == 1
    if all(_is_known_in_lower_case(character, vocab) for character, _ in characters):
        return f"write {'it' if is_one else 'them'} in lower case"
    known = dict.fromkeys(_similar_known(character, vocab) for character, _ in characters)
    if None in known:
        return f"leave {'it' if is_one else 'them'} out"
    return f"write {' and '.join(filter(None, known))} in {'its' if is_one else 'their'} place"


def quote_most_common(unknown: Counter[bytes]) -> str:
    """The most common ones of unknown_code_points, and how many others there are, for a message."""
    named = " ".join(quote_character(character) for character, _ in unknown.most_common(_MOST_NAMED))
    others = len(unknown) - _MOST_NAMED
    return f"{named} and {others} more" if others > 0 else named


def _is_known_in_lower_case(character: str, vocab: dict[bytes, int]) -> bool:
    lower = character.lower()
    return lower != character and _is_known(lower.encode(), vocab)


def _similar_known(character: str, vocab: dict[bytes, int]) -> str | None:
    """A known character that looks like an unknown one, if there is any."""
    group = next((group for group in _SIMILAR if character in group), "")
    return next((other for other in group if other != character and _is_known(other.encode(), vocab)), None)


def _is_known(text: bytes, vocab: dict[bytes, int]) -> bool:
    return all(character is not None for _, character in tokenize(text, vocab))


def _all_unknown(text: bytes, positions: Iterable[int], vocab: Collection[bytes]) -> list[tuple[str, str]]:
    """As _unknown, of all distinct characters, and bytes of invalid UTF-8, at some positions."""
    has_high_bytes = any(len(known) == 1 and known >= b"\x80" for known in vocab)
    found: dict[str, tuple[str, str]] = {}
    for position in positions:
        character, name = _unknown(text, position, has_high_bytes)
        found.setdefault(name if character == "\ufffd" else character, (character, name))
    return list(found.values())


def _unknown(text: bytes, position: int, has_high_bytes: bool) -> tuple[str, str]:
    """The whole character at a position, U+FFFD for invalid UTF-8, and its name for messages.

    has_high_bytes: whether bytes of 0x80 and above are characters of the vocabulary.
    """
    at = code_point_at(text, position)
    character = text[at.start : at.stop].decode("utf-8", "replace")
    if character == "\ufffd" or has_high_bytes:
        quoted = repr(character)
        is_legible = character != "\ufffd" and quoted[1] != "\\"
        return character, quoted if is_legible else f"{quoted} (byte 0x{text[position]:02x})"
    return character, quote_code_point(character)
