"""Recognizes files that hold text but are not plain text, by their ending and their content, for `train FILES`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from compat import file_magic
from pycharrnn.common.errors import flag, on_page, wordings

_END = 1 << 16  # bytes; a zip archive lists its files there


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: with an article, for messages. way_out: how to get plain text from it.
        is_markup: whether it is plain text with markup, so that an encoding may be given.
        is_plain_text: whether it is plain text all the same, in another encoding than the one given.
    """

    name: str
    way_out: str = "save it as plain text"
    is_markup: bool = False
    is_plain_text: bool = False


HTML = Kind("HTML", is_markup=True)
_FURTHER = wordings("pycharrnn train TEXT -init_from FILE", "pycharrnn.train(TEXT, init_from=FILE)")
TEXT_FOR_A_MODEL = on_page(
    f"Bring takes it, and {flag('init_from')} then trains it further on a text",
    elsewhere=f"name a text; {_FURTHER} trains the model further",
)
CHECKPOINT = Kind("a checkpoint", TEXT_FOR_A_MODEL)  # in binary; told from texts by source_files.source_file
PAGE = Kind("a page with a model in it", TEXT_FOR_A_MODEL)
JSON = Kind("a model as JSON", TEXT_FOR_A_MODEL, is_markup=True)
MODELS = (CHECKPOINT, PAGE, JSON)
MODELS_AMONG_TEXTS = on_page("Bring takes them", elsewhere=f"{_FURTHER} trains one further")  # what to do with them
BINARY_ENDINGS = (".t7", ".safetensors", ".pt", ".onnx")  # of checkpoints
CACHE = Kind(
    "char-rnn's cache of a text",
    "pycharrnn convert FOLDER/data.t7 FOLDER/input.txt writes the text, from this and vocab.t7",
)
_PDF = Kind("a PDF file", "save its text as plain text, for example with pdftotext")
_WORD = Kind("a Word file")
_EXCEL = Kind("an Excel file", "save its cells as plain text")
_POWERPOINT = Kind("a PowerPoint file")
_OUTLOOK = Kind("an Outlook message")
_OPEN_DOCUMENT = Kind("an OpenDocument file")
_EPUB = Kind("an EPUB book", "convert it to plain text, for example with Calibre")
_RTF = Kind("an RTF file", is_markup=True)
_SUBTITLES = Kind("a file of subtitles", "save what is said as plain text, without the times", is_markup=True)

_BY_ENDING = {
    **dict.fromkeys((".html", ".htm", ".xhtml"), HTML),
    ".pdf": _PDF,
    ".docx": _WORD,
    ".odt": _OPEN_DOCUMENT,
    ".epub": _EPUB,
    ".rtf": _RTF,
    **dict.fromkeys((".srt", ".vtt"), _SUBTITLES),
}
_ARCHIVES = (_WORD, _OPEN_DOCUMENT, _EPUB)  # by content: a plain text with such an ending is read as plain text
_DOCUMENTS = {"PDF": _PDF, "RTF": _RTF}  # by file_magic.signature
_BY_CONTENT = (
    (re.compile(rb"PK\x03\x04.{26}mimetypeapplication/epub\+zip", re.DOTALL), _EPUB),
    (re.compile(rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument", re.DOTALL), _OPEN_DOCUMENT),
    (re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--((?!-->).)*-->\s*)*<(!DOCTYPE\s+html|html)[\s>]", re.I | re.DOTALL), HTML),
    (re.compile(rb"WEBVTT[ \t\r\n]"), _SUBTITLES),
    (re.compile(rb"\s*\d+[ \t]*\r?\n\d+:\d\d:\d\d[,.]\d+[ \t]*-->"), _SUBTITLES),
)
_OLD_OFFICE_BY_ENDING = {".xls": _EXCEL, ".ppt": _POWERPOINT, ".msg": _OUTLOOK}
_NEW_OFFICE = {  # by a part of the zip archive
    b"word/document.xml": _WORD,
    b"xl/workbook.xml": _EXCEL,
    b"ppt/presentation.xml": _POWERPOINT,
}
_PACKED = {  # by file_magic.signature
    "gzip": Kind("a gzip archive", "unpack it"),
    "bzip2": Kind("a bzip2 archive", "unpack it"),
    "xz": Kind("an xz archive", "unpack it"),
    "zstd": Kind("a zstd archive", "unpack it"),
    "7z": Kind("a 7z archive", "unpack it"),
    "rar": Kind("a rar archive", "unpack it"),
}
_HDF5 = Kind(
    "an HDF5 file, such as torch-rnn makes of a text",
    "train on the text file from which its preprocess.py made it",
)
_ZIP = Kind("a zip archive", "unpack it")  # by its ending: other programs' files are zip archives, too


def has_checkpoint_ending(path: str) -> bool:
    """Whether a path has the ending of a binary checkpoint, in upper or lower case."""
    return path.lower().endswith(BINARY_ENDINGS)


def is_checkpoint(path: str) -> bool:
    """Whether a file is a checkpoint: a page or JSON by its content, others by their ending. Errors: OSError.

    A text with such an ending, and char-rnn's cache of one, are none.
    """
    kind = kind_of(path, path)
    if kind in MODELS:
        return True
    with open(path, "rb") as f:
        start = f.read(_END)
    return has_checkpoint_ending(path) and bool(start) and kind is not CACHE and not file_magic.is_text(start)


def kind_of(path: str, name: str) -> Kind | None:
    """The kind of a file that is not plain text; None for plain text and unknown content. Errors: OSError.

    `name`: the file's name, for its ending.
    """
    ending = os.path.splitext(name)[1].lower()
    by_ending = _BY_ENDING.get(ending)
    with open(path, "rb") as f:
        start = f.read(_END)
        if file_magic.is_cache(os.path.basename(name), start):
            return CACHE
        if ending == ".json" and file_magic.is_our_json(start):
            return JSON
        if by_ending and not (by_ending in _ARCHIVES and file_magic.is_text(start)):
            return _or_page(by_ending, start)
        first = _in_ascii(start)
        signature = file_magic.signature(first)
        if signature in _DOCUMENTS:
            return _DOCUMENTS[signature]
        for pattern, kind in _BY_CONTENT:
            if pattern.match(first):
                return _or_page(kind, start)
        if signature == "OLE":  # of all programs of the office
            return _OLD_OFFICE_BY_ENDING.get(ending, _WORD)
        if first.startswith(b"PK\3\4"):
            f.seek(max(os.fstat(f.fileno()).st_size - _END, 0))
            parts = first + f.read(_END)
            return next((kind for part, kind in _NEW_OFFICE.items() if part in parts), None)
    return None


def kind_of_binary(path: str, name: str, is_almost_text: bool) -> Kind | None:
    """The kind of a file that no encoding makes a text; None if it is unknown. Errors: OSError.

    `is_almost_text`: whether few of its bytes are those of binary data.
    """
    with open(path, "rb") as f:
        start = f.read(_END)
    if kind := _PACKED.get(file_magic.signature(start)):
        return kind
    if start.startswith(b"PK") and name.lower().endswith(".zip"):
        return _ZIP
    if file_magic.name_of(start) == file_magic.HDF5:
        return _HDF5
    if is_almost_text and (zero := start.find(0)) >= 0:
        way_out = f"remove such bytes, or keep all bytes by {flag('text_encoding', 'bytes')}"
        return Kind(f"binary data, with the byte 0 at offset {zero:,}", way_out)
    return None


def _or_page(kind: Kind, start: bytes) -> Kind:
    """PAGE for a web page with a model in it: a plain text may have the same words."""
    return PAGE if kind is HTML and file_magic.MODEL_IN_PAGE in start else kind


def refusal(shown: str, kind: Kind) -> str:
    """Why a file is not trained on, and what to do; for a UserError."""
    return f"{shown} is {kind.name}{'' if kind.is_plain_text else ', not plain text'}: {kind.way_out}."


def _in_ascii(first: bytes) -> bytes:
    """The beginning of a file without byte order mark; UTF-16 without the zeros of ASCII."""
    first = first.removeprefix(b"\xef\xbb\xbf")
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        return first[2:].replace(b"\0", b"")
    return first
