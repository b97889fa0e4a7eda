"""Detects how a text file is encoded: UTF-8, UTF-16 and UTF-32 by their structure, others by statistics of letters.

The statistics are chardet's. It is right for all but one of 500 texts of 1 KB in 35 languages, as long as it chooses
among the encodings below; among all that it knows it takes single French lines for Urdu. Where a few words repeat, it
may take accented letters for Greek or Cyrillic ones; Latin letters in the same words show that.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import TYPE_CHECKING

from pycharrnn.common.display import is_utf8
from pycharrnn.common.errors import UserError, flag
from pycharrnn.text.decode_text import INVALID_AS_CP1252, RAW, Decoding
from pycharrnn.text.encodings import invalid_utf8_at
from pycharrnn.text.file_pieces import file_pieces

if TYPE_CHECKING:
    from io import BufferedReader

_FIRST = 1 << 16  # bytes in which binary data and UTF-16 are recognized
_PIECE = 1 << 20  # bytes in memory at a time
_BYTE_ORDER_MARKS = (  # UTF-32's first, since it begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SPACES = "\t\n\v\f\r"
_CONTROLS = bytes(code for code in range(32) if chr(code) not in _SPACES + "\b\x1b\x1e")  # U+001E ends items
_MAX_CONTROLS = 0.05  # fraction of the bytes; of random bytes it is 0.1
_MIN_PRINTABLE = 0.95  # fraction of the characters
_UNPRINTED = ("Zs", "Zl", "Zp", "Cf")  # categories of blanks, line ends and marks that are not printed

_PLACES, _SAMPLED = 16, 1 << 12  # places of a file that are looked at, and bytes from each
_LINE_ENDS, _ASCII = re.compile(rb"[\r\n]+"), re.compile(rb"[\0-\x7f]*")
_C1, _BLANK_TO_BLANK = re.compile(rb"[\x80-\x9f]"), re.compile(rb"[ \t\r\n].*[ \t\r\n]", re.DOTALL)
_AROUND = 200  # bytes before and after one of _C1
_GREEK_AND_CYRILLIC = ("cp1251", "koi8-r", "koi8-u", "cp866", "mac-cyrillic", "iso8859-5", "cp1253", "iso8859-7")
_CANDIDATES = (
    *("utf-8", "cp1252", "iso8859-1", "iso8859-15", "mac-roman", "cp437", "cp850"),
    *("cp1250", "iso8859-2", "mac-latin2", "cp852", "cp1257", "iso8859-13", "cp1254", "iso8859-9", "cp1258"),
    *_GREEK_AND_CYRILLIC,
    *("cp1255", "iso8859-8", "cp1256", "iso8859-6", "cp874"),
    *("cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949"),
)
_USUAL = {"iso8859-1": "cp1252", "iso8859-9": "cp1254"}  # the same letters, and more of the bytes
_OF_MACS = {"cp1252": "mac-roman", "cp1250": "mac-latin2", "cp1251": "mac-cyrillic"}  # with lone CRs as line ends
_FEW = 5  # non-ASCII bytes, too few for statistics
_WORD, _ASCII_LETTER = re.compile(r"[^\W\d_]{2,}"), re.compile("[A-Za-z]")


def decoding_of(path: str, shown: str, text_encoding: str = "") -> Decoding | None:
    """How a file is decoded; None for binary data. Errors: OSError; UserError without chardet.

    `text_encoding`: the value of -text_encoding, "" to detect it. `shown`: the file's name in messages.
    """
    with open(path, "rb") as f:
        first = f.read(_FIRST)
        if text_encoding not in ("", RAW):
            _require_mark(first, text_encoding, shown)
            return Decoding(text_encoding) if _printable(first, text_encoding, "replace") >= _MIN_PRINTABLE else None
        unicode = _utf16_or_32(first)
        if not unicode and not _has_few_controls(first):
            return None
        if text_encoding:
            return Decoding(RAW)
        if unicode is None:
            return None
        if unicode:
            return Decoding(unicode, "replace")
        is_mac = first.count(b"\r") > 2 and b"\n" not in first
        invalid_at = invalid_utf8_at(file_pieces(path))
        return Decoding() if invalid_at is None else _guess(_sample(f, invalid_at), shown, is_mac)


def _require_mark(first: bytes, text_encoding: str, shown: str) -> None:
    """Errors: UserError for a text in utf-16 or utf-32 without its mark, which says the order of bytes."""
    name = codecs.lookup(text_encoding).name
    if name not in ("utf-16", "utf-32") or first.startswith(tuple(mark for mark, _ in _BYTE_ORDER_MARKS)):
        return
    if max(_printable(first, f"{name}-{order}") for order in ("le", "be")) >= _MIN_PRINTABLE:
        raise UserError(
            f"{shown} has no byte order mark: give {flag('text_encoding')} {name}-le or {name}-be, for its byte order."
        )


def _utf16_or_32(first: bytes) -> str | None:
    """The encoding by byte order mark or zero bytes; "" for another one, None for binary data."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if first.startswith(mark):
            return encoding if _printable(first[len(mark) :], encoding) >= _MIN_PRINTABLE else None
    if 0 not in first:
        return ""
    if (is_utf8(first, is_cut=True) and _has_few_controls(first)) or (first.isascii() and _is_no_utf16(first)):
        return None
    little, big = (_printable(first, f"utf-16-{order}") for order in ("le", "be"))
    # The zeros of UTF-16 are the high bytes of Latin letters, blanks and newlines.
    is_little = first[1::2].count(0) > first[::2].count(0) if little == big else little > big
    return None if max(little, big) < _MIN_PRINTABLE else "utf-16-le" if is_little else "utf-16-be"


def _is_no_utf16(first: bytes) -> bool:
    """Whether ASCII bytes, some of them zero, are no UTF-16. Pairs of ASCII letters are printable as UTF-16, too.

    UTF-16 of Latin letters has all its zeros at one parity, that of the high bytes. A high byte that is a letter
    belongs to a Chinese character; a text with many of these has low bytes that are not ASCII, too.
    """
    high = [half for half in (first[::2], first[1::2]) if 0 in half]
    return len(high) == 2 or sum(map(str.isalpha, map(chr, high[0]))) >= high[0].count(0)


def _printable(first: bytes, encoding: str, errors: str = "strict") -> float:
    """The fraction of characters that are printed, or form lines and words; 0 for invalid text, or one with NUL."""
    try:
        text = codecs.getincrementaldecoder(encoding)(errors).decode(first).removeprefix("\ufeff")
    except UnicodeError:
        return 0
    return 0 if "\0" in text else sum(map(_is_text, text)) / max(len(text), 1)


def _is_text(c: str) -> bool:
    """Whether a text may hold a character often; Japanese has its own blank, Persian a joiner that is not printed."""
    return c.isprintable() or c in _SPACES + "\x1b" or unicodedata.category(c) in _UNPRINTED


def _has_few_controls(first: bytes) -> bool:
    return len(first) - len(first.translate(None, _CONTROLS)) <= _MAX_CONTROLS * len(first)


def _sample(f: BufferedReader, invalid_at: int) -> bytes:
    """A whole small file; of a large one the beginning, and what has non-ASCII bytes from places all over it.

    Only its end may be in the middle of a character.
    """
    size = f.seek(0, 2)
    f.seek(0)
    if size <= _PLACES * _SAMPLED:
        return f.read()
    lines: list[bytes] = []
    for start in [invalid_at, *(size * k // _PLACES for k in range(_PLACES))]:
        f.seek(start)
        left = _SAMPLED
        for line in _LINE_ENDS.split(f.read(min(_PIECE, size // _PLACES + 1)))[1:-1]:
            if not line.isascii() and len(line) <= left:
                lines.append(line)
                left -= len(line)
    f.seek(0)
    beginning = f.read(_SAMPLED)
    beginning = beginning[: beginning.rfind(b"\n") + 1] or _ASCII.match(beginning)[0]  # type: ignore[index]
    return beginning + b"".join(_with_c1(f)) + (b"\n".join(lines) or _from_first_non_ascii(f))


def _with_c1(f: BufferedReader) -> list[bytes]:
    """Stretches from blank to blank around bytes from 0x80 to 0x9F, the first in the file.

    They alone tell cp1252, where quotation marks and dashes are such bytes, from iso8859-15, and may stand in one
    chapter of a book.
    """
    found: list[bytes] = []
    left = _SAMPLED
    f.seek(0)
    while left > 0 and (piece := f.read(_PIECE)):
        end = 0
        for c1 in _C1.finditer(piece):
            if c1.start() < end:
                continue
            end = c1.end() + _AROUND
            stretch = _BLANK_TO_BLANK.search(piece, max(0, c1.start() - _AROUND), end)
            if stretch and _C1.search(stretch[0]):
                found.append(stretch[0])
                left -= len(stretch[0])
            if left <= 0:
                break
    return found


def _from_first_non_ascii(f: BufferedReader) -> bytes:
    f.seek(0)
    while (piece := f.read(_PIECE)) and piece.isascii():  # b"" is ASCII, too: a file may have become shorter
        pass
    f.seek(_ASCII.match(piece).end() - len(piece), 1)  # type: ignore[union-attr]
    return f.read(_PLACES * _SAMPLED)


def _guess(sample: bytes, shown: str, is_mac: bool) -> Decoding:
    """The encoding of text that is not valid UTF-8; `is_mac`: with lone CRs. Errors: UserError without chardet."""
    as_utf8 = sample.decode("utf-8", "replace")
    invalid = as_utf8.count("\ufffd")
    if sum(c > "\x7f" for c in as_utf8) > 2 * invalid:  # chance makes at most a third of other encodings valid UTF-8
        return Decoding("utf-8", INVALID_AS_CP1252)
    non_ascii = len(sample.translate(None, bytes(range(0x80))))
    has_many = non_ascii >= _FEW or 3 * non_ascii > len(sample)
    codec = (has_many and _by_statistics(sample, shown)) or "cp1252"
    if codec in _GREEK_AND_CYRILLIC and _mixes_scripts(sample.decode(codec, "replace")):
        codec = "cp1252"
    codec = _USUAL.get(codec, codec)
    return Decoding(_OF_MACS.get(codec, codec) if is_mac else codec, "replace")


def _mixes_scripts(text: str) -> bool:
    """Whether most words with letters beyond ASCII have ASCII letters, too, as no Greek or Cyrillic text has."""
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    return 2 * sum(_ASCII_LETTER.search(word) is not None for word in words) > len(words)


def _by_statistics(sample: bytes, shown: str) -> str | None:
    try:
        import chardet  # here, since few texts need it

        found: str | None = chardet.detect(sample, compat_names=False, include_encodings=_CANDIDATES)["encoding"]
    except (ImportError, TypeError):  # TypeError: before version 7
        raise UserError(
            f'{shown} is not UTF-8, and detecting its encoding needs a package: pip install "chardet>=7.6,<8", or name'
            f" the encoding by {flag('text_encoding')}, cp1252 for example."
        ) from None
    return found
