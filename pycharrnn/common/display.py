"""Makes untrusted text safe to show: in a message, on a terminal, in HTML."""

from __future__ import annotations

import codecs
import html
import re
import unicodedata
from collections.abc import Collection, Sequence

_MAX_QUOTED = 20
# The characters U+2400 and following depict control characters. Those from U+0080 to U+009F have no pictures.
_PICTURES = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {127: 0x2421}
_PICTURES |= dict.fromkeys(range(128, 160), 0xFFFD)
_UNSAFE_CATEGORIES = ("Cf", "Cn", "Co", "Zl", "Zp")  # format, unassigned, private use, line and paragraph separators
_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\t", b"\\t"), (b"\r", b"\\r"))
_JOINERS = "\u200c\u200d"  # in Persian and Indian words, and in emoji


def escape_line(text: bytes | str, max_length: int | None = 200) -> str:
    """See compat.escape."""
    from compat import escape  # here, since compat loads NumPy, which -help needn't

    return escape.escape_line(text, max_length)


def escape_separators(text: bytes) -> bytes:
    r"""A text as a cell of a table of tab-separated values: tabs, line breaks and backslashes as \t, \n, \r and \\."""
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text


def quote_character(character: bytes) -> str:
    """A vocabulary's character for a message: a byte as a Python literal, a longer one as a code point.

    Example:
        >>> quote_character(b"\\n"), quote_character("é".encode()), quote_character(b"\\xff")
        ("'\\\\n'", 'U+00E9 "é"', "'\\\\xff'")
    """
    if len(character) == 1:
        return repr(character)[1:]
    text = character.decode("utf-8", "backslashreplace")
    return quote_code_point(text) if len(text) == 1 else repr(text)


def quote_code_point(character: str) -> str:
    """A code point for a message, such as U+00E9 "é"."""
    shown = '\\"' if character == '"' else repr(character)[1:-1]
    return f'U+{ord(character):04X} "{shown}"'


def quote_characters(characters: Collection[bytes]) -> str:
    """At most twenty characters for a message, sorted by their bytes, and the number of the others."""
    return join_words([quote_character(character) for character in sorted(characters)], _MAX_QUOTED, " ")


def character_name(character: bytes) -> str:
    """A vocabulary's character as text; invalid UTF-8 in hexadecimal, as 0xE2."""
    try:
        return character.decode()
    except UnicodeDecodeError:
        return "0x" + character.hex().upper()


def control_pictures(text: str) -> str:
    """Replace control characters except tab and newline by pictures (U+2400 ...), U+0080 to U+009F by U+FFFD.

    Example:
        >>> control_pictures("a\\x00\\r\\n")
        'a\u2400\u240d\\n'
    """
    return text.translate(_PICTURES)


def join_words(words: Sequence[str], most: int = 8, separator: str = ", ") -> str:
    """At most so many words for a message, and the number of the others."""
    more = len(words) - most
    return separator.join(words[:most]) + (f" and {more} more" if more > 0 else "")


def series(words: Sequence[str], conjunction: str) -> str:
    """Words with commas, and a conjunction before the last one.

    Example:
        >>> series(["a", "b", "c"], "or"), series(["a"], "or")
        ('a, b or c', 'a')
    """
    return f" {conjunction} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def plural(number: int, noun: str) -> str:
    """The noun for so many: "character" for 1, else "characters"."""
    return noun if number == 1 else f"{noun}s"


def escape_html(text: str) -> str:
    """`text` for HTML, with pictures for the control characters that HTML forbids."""
    return html.escape(control_pictures(text))


def escape_for_terminal(text: str) -> str:
    """control_pictures, and U+FFFD for characters that are invisible, unassigned or change the writing direction.

    Example:
        >>> escape_for_terminal("a\\x1b[31m\\u202eb")
        'a\u241b[31m\ufffdb'
    """
    return "".join(
        "\ufffd" if unicodedata.category(c) in _UNSAFE_CATEGORIES and c not in _JOINERS else c
        for c in control_pictures(text)
    )


def escape_controls(text: str) -> str:
    """Control characters except newline, and the others that escape_for_terminal replaces, as backslash escapes.

    Example:
        >>> escape_controls("a\\x1b[31m\\u202eb")
        'a\\\\x1b[31m\\\\u202eb'
    """
    return "".join(c.encode("unicode_escape").decode() if _is_unsafe(c) else c for c in text)


def _is_unsafe(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", *_UNSAFE_CATEGORIES) and character not in ("\n", *_JOINERS)


def replace_surrogates(text: str) -> str:
    """Decode surrogates that represent bytes of a file name; replace all others by U+FFFD."""
    text = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def encode_line(text: str, encoding: str) -> bytes:
    """`text` in any encoding: backslash escapes for missing characters, bytes for the surrogates of file names.

    Example:
        >>> encode_line("\u00e9\u03c0\\udcff", "latin-1")
        b'\\xe9\\\\u03c0\\xff'
    """
    return text.encode(encoding, _ESCAPE)


def _escape_unencodable(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(
        bytes([ord(c) - 0xDC00]) if "\udc80" <= c <= "\udcff" else c.encode("ascii", "backslashreplace")
        for c in error.object[error.start : error.end]
    ), error.end


_ESCAPE = "pycharrnn_escape"
codecs.register_error(_ESCAPE, _escape_unencodable)


def column_width(character: str) -> int:
    """The number of terminal columns that a character takes: 0, 1 or 2."""
    if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def is_utf8(text: bytes, is_cut: bool = False) -> bool:
    """Whether bytes are valid UTF-8. `is_cut`: they may end within a character."""
    try:
        codecs.utf_8_decode(text, "strict", not is_cut)
    except UnicodeDecodeError:
        return False
    return True
