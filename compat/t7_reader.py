"""Reads Torch7's .t7 files in any encoding: the first object, and a summary of the rest.

docs/t7.md describes the format. Source: File.lua of torch7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compat import file_magic
from compat.t7_ascii_reader import AsciiT7Reader, is_ascii
from compat.t7_binary_reader import T7Reader
from compat.t7_content import content_of, memory_for, unpacked
from compat.t7_objects import Dialect, T7Error

if TYPE_CHECKING:
    from compat.t7_content import Source
    from compat.t7_objects import T7Value

MOST_FURTHER = 10_000  # objects after the first that `survey` counts


def load_t7(source: Source) -> T7Value:
    """The object in a .t7 file: None, bool, int, float, bytes or a type of compat.t7_objects.

    Encoding, size of longs and gzip are detected. Storages of a binary file are views of its content in memory.

    Args:
        source: path of a regular file, bytes, or a binary stream.

    Errors: OSError if the file can't be read; T7Error (an OSError) if it isn't a complete .t7 file; TypeError.

    Example:
        >>> load_t7("vocab.t7")[b"a"]
        42
    """
    return load_with_dialect(source)[0]


def load_with_dialect(source: Source) -> tuple[T7Value, Dialect]:
    """As load_t7, with the encoding and the size of longs that were detected."""
    reader, value = _first_object(source)
    return value, reader.dialect


@dataclass(frozen=True)
class T7FileSummary:
    """The first object of a file; `further` objects follow it (up to MOST_FURTHER), and then `unread` bytes."""

    value: T7Value
    dialect: Dialect
    further: int
    unread: int


def survey(source: Source) -> T7FileSummary:
    """As load_t7; also counts objects and bytes after the first object."""
    reader, value = _first_object(source)
    # Joined files number their objects anew; one program that writes object after object does not.
    start, objects = reader.position, reader.objects
    further, unread = _count_further(reader, anew=True)
    if unread:
        reader.position, reader.objects = start, objects
        further, unread = min((further, unread), _count_further(reader, anew=False), key=lambda found: found[1])
    return T7FileSummary(value, reader.dialect, further, unread)


def _count_further(reader: T7Reader, anew: bool) -> tuple[int, int]:
    """(objects that follow, bytes after them); with `anew`, each object has its own numbering."""
    count = 0
    while not reader.at_end() and count < MOST_FURTHER:
        start = reader.position
        reader.objects = {} if anew else reader.objects
        try:
            reader.read_obj()
        except T7Error:
            return count, len(reader.content) - start
        count += 1
    return count, 0


def _first_object(source: Source) -> tuple[T7Reader, T7Value]:
    packed = content_of(source)
    content = unpacked(packed)
    memory = memory_for(len(packed)) - len(content)
    try:
        if is_ascii(content):
            reader = AsciiT7Reader(content, memory=memory)
            return reader, reader.read_obj()
        return _first_binary_object(content, memory)
    except T7Error:
        if kind := file_magic.name_of(content):
            raise T7Error(f"it is {kind}") from None
        raise


def _first_binary_object(content: bytes | bytearray, memory: int) -> tuple[T7Reader, T7Value]:
    """Read with longs of 8 or else 4 bytes: the wrong size soon fails, the right one reads to the end of the file."""
    reader = T7Reader(content, 8, memory)
    value: T7Value = None
    fault: T7Error | None = None
    try:
        value = reader.read_obj()
    except T7Error as e:
        fault = e.with_traceback(None)  # a traceback keeps all objects read, as the reader does
        reader.objects.clear()
    if reader.has_longs and (fault or not reader.at_end()):
        short = T7Reader(content, 4, memory if fault else reader.memory)
        try:
            short_value = short.read_obj()
            if short.at_end():
                return short, short_value
        except T7Error:
            pass
    if fault:
        raise fault
    return reader, value
