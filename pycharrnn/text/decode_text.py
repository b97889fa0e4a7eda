"""Detects how a text file is encoded, and decodes it to UTF-8 with Unix line ends.

A text in another encoding than UTF-8, UTF-16 and UTF-32, Latin-1 for example, keeps its bytes.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator

_FIRST = 1 << 16  # bytes from which the encoding is detected
_PIECE = 1 << 20  # bytes in memory at a time
_BYTE_ORDER_MARKS = (  # UTF-32's first, since it begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "bytes"),
)
_MAX_MARK = 4
_SPACES = "\t\n\v\f\r"
_CONTROLS = bytes(code for code in range(32) if chr(code) not in _SPACES + "\b\x1b")
_MAX_CONTROLS = 0.05  # fraction of the bytes; of random bytes it is 0.1
_MIN_PRINTABLE = 0.95  # fraction of the characters of UTF-16 and UTF-32
_BINARY_THAT_LOOKS_LIKE_TEXT = (b"%PDF-",)


def encoding_of(path: str) -> str | None:
    """The encoding by a file's first bytes: "bytes" (also UTF-8), "utf-16-le", ...; None: binary. Errors: OSError."""
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
    if first.startswith(_BINARY_THAT_LOOKS_LIKE_TEXT) or controls > _MAX_CONTROLS * len(first):
        return None
    return "bytes"


def _mark(first: bytes) -> tuple[bytes, str]:
    """The byte order mark at the beginning of a file, and its encoding; both are empty without one."""
    return next(((mark, encoding) for mark, encoding in _BYTE_ORDER_MARKS if first.startswith(mark)), (b"", ""))


def _is_text(first: bytes, encoding: str) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(first)
    except UnicodeDecodeError:
        return False
    printable = sum(c.isprintable() or c in _SPACES for c in text)
    return "\0" not in text and printable >= _MIN_PRINTABLE * len(text)


def pieces(path: str, encoding: str, advance: Callable[[int], None] = lambda done: None) -> Iterator[bytes]:
    """The text of a file, piece by piece: in UTF-8, without byte order mark, CRLF as LF. Errors: OSError."""
    found = _unmarked(path, advance)
    yield from _unix_lines(found if encoding == "bytes" else _as_utf8(found, encoding))


def _unmarked(path: str, advance: Callable[[int], None]) -> Iterator[bytes]:
    with open(path, "rb") as f:
        mark, _ = _mark(f.read(_MAX_MARK))
        f.seek(len(mark))
        while piece := f.read(_PIECE):
            yield piece
            advance(len(piece))


def _as_utf8(found: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """UTF-16 or UTF-32 as UTF-8; invalid parts become U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for piece in found:
        yield decoder.decode(piece).encode()
    yield decoder.decode(b"", final=True).encode()


def _unix_lines(found: Iterable[bytes]) -> Iterator[bytes]:
    """CRLF as LF, also where a piece ends between the two."""
    held = b""
    for piece in found:
        text = held + piece
        held = b"\r" if text.endswith(b"\r") else b""
        yield text[: len(text) - len(held)].replace(b"\r\n", b"\n")
    if held:
        yield held
