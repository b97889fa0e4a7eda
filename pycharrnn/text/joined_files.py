"""Joins the files of a text, as bytes of UTF-8 or as they are, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from compat.item_options import END_CHARACTERS
from pycharrnn.text import decode_text, items, labels
from pycharrnn.text.source_files import SourceFile

_BLOCK = 1 << 20  # bytes of short items


def joined(
    files: Sequence[SourceFile], kind: str, label: str, advance: Callable[[int], None] = lambda done: None
) -> Iterator[bytes]:
    """The text of all files: each begins on a new line, or is divided into items. Errors: OSError; UserError."""
    if kind in ("", "line") and not label:
        last = b"\n"
        for file in files:
            if last != b"\n":
                yield b"\n"
            for piece in decoded(file, advance):
                yield piece
                last = piece[-1:] or last
        return
    block = bytearray()
    for file in files:
        prefix = labels.prefix(file, label)
        for item in items.as_input(decoded(file, advance), kind, file.shown):
            block += prefix
            block += item
            if len(block) >= _BLOCK:
                yield bytes(block)
                block.clear()
    yield bytes(block)


def decoded(file: SourceFile, advance: Callable[[int], None] = lambda done: None) -> Iterator[bytes]:
    """The text of a file. `advance` receives the number of bytes read. Errors: OSError; UserError."""
    return decode_text.pieces(file.path, file.decoding, file.shown, advance)


def checked(pieces: Iterator[bytes], kind: str, label: str, shown: str) -> Iterator[bytes]:
    """The pieces. Errors: UserError for a list that can't be learnt from."""
    check, splitter = items.ListCheck(kind, shown, label), items.ItemSplitter(END_CHARACTERS[kind])
    for piece in pieces:
        check.add(splitter.push(piece))
        yield piece
    check.add([splitter.rest()])
    check.finish()
