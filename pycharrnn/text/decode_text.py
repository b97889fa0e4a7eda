"""Any file as plain text: what it is written in, and its bytes as UTF-8 with lines that end in a newline.

What is no UTF-8, UTF-16 or UTF-32, an old Latin-1 for example, keeps its bytes: a model reads any.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator

_FIRST = 1 << 16  # bytes by which a file is judged
_PIECE = 1 << 20  # bytes in memory at a time
_MARKS = (  # that of UTF-32 first, since it begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "bytes"),
)
_LONGEST_MARK = 4
_SPACES = "\t\n\v\f\r"
_CONTROLS = bytes(code for code in range(32) if chr(code) not in _SPACES + "\b\x1b")
_MOST_CONTROLS = 0.05  # of the bytes of a text; a tenth of random bytes are some
_LEAST_PRINTABLE = 0.95  # of the characters of a text in UTF-16 without a byte order mark
_BINARY_THAT_LOOKS_LIKE_TEXT = (b"%PDF-",)


def encoding_of(path: str) -> str | None:
    """What a file is written in, by its first bytes: "bytes", which UTF-8 is as well; "utf-16-le" or the like; None
    for what is no text: a picture, a program, an archive.

    Errors: OSError.
    """
    with open(path, "rb") as f:
        first = f.read(_FIRST)
    mark, encoding = _mark(first)
    if encoding not in ("", "bytes"):
        return encoding if _is_text(first[len(mark) :], encoding) else None
    if 0 in first:
        # The zeros of UTF-16 are the high bytes of Latin letters, blanks and newlines.
        guess = "utf-16-le" if first[1::2].count(0) > first[::2].count(0) else "utf-16-be"
        return guess if _is_text(first, guess) else None
    controls = len(first) - len(first.translate(None, _CONTROLS))
    if first.startswith(_BINARY_THAT_LOOKS_LIKE_TEXT) or controls > _MOST_CONTROLS * len(first):
        return None
    return "bytes"


def _mark(first: bytes) -> tuple[bytes, str]:
    """The byte order mark that a file begins with, and what it says that follows; two times nothing without one."""
    return next(((mark, encoding) for mark, encoding in _MARKS if first.startswith(mark)), (b"", ""))


def _is_text(first: bytes, encoding: str) -> bool:
    """Whether the first bytes of a file are text in UTF-16 or UTF-32."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(first)
    except UnicodeDecodeError:
        return False
    printable = sum(c.isprintable() or c in _SPACES for c in text)
    return "\0" not in text and printable >= _LEAST_PRINTABLE * len(text)


def pieces(path: str, encoding: str, advance: Callable[[int], None] = lambda done: None) -> Iterator[bytes]:
    """A file's text, piece by piece: without its byte order mark, CRLF as LF, UTF-16 and UTF-32 as UTF-8.

    Args:
        encoding: as encoding_of gives it.
        advance: called with the number of bytes that have just been read.

    Errors: OSError.
    """
    found = _unmarked(path, advance)
    yield from _unix_lines(found if encoding == "bytes" else _as_utf8(found, encoding))


def _unmarked(path: str, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of a file after its byte order mark."""
    with open(path, "rb") as f:
        mark, _ = _mark(f.read(_LONGEST_MARK))
        f.seek(len(mark))
        while piece := f.read(_PIECE):
            yield piece
            advance(len(piece))


def _as_utf8(found: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Text in UTF-16 or UTF-32 as UTF-8; what is damaged becomes U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for piece in found:
        yield decoder.decode(piece).encode()
    yield decoder.decode(b"", final=True).encode()


def _unix_lines(found: Iterable[bytes]) -> Iterator[bytes]:
    """Text with CRLF as LF, also where a piece ends between the two."""
    held = b""
    for piece in found:
        text = held + piece
        held = b"\r" if text.endswith(b"\r") else b""
        yield text[: len(text) - len(held)].replace(b"\r\n", b"\n")
    if held:
        yield held
