"""Read Torch7's .t7 files: torchfile's reader, hardened.

A file is one object; docs/t7.md describes the format. Every size is checked against the file before it is believed,
nesting is followed on a stack of our own, and nothing is ever executed: whatever the bytes, the outcome is a value
or T7Error. Source: File.lua, generic/Tensor.c and generic/Storage.c of torch7.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
import struct
import zlib

import numpy as np
import torchfile

from compat.t7_objects import (
    BooleanKey,
    Dialect,
    LuaFunction,
    Storage,
    T7Error,
    Table,
    Tensor,
    TorchObject,
    element_dtype,
    is_tensor_class,
)

_FUNCTION_TYPES = (torchfile.TYPE_FUNCTION, torchfile.TYPE_RECUR_FUNCTION, torchfile.LEGACY_TYPE_RECUR_FUNCTION)
_REFERENCE_TYPES = (torchfile.TYPE_TABLE, torchfile.TYPE_TORCH, *_FUNCTION_TYPES)
_MAX_DIMENSIONS = 64  # more than NumPy allows; Torch7 programs use up to 5
_ASCII_START = re.compile(rb"[0-8]\n")
_LFS_START = b"version https://git-lfs"
_WORD = re.compile(rb"\s*([-+.\w]{1,64})")
_UNZIP_RATIO, _UNZIP_ALWAYS = 100, 1 << 25
_UNFINISHED = object()


def load_t7(source):
    """The object in a .t7 file: None, bool, int, float, bytes, Table, TorchObject, Tensor, Storage or LuaFunction.

    Encoding, size of longs and gzip are detected. The file is read into memory once, and the storages of a plain binary
    file are views of that: nobody who writes to the file later changes them, and changing them never changes the file.

    Args:
        source: the path of a regular file, bytes, or a binary stream (read from where it stands to its end).

    Errors: OSError if the file can't be read, T7Error (an OSError) if it isn't a whole .t7 file.

    Example:
        >>> load_t7("vocab.t7")[b"a"]
        42
    """
    return load_with_dialect(source)[0]


def load_with_dialect(source) -> tuple[object, Dialect]:
    """What load_t7 gives, and how it was written. Arguments and errors as there."""
    content = _content(source)
    if content[:2] == b"\x1f\x8b":
        content = _unzipped(content)
    if content[: len(_LFS_START)] == _LFS_START:
        raise T7Error("it is a Git LFS pointer, not the file it stands for: fetch that with git lfs pull")
    if _ASCII_START.match(content):
        return _AsciiT7Reader(content).read_obj(), Dialect("ascii")
    # Longs of the wrong size soon make nonsense, and a file that ends where its object ends was read right.
    reader, short_reader = T7Reader(content, 8), T7Reader(content, 4)
    try:
        value, fault = reader.read_obj(), None
    except T7Error as e:
        value, fault = None, e
    if fault or reader.position < len(content):
        with contextlib.suppress(T7Error):
            short_value = short_reader.read_obj()
            if short_reader.position == len(content):
                return short_value, Dialect("binary", 4)
    if fault:
        raise fault
    return value, Dialect("binary", 8)


def _content(source):
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif hasattr(source, "read"):
        content = source.read()
    else:
        content = _file_content(source)
    if not len(content):
        raise T7Error("it is empty")
    return content


def _file_content(path: str | os.PathLike) -> bytearray:
    """All bytes of a file, in memory of our own.

    A memory map would be there at once, but whoever shortens a mapped file ends the process that reads it, and whoever
    writes to it changes what has been read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):  # opening a pipe might wait for ever
        raise T7Error("it is a device or a pipe, not a file")
    with open(path, "rb") as f:
        content = bytearray(os.fstat(f.fileno()).st_size)
        del content[f.readinto(content) :]  # it may have been shortened in between
    return content


def _unzipped(content) -> bytes:
    """The content of a gzip-ed file, unless it swells beyond what tensors ever do."""
    limit = max(_UNZIP_RATIO * len(content), _UNZIP_ALWAYS)
    unzip = zlib.decompressobj(wbits=31)
    try:
        unzipped = unzip.decompress(content, limit)
    except zlib.error as e:
        raise T7Error(f"it is a broken gzip file ({e})") from None
    if not unzip.eof:
        cause = "ends too early" if len(unzipped) < limit else f"unpacks to more than {limit} bytes"
        raise T7Error(f"it is a gzip file that {cause}")
    return unzipped


class T7Reader(torchfile.T7Reader):
    """Reads one object after another from `content`, bytes or a bytearray in the binary encoding.

    Attributes:
        position: byte offset of what is read next.
    """

    smallest_entry = 8  # bytes of a table entry: two types

    def __init__(self, content, long_size: int = 8):
        self.content = content
        self.long_size = long_size
        self.position = 0
        self.objects = {}

    # -- numbers and blocks ------------------------------------------------------------------------------------------

    def fault(self, what: str) -> T7Error:
        """The error for something wrong at the current byte."""
        return T7Error(f"{what} at byte {self.position}")

    def _take(self, n: int) -> int:
        """Move past the next n bytes; their offset."""
        start = self.position
        if n < 0 or n > len(self.content) - start:
            raise self.fault(f"the file ends too early or is no .t7 file: {n} bytes wanted")
        self.position = start + n
        return start

    def read_int(self) -> int:
        return struct.unpack_from("<i", self.content, self._take(4))[0]

    def read_long(self) -> int:
        return self.read_long_array(1)[0]

    def read_long_array(self, n: int) -> list[int]:
        letter = "q" if self.long_size == 8 else "i"
        return list(struct.unpack_from(f"<{n}{letter}", self.content, self._take(self.long_size * n)))

    def read_double(self) -> float:
        return struct.unpack_from("<d", self.content, self._take(8))[0]

    def read_string(self, disable_utf8: bool = True) -> bytes:
        n = self.read_int()
        start = self._take(n)
        return bytes(self.content[start : start + n])

    def read_array(self, dtype: np.dtype, n: int) -> np.ndarray:
        in_file = np.dtype(f"<i{self.long_size}") if dtype == "<i8" else dtype
        return np.frombuffer(self.content, in_file, n, self._take(n * in_file.itemsize)).astype(dtype, copy=False)

    # -- objects -----------------------------------------------------------------------------------------------------

    def read_obj(self):
        """The next object, whole. Objects that wait for their parts lie on a stack, so any nesting can be followed."""
        waiting: list = []
        while True:
            value = self._read_or_begin(waiting)
            while value is not _UNFINISHED:
                if not waiting:
                    return value
                value = waiting[-1].receive(value)
                if value is not _UNFINISHED:
                    waiting.pop()

    def _read_or_begin(self, waiting: list):
        """A value that needs no other object, or _UNFINISHED after pushing one that does."""
        kind = self.read_int()
        if kind == torchfile.TYPE_NUMBER:
            x = self.read_double()
            return int(x) if x.is_integer() and (x or math.copysign(1, x) > 0) else x
        if kind == torchfile.TYPE_STRING:
            return self.read_string()
        if kind == torchfile.TYPE_NIL:
            return None
        if kind == torchfile.TYPE_BOOLEAN:
            return self.read_int() == 1
        if kind not in _REFERENCE_TYPES:
            self.position -= 4
            no_t7 = "" if self.position else "it is no .t7 file: "
            raise self.fault(f"{no_t7}type {kind} is none of Torch7's")
        if kind == torchfile.TYPE_FUNCTION:  # the oldest way to write a function: without a number
            return self._begin_function(kind, waiting)
        index = self.read_int()
        if index in self.objects:
            return self.objects[index]
        if kind == torchfile.TYPE_TABLE:
            return self._begin_table(index, waiting)
        if kind == torchfile.TYPE_TORCH:
            return self._begin_torch_object(index, waiting)
        return self._begin_function(kind, waiting, index)

    def _begin_function(self, kind: int, waiting: list, index: int | None = None):
        function = LuaFunction(self.read_string(), kind=kind)
        if index is not None:
            self.objects[index] = function
        waiting.append(_FunctionInProgress(function))
        return _UNFINISHED

    def _begin_table(self, index: int, waiting: list):
        count = self.read_int()
        if not 0 <= count <= (len(self.content) - self.position) // self.smallest_entry:
            raise self.fault(f"a table of {count} entries does not fit the file")
        table = self.objects[index] = Table()
        if count == 0:
            return table
        waiting.append(_TableInProgress(self, table, count))
        return _UNFINISHED

    def _begin_torch_object(self, index: int, waiting: list):
        version, typename = None, self.read_string()
        if typename.startswith(b"V "):
            version = self._version_number(typename)
            typename = self.read_string()
        if typename in (b"tds.Hash", b"tds.Vec"):
            return self._begin_tds(index, typename, version, waiting)
        dtype = element_dtype(typename)
        if dtype is None:
            value = self.objects[index] = TorchObject(typename, None, version)
            waiting.append(_ObjectInProgress(self, value))
            return _UNFINISHED
        if not is_tensor_class(typename):
            storage = self.objects[index] = self._read_storage(typename, dtype, version)
            return storage
        n = self.read_int()
        if not 0 <= n <= _MAX_DIMENSIONS:
            raise self.fault(f"a tensor of {n} dimensions")
        shape, strides = self.read_long_array(n), self.read_long_array(n)
        tensor = self.objects[index] = Tensor(typename, None, shape, strides, self.read_long() - 1, version)
        waiting.append(_TensorInProgress(self, tensor))
        return _UNFINISHED

    def _begin_tds(self, index: int, typename: bytes, version: int, waiting: list):
        """tds.Hash and tds.Vec: their number of entries, then the entries; kept as an object around a Table."""
        count = self.read_long()
        if not 0 <= count <= (len(self.content) - self.position) // (self.smallest_entry // 2):
            raise self.fault(f"a {typename.decode()} of {count} entries does not fit the file")
        value = self.objects[index] = TorchObject(typename, Table(), version)
        if count == 0:
            return value
        keys = range(1, count + 1) if typename == b"tds.Vec" else None
        waiting.append(_TableInProgress(self, value.fields, count, keys, value))
        return _UNFINISHED

    def _version_number(self, text: bytes) -> int:
        try:
            return int(text[2:])
        except ValueError:
            raise self.fault(f"class version {text[:20]!r}") from None

    def _read_storage(self, typename: bytes, dtype: np.dtype, version: int | None) -> Storage:
        return Storage(typename, self.read_array(dtype, self.read_long()), version)


class _AsciiT7Reader(T7Reader):
    """The ASCII encoding: numbers in decimal, arrays separated by blanks, everything that isn't empty ends its line."""

    smallest_entry = 4  # two one-digit types, a line each

    def _words(self, n: int) -> list[bytes]:
        """The next n words and the line end after them."""
        if not 0 <= n <= (len(self.content) - self.position + 1) // 2:
            raise self.fault(f"the file ends too early or is no .t7 file: {n} numbers wanted")
        words = []
        for _ in range(n):
            match = _WORD.match(self.content, self.position)
            if not match:
                raise self.fault("a number expected")
            words.append(match[1])
            self.position = match.end()
        self._end_line(n)
        return words

    def _end_line(self, n: int) -> None:
        if n and self.content[self.position : self.position + 1] == b"\n":
            self.position += 1

    def _integers(self, n: int) -> list[int]:
        try:
            values = [int(word) for word in self._words(n)]
        except ValueError:
            raise self.fault("a whole number expected before") from None
        if any(not -(1 << 63) <= v < 1 << 63 for v in values):
            raise self.fault("a whole number beyond 64 bits before")
        return values

    def read_int(self) -> int:
        return self._integers(1)[0]

    def read_long_array(self, n: int) -> list[int]:
        return self._integers(n)

    def read_double(self) -> float:
        return float(self.read_array(np.dtype("<f8"), 1)[0])

    def read_string(self, disable_utf8: bool = True) -> bytes:
        n = self.read_int()
        start = self._take(n)
        self._end_line(n)
        return bytes(self.content[start : start + n])

    def read_array(self, dtype: np.dtype, n: int) -> np.ndarray:
        if dtype.itemsize == 1:  # bytes stand as they are
            start = self._take(n)
            self._end_line(n)
            return np.frombuffer(self.content, dtype, n, start).copy()
        words = self._words(n)
        try:
            return np.array([float(w) if dtype.kind == "f" else int(w) for w in words], dtype)
        except (ValueError, OverflowError):
            raise self.fault(f"an array of {dtype} with something else in it before") from None


class _TableInProgress:
    """A table whose keys and values are being read; `keys` where the file holds values only."""

    def __init__(self, reader: T7Reader, table: Table, count: int, keys=None, result=None):
        self.reader, self.table, self.left, self.key = reader, table, count, _UNFINISHED
        self.keys, self.result = keys and iter(keys), table if result is None else result

    def receive(self, value):
        if self.keys:
            self.key = next(self.keys)
        elif self.key is _UNFINISHED:
            if value is None or value != value:
                raise self.reader.fault("a table key that is nil or NaN")
            self.key = BooleanKey.of(value) if isinstance(value, bool) else value
            return _UNFINISHED
        self.table[self.key] = value
        self.key = _UNFINISHED
        self.left -= 1
        return _UNFINISHED if self.left else self.result


class _ObjectInProgress:
    """An object whose table of fields is being read."""

    def __init__(self, reader: T7Reader, value: TorchObject):
        self.reader, self.value = reader, value

    def receive(self, fields):
        self.value.fields = fields
        return self.value


class _TensorInProgress:
    """A tensor whose storage is being read; believed only if every element lies inside it."""

    def __init__(self, reader: T7Reader, tensor: Tensor):
        self.reader, self.tensor = reader, tensor

    def receive(self, storage):
        tensor = self.tensor
        if storage is not None:
            if not isinstance(storage, Storage) or storage.data.dtype != element_dtype(tensor.typename):
                raise self.reader.fault(f"the storage of a {tensor.typename.decode()} is {storage!r:.60}")
            self._check_inside(tensor, len(storage))
        elif any(tensor.shape):
            raise self.reader.fault(f"a tensor of shape {tensor.shape} without storage")
        tensor.storage = storage
        return tensor

    def _check_inside(self, tensor: Tensor, length: int) -> None:
        shape, strides, first = tensor.shape, tensor.strides, tensor.offset
        if any(n < 0 for n in shape) or any(s < 0 for s in strides) or first < 0:
            raise self.reader.fault(f"a tensor of shape {shape}, strides {strides}, offset {first}")
        if not shape or 0 in shape:
            return
        last = first + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if last >= length:
            raise self.reader.fault(f"a tensor reaches element {last} of a storage of {length}")


class _FunctionInProgress:
    """A function whose upvalues are being read."""

    def __init__(self, function: LuaFunction):
        self.function = function

    def receive(self, upvalues):
        self.function.upvalues = upvalues
        return self.function
