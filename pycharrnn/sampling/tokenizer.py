"""Divides a text into the characters of a vocabulary.

A character is one byte, as in char-rnn, or a UTF-8 character, as in torch-rnn and with `train -encoding utf8`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat.vocabulary import characters_by_id
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.display import is_utf8, quote_character, quote_code_point
from pycharrnn.common.errors import UserError, flag, wordings
from pycharrnn.text.places import points_and_boundaries

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.charrnn import Checkpoint

_MOST_NAMED_UNKNOWN = 20  # characters in a message
_BLOCK = 1 << 16  # characters
_BYTES = [bytes([byte]) for byte in range(256)]

# Characters that a keyboard gives for one another: a phone types U+2019 for an apostrophe. The page has the same.
_SIMILAR = ("'\u2019\u2018\u02bc", '"\u201c\u201d\u201e\u00ab\u00bb', "-\u2013\u2014\u2212\u2010\u2011")


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
    encoded = encode(primetext, vocab)
    if not encoded.known.all():
        unknown = [position for position, character in tokenize(primetext, vocab) if character is None]
        described, advice = describe_and_advise(primetext, unknown, vocab)
        if ignorable:
            advice += f", or use {wordings('-ignore_bad_primetext 1', 'ignore_bad_primetext=True')}"
        raise UserError(f"{flag(option)} has {described}: {advice}.")
    return encoded


def line_start(loaded: Checkpoint) -> list[bytes]:
    """The characters that a model reads, but doesn't show, before a text without a primetext: a newline.

    So the text begins as a line does; that of a model of items begins with an item, see item_start. None for a model of
    -data_dir or a Lua program, which begins as sample.lua does, nor for a vocabulary without a newline.
    """
    if loaded.network.end_id is not None:
        return item_start(loaded)
    return [b"\n"] if checkpoint.is_from_texts(loaded) and b"\n" in loaded.vocab else []


def item_start(loaded: Checkpoint) -> list[bytes]:
    """The end character, which a model of items reads before its first item; [] for a model of a text."""
    end = loaded.network.end_id
    return [] if end is None else [characters_by_id(loaded.vocab)[end]]


def without_unknown(text: bytes, vocab: dict[bytes, int]) -> tuple[bytes, str]:
    """`text` without what `vocab` lacks, and the sentence part of describe_all_unknown about it; "" = nothing.

    Drops all bytes of a UTF-8 character if `vocab` lacks one of them, since the rest would be invalid UTF-8.
    """
    found = list(tokenize(text, vocab))
    dropped = {k for position, character in found if character is None for k in _code_point_at(text, position)}
    kept = b"".join(character for position, character in found if character and position not in dropped)
    unknown = [position for position, character in found if character is None]
    return kept, describe_all_unknown(text, unknown, vocab) if unknown else ""


def _code_point_at(text: bytes, position: int) -> range:
    """Where the UTF-8 character that has the byte at a position lies; that byte alone for invalid UTF-8."""
    for start in range(position, max(position - 4, -1), -1):
        stop = start + code_point_length(text, start)
        if text[start] & 0xC0 != 0x80:
            return range(start, stop) if position < stop else range(position, position + 1)
    return range(position, position + 1)


def unknown_code_points(characters: Sequence[bytes], known: npt.NDArray[np.bool_]) -> Counter[bytes]:
    """Count the code points of a text, as bytes of UTF-8, that have an unknown byte.

    Args:
        characters: of the text, (N,). known: whether the vocabulary has each, bool, (N,).

    Returns: code point -> count; a byte of invalid UTF-8 counts as one.
    """
    counts = Counter(code_points_with(characters, ~known).tolist())
    return Counter({chr(point).encode("utf-8", "surrogateescape"): count for point, count in counts.items()})


def quote_most_common(unknown: Counter[bytes]) -> str:
    """The most common ones of unknown_code_points, and how many others there are, for a message."""
    named = " ".join(quote_character(character) for character, _ in unknown.most_common(_MOST_NAMED_UNKNOWN))
    others = len(unknown) - _MOST_NAMED_UNKNOWN
    return f"{named} and {others} more" if others > 0 else named


def code_points_with(characters: Sequence[bytes], chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """The code points of a text to which the chosen ones of its characters belong, in order, each once.

    Args:
        characters: of the text, (N,): its bytes or its code points. chosen: which of them, bool, (N,).

    Returns: U+DC80 to U+DCFF for a byte of invalid UTF-8.
    """
    found = [np.empty(0, np.uint32)]
    first = 0
    while first < len(characters):  # in blocks, which take much more memory than the text
        last = first + _BLOCK
        while last < len(characters) and characters[last][0] & 0xC0 == 0x80:  # a block ends with a whole code point
            last += 1
        block, chosen_in_block = characters[first:last], chosen[first:last]
        if chosen_in_block.any():
            points, at = points_and_boundaries(b"".join(block))
            chosen_bytes = np.repeat(chosen_in_block, [len(character) for character in block])
            found.append(points[np.logical_or.reduceat(chosen_bytes, at[:-1])])
        first = last
    return np.concatenate(found)


def code_point_length(text: bytes, position: int) -> int:
    """The length in bytes of the UTF-8 character at a position; 1 for invalid UTF-8."""
    for length in (2, 3, 4):
        with contextlib.suppress(UnicodeDecodeError):
            if len(text[position : position + length].decode()) == 1:
                return min(length, len(text) - position)
    return 1


def describe_unknown(text: bytes, position: int, vocab: Collection[bytes]) -> str:
    """A description of the unknown character at a position, for messages; a whole character in valid UTF-8.

    The byte is named too, unless the vocabulary has whole code points only.
    """
    return describe_all_unknown(text, [position], vocab)


def describe_all_unknown(text: bytes, positions: Iterable[int], vocab: Collection[bytes]) -> str:
    """As describe_unknown, for all distinct characters at some positions; at most _MOST_NAMED_UNKNOWN are named.

    Example:
        >>> describe_all_unknown(b"a~#", [1, 2], [b"a"])
        'the characters U+007E "~" and U+0023 "#", which the model has never seen'
    """
    names = [name for _, name in _all_unknown(text, positions, vocab)]
    first, *more = names
    if not more:
        return f"the character {first}, which the model has never seen"
    others = more[: _MOST_NAMED_UNKNOWN - 1]
    last = f"{len(names) - _MOST_NAMED_UNKNOWN} more" if len(names) > _MOST_NAMED_UNKNOWN else others.pop()
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
    at = _code_point_at(text, position)
    character = text[at.start : at.stop].decode("utf-8", "replace")
    if character == "\ufffd" or has_high_bytes:
        quoted = repr(character)
        is_legible = character != "\ufffd" and quoted[1] != "\\"
        return character, quoted if is_legible else f"{quoted} (byte 0x{text[position]:02x})"
    return character, quote_code_point(character)
