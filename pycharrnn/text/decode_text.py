"""Decodes a text file to UTF-8 with Unix line ends, piece by piece, for the texts that `train FILES` names."""

from __future__ import annotations

import codecs
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.option_fields import Allowed, option
from pycharrnn.text import html_text
from pycharrnn.text.file_pieces import file_pieces

RAW = "bytes"  # the value of -text_encoding that keeps a file as it is
_COMMON = "utf-8, utf-16, cp1252, latin-1, mac-roman, cp1251, koi8-r, shift-jis or gb18030"
_ALLOWED = f"{RAW} or a text encoding of Python (docs.python.org/3/library/codecs.html), such as {_COMMON}"
_NOT_FOR_FILES = ("idna", "punycode")  # host names
CRLF, CR = "of Windows (CRLF)", "of old Macs (CR)"  # line ends that become LF, for a message


@dataclass(frozen=True)
class Decoding:
    """How a file is decoded.

    Attributes:
        codec: of Python; "bytes" keeps the file as it is.
        errors: what becomes of invalid bytes, as for bytes.decode; "strict" raises a UserError.
        is_html: whether only the text of HTML is read, without its markup.
    """

    codec: str = "utf-8"
    errors: str = "strict"
    is_html: bool = False

    def __str__(self) -> str:
        name = self.codec + (", its invalid bytes as cp1252" if self.errors == INVALID_AS_CP1252 else "")
        if not self.is_html:
            return name
        return "the text of HTML" if name == "utf-8" else f"the text of HTML ({name})"


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    """Decode invalid UTF-8 as cp1252; leave out a character that the end of the file cuts off."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    is_cut_off = error.reason == "unexpected end of data"
    return "" if is_cut_off else error.object[error.start : error.end].decode("cp1252", "replace"), error.end


INVALID_AS_CP1252 = "pycharrnn_cp1252"
codecs.register_error(INVALID_AS_CP1252, _as_cp1252)


@functools.cache
def _is_encoding(name: str) -> bool:
    """Whether -text_encoding accepts a name."""
    try:
        codecs.getincrementaldecoder(name)
        b"a".decode(name, "ignore")
        return codecs.lookup(name).name not in _NOT_FOR_FILES
    except (LookupError, ValueError):
        return name == RAW


ENCODING = Allowed(_is_encoding, _ALLOWED)  # values of -text_encoding


def option_for_model(of: str) -> str:
    """The field -text_encoding of a command that reads a text for a model. `of`: the text, as the help names it."""
    return option(
        "",
        f"encoding of {of}, as in training, for a model of pycharrnn train FILE: a text encoding of Python, or {RAW}."
        " Empty = detect it. Other models read the bytes",
        group="text",
        value="NAME",
        allowed=ENCODING,
    )


def pieces(
    path: str,
    decoding: Decoding,
    shown: str,
    advance: Callable[[int], None] = lambda done: None,
    replaced: set[str] | None = None,
) -> Iterator[bytes]:
    """The text of a file, piece by piece: in UTF-8, without byte order mark, CR and CRLF as LF.

    Args:
        shown: the file's name in messages. advance: called with the number of bytes of each piece that was read.
        replaced: gets CRLF and CR if such line ends became LF.

    Errors: OSError; UserError for invalid bytes, if the decoding is strict.
    """
    found = file_pieces(path, advance)
    if decoding.codec == RAW:
        yield from found
        return
    text = _without_mark(_decode(found, decoding, shown))
    if decoding.is_html:
        text = html_text.text_of(text)
    for piece in _unix_lines(text, set() if replaced is None else replaced):
        yield piece.encode()


def _decode(found: Iterable[bytes], decoding: Decoding, shown: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(decoding.codec)(decoding.errors)
    offset = 0  # of the first byte that the decoder does not hold
    for piece, is_last in _with_end(found):
        held = len(decoder.getstate()[0])
        try:
            text = decoder.decode(piece, is_last)
            text.encode()  # UTF-7 may decode to half a surrogate pair
        except UnicodeError as e:
            at = f"{offset}"
            if isinstance(e, UnicodeDecodeError):
                at = f"{offset - held + e.start} (byte 0x{e.object[e.start]:02x})"
            raise UserError(
                f"{shown} can't be decoded as {decoding.codec} at offset {at}: choose another {flag('text_encoding')},"
                " or leave that out, and the encoding is detected."
            ) from None
        offset += len(piece)
        yield text


def _with_end(found: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    for piece in found:
        yield piece, False
    yield b"", True


def _without_mark(found: Iterable[str]) -> Iterator[str]:
    is_first = True
    for text in found:
        if text:
            yield text.removeprefix("\ufeff") if is_first else text
            is_first = False


def _unix_lines(found: Iterable[str], replaced: set[str]) -> Iterator[str]:
    """CR and CRLF as LF, also where a piece ends between the two."""
    held = ""
    for piece in found:
        text = held + piece
        held = "\r" if text.endswith("\r") else ""
        text = text[: len(text) - len(held)]
        for name, line_end in ((CRLF, "\r\n"), (CR, "\r")):
            if line_end in text:
                replaced.add(name)
                text = text.replace(line_end, "\n")
        yield text
    if held:
        replaced.add(CR)
        yield "\n"
