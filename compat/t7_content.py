"""Loads and gunzips the bytes of a .t7 file, and limits the memory that reading may take."""

from __future__ import annotations

import os
import reprlib
import stat
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from compat.file_magic import SIGNATURES
from compat.t7_objects import DamagedT7Error, T7Error

_SPARE = 240 << 20  # bytes of memory that reading may take beyond three times the size of the file
# A gzip file may unpack to _UNZIP_RATIO times its size, as weights beside zeros do, and _UNZIP_ALWAYS bytes more.
_UNZIP_RATIO, _UNZIP_ALWAYS = 4, 1 << 25
_UNZIP_PIECE = 1 << 20  # bytes that are unpacked at a time


class BinaryStream(Protocol):
    def read(self) -> bytes: ...


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryStream


def memory_for(size: int) -> int:
    """Bytes of memory that reading a file of `size` bytes may take, including the file's own bytes."""
    return 3 * size + _SPARE


def content_of(source: Source) -> bytes | bytearray:
    """The bytes of a source. Errors: OSError; T7Error for a device, a pipe or an empty file; TypeError."""
    if isinstance(source, (str, os.PathLike)):
        return file_content(source)
    if not isinstance(source, (bytes, bytearray, memoryview)) and not hasattr(source, "read"):
        raise TypeError(f"source must be a path, bytes or a binary stream, not {reprlib.repr(source)}")
    content = bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else source.read()
    if not isinstance(content, (bytes, bytearray)):
        raise TypeError(f"the stream must be binary, as open(path, 'rb') is, but it reads {reprlib.repr(content)}")
    if not len(content):
        raise DamagedT7Error("it is empty")
    return content


def file_content(path: str | os.PathLike[str]) -> bytearray:
    """The bytes of a regular file. Errors: OSError; T7Error for a device, a pipe or an empty file."""
    refuse_pipe(path)
    with open(path, "rb") as f:  # not mapped: a program that truncates a mapped file kills this process
        content = bytearray(os.fstat(f.fileno()).st_size)
        del content[f.readinto(content) :]  # another program may have truncated it meanwhile
    if not content:
        raise DamagedT7Error("it is empty")
    return content


def refuse_pipe(path: str | os.PathLike[str]) -> None:
    """Errors: T7Error for a device or a pipe, which open() might wait for forever; OSError."""
    if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
        raise T7Error("it is a device or a pipe, not a file")


def is_gzip(content: bytes | bytearray) -> bool:
    """Whether `content` begins as a gzip file."""
    return content[:2] == SIGNATURES["gzip"]


def unpacked(content: bytes | bytearray) -> bytes | bytearray:
    """`content`, gunzipped if it is a gzip file. Errors: T7Error for a broken gzip file or a gzip bomb."""
    if not is_gzip(content):
        return content
    pieces = (content[start : start + _UNZIP_PIECE] for start in range(0, len(content), _UNZIP_PIECE))
    whole = bytearray()
    for piece in unzipped(pieces, len(content)):
        whole += piece
    return whole


def most_unzipped(size: int) -> int:
    """Bytes that a gzip file of `size` bytes may unpack to."""
    return _UNZIP_RATIO * size + _UNZIP_ALWAYS


def unzipped(packed: Iterable[bytes | bytearray], size: int) -> Iterator[bytes]:
    """Gunzip a file of `size` bytes piece by piece. Errors: T7Error, as `unpacked`."""
    unzip, length = zlib.decompressobj(wbits=31), 0
    try:
        for piece in packed:
            while piece and not unzip.eof:
                found = unzip.decompress(piece, _UNZIP_PIECE)
                length += len(found)
                if length > most_unzipped(size):
                    raise T7Error(f"it is a gzip file that unpacks to more than {most_unzipped(size)} bytes")
                yield found
                piece = unzip.unconsumed_tail
    except zlib.error as e:
        raise DamagedT7Error(f"it is a broken gzip file ({e})") from None
    if not unzip.eof:
        raise DamagedT7Error("it is a gzip file that ends too early")
