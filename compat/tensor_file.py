"""Reads a tensor from its .t7 file in pieces, for texts larger than memory."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from compat.t7_ascii_reader import is_ascii
from compat.t7_binary_reader import T7Reader
from compat.t7_content import is_gzip, refuse_pipe
from compat.t7_objects import Storage, T7Error, Tensor
from compat.t7_reader import load_t7

if TYPE_CHECKING:
    from compat.t7_objects import Array, T7Value

_HEAD = 4096  # bytes at the start of a file that hold all of a tensor but its numbers
_BLOCK = 1 << 20  # bytes
_NO_TENSOR = "it holds no tensor of one dimension"


class TensorFile:
    """A 1-D tensor that fills a .t7 file. One of a gzip-ed or ASCII file is held in memory.

    The file is read, not mapped: a program that truncates a mapped file kills the process that reads it. A file that is
    replaced stays open as it was. A file that is written to raises T7Error. Once `blocks` has read all numbers, a new
    modification time alone (`touch`, a backup) is accepted if the size and the CRC-32 of the numbers are unchanged.

    Errors: OSError if the file can't be read, T7Error (an OSError) if it holds something else.

    Example:
        >>> text = TensorFile("data/ulysses/data.t7")
        >>> len(text), text.read(0, 3)
        (1520766, array([39, 63,  1], dtype=uint8))
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        refuse_pipe(self.path)
        self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115, open as long as this object lives
        self._content: io.FileIO | io.BytesIO = self._file  # which holds the numbers
        try:
            self._stamp = self._stamp_now()
            head = self._read(0, min(_HEAD, self._stamp[0]))
            if is_gzip(head) or is_ascii(head):
                self._file.seek(0)
                tensor = _of_one_dimension(load_t7(self._file))
                numbers = tensor.numpy()
                self.dtype, self._start = numbers.dtype, 0
                self._content = io.BytesIO(numbers.tobytes())
            else:
                tensor, storage = _tensor_in(head, self._stamp[0])
                self.dtype = storage.data.dtype
                self._start = storage.position + tensor.offset * self.dtype.itemsize
        except BaseException:  # a traceback may keep this object, and Windows replaces no open file
            self._file.close()
            raise
        self.typename, self._length = tensor.typename, tensor.shape[0]
        self._crc: int | None = None  # of all numbers, once they have been read

    def __len__(self) -> int:
        return self._length

    def read(self, first: int, last: int) -> Array:
        """A copy of the numbers [first, last), shape (last - first,). Errors: OSError; T7Error if they have changed."""
        if not 0 <= first <= last <= self._length:
            raise IndexError(f"numbers {first} to {last} of a tensor of {self._length}")
        size = self.dtype.itemsize
        content = self._read(self._start + first * size, (last - first) * size)
        while (stamp := self._stamp_now()) != self._stamp:
            if stamp[0] != self._stamp[0] or self._crc is None or self._crc_now() != self._crc:
                raise T7Error("another program has changed it")
            self._stamp = stamp
            content = self._read(self._start + first * size, (last - first) * size)
        numbers: Array = np.frombuffer(content, self.dtype)
        return numbers

    def blocks(self, count: int) -> Iterator[Array]:
        """All numbers, at most `count` at a time. Errors: as read."""
        crc = 0
        for first in range(0, self._length, count):
            numbers = self.read(first, min(first + count, self._length))
            crc = zlib.crc32(numbers.data, crc)
            yield numbers
        self._crc = crc

    def close(self) -> None:
        """Close the file; Windows neither replaces nor removes an open file."""
        self._file.close()

    def _read(self, position: int, count: int) -> bytearray:
        """`count` bytes from `position` on; zeros beyond the end of a file that was truncated."""
        content, done = bytearray(count), 0
        self._content.seek(position)
        with memoryview(content) as view:
            while done < count and (read := self._content.readinto(view[done:])):
                done += read
        return content

    def _crc_now(self) -> int:
        crc, end = 0, self._start + self._length * self.dtype.itemsize
        for position in range(self._start, end, _BLOCK):
            crc = zlib.crc32(self._read(position, min(_BLOCK, end - position)), crc)
        return crc

    def _stamp_now(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns


def _tensor_in(head: bytearray, size: int) -> tuple[Tensor, _StorageElsewhere]:
    """The tensor in a file of `size` bytes that begins with `head`, and its storage. Errors: T7Error."""
    fault = None
    for long_size in (8, 4):  # as in t7_reader: the wrong size soon fails
        try:
            value = _HeadReader(head, long_size, size).read_obj()
        except T7Error as e:
            fault = fault or e
            continue
        storage = value.storage if isinstance(value, Tensor) else None
        if isinstance(storage, _StorageElsewhere):
            return _of_one_dimension(value), storage
        fault = fault or T7Error(_NO_TENSOR)
    raise fault or T7Error(_NO_TENSOR)


def _of_one_dimension(value: T7Value) -> Tensor:
    """`value`, if it is a tensor of one dimension whose numbers lie side by side. Errors: T7Error."""
    if not isinstance(value, Tensor) or value.strides != (1,):
        raise T7Error(_NO_TENSOR)
    return value


class _HeadReader(T7Reader):
    """Reads a tensor from the first bytes of a file of `size` bytes; its numbers must be the rest of the file."""

    def __init__(self, head: bytearray, long_size: int, size: int):
        super().__init__(head, long_size)
        self._size = size

    def early_end(self, what: str) -> T7Error:
        if len(self.content) < self._size:  # only what this reader has of the file ends
            return T7Error(_NO_TENSOR)
        return super().early_end(what)

    def _read_storage(self, typename: bytes, dtype: np.dtype[Any], version: int | None) -> Storage:
        storage = _StorageElsewhere(typename, np.empty(0, dtype), version)
        storage.length = self.read_long()
        storage.position = self.position
        wanted, left = storage.length * dtype.itemsize, self._size - self.position
        if not 0 <= wanted <= left:
            raise super().early_end(f"{wanted} bytes wanted")
        if wanted < left:
            self.position += wanted
            raise self.fault(f"the file goes on after its {storage.length} numbers")
        return storage


class _StorageElsewhere(Storage):
    """A storage of `length` numbers from byte `position` of a file on."""

    length: int
    position: int

    def __len__(self) -> int:
        return self.length
