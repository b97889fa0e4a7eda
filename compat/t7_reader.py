"""Read Torch7's .t7 files: torchfile's reader, hardened.

A file is one object; docs/t7.md describes the format. Every size is checked against the file before it is believed,
nesting is followed on a stack of our own, and nothing is ever executed: whatever the bytes, the outcome is a value
or T7Error. Source: File.lua, generic/Tensor.c and generic/Storage.c of torch7.
"""

from __future__ import annotations

import math
import os
import re
import stat
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torchfile

from compat import foreign
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
_MAX_DIMENSIONS = 32  # as many as every NumPy allows; Torch7 programs use up to 5
_ASCII_START = re.compile(rb"[0-8]\n")
_INTEGER = re.compile(rb"\s*([-+]?[0-9]{1,20})(?![-+.\w])\n?")
_REAL = re.compile(rb"\s*([-+.\w]{1,64})(?![-+.\w])\n?")
_SPARE = 240 << 20  # bytes of memory that what is read may take beyond three times the file
_UNZIP_RATIO, _UNZIP_ALWAYS, _UNZIP_PIECE = 4, 1 << 25, 1 << 20
# What a value takes in memory, in bytes, as measured with tracemalloc; some kinds of object take twenty times their
# bytes in the file, so that only counting bounds the memory. Tensors and storages are objects too.
_OBJECT, _TENSOR, _DIMENSION, _STORAGE, _TEXT = 120, 110, 80, 170, 50
_NUMBER, _EMPTY_TABLE, _TABLE, _ENTRY = 32, 160, 330, 80
_ROOM = 5  # entries that a table which is not empty has room for from the start
# A table from this many entries on is looked at for entries that are two numbers, which come by the million.
_MANY, _BLOCK = 32, 1 << 14
_PIECE = 1 << 16  # bytes of ASCII that are cut into words at a time
_BLANKS = re.compile(rb"\s*")
_INT, _DOUBLE = struct.Struct("<i"), struct.Struct("<d")
_NUMBERS = np.dtype([("key_type", "<i4"), ("key", "<f8"), ("type", "<i4"), ("value", "<f8")])
_UNFINISHED = object()
MOST_FURTHER = 10_000  # objects after the first that `survey` counts


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
    reader, value = _first(source)
    return value, reader.dialect


@dataclass(frozen=True)
class Survey:
    """All of a file.

    Attributes:
        value, dialect: as load_with_dialect gives them.
        further: how many whole objects follow the first, at most MOST_FURTHER: more are not counted.
        unread: bytes after the last of them, which are no object.
    """

    value: object
    dialect: Dialect
    further: int
    unread: int


def survey(source) -> Survey:
    """What load_t7 gives, and what else the file holds. Arguments and errors as there."""
    reader, value = _first(source)
    # Files that were joined begin to number their objects anew; what one program writes, object after object, does not.
    start, objects = reader.position, reader.objects
    further, unread = _further(reader, anew=True)
    if unread:
        reader.position, reader.objects = start, objects
        further, unread = min((further, unread), _further(reader, anew=False), key=lambda found: found[1])
    return Survey(value, reader.dialect, further, unread)


def _further(reader: T7Reader, anew: bool) -> tuple[int, int]:
    """(how many objects follow, how many bytes after them are none); `anew`: each with numbers of its own."""
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


def _first(source) -> tuple[T7Reader, object]:
    """The first object of a file, and its reader, which stands after that. Errors: as load_t7."""
    content = _content(source)
    size = len(content)
    if content[:2] == b"\x1f\x8b":
        content = _unzipped(content)
    memory = 3 * size + _SPARE - len(content)
    try:
        if _ASCII_START.match(content):
            reader = _AsciiT7Reader(content, memory=memory)
            return reader, reader.read_obj()
        return _first_binary(content, memory)
    except T7Error:
        if kind := foreign.name_of(content):
            raise T7Error(f"it is {kind}") from None
        raise


def _first_binary(content, memory: int) -> tuple[T7Reader, object]:
    """Longs of the wrong size soon make nonsense, and a file that ends where its object ends was read right."""
    reader, value, fault = T7Reader(content, 8, memory), None, None
    try:
        value = reader.read_obj()
    except T7Error as e:
        fault = e.with_traceback(None)  # it holds on to all that has been read, as the reader does
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


def _content(source):
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif hasattr(source, "read"):
        content = source.read()
    else:
        content = file_content(source)
    if not len(content):
        raise T7Error("it is empty")
    return content


def file_content(path: str | os.PathLike) -> bytearray:
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


def _unzipped(content) -> bytearray:
    """The content of a gzip-ed file, unless it swells beyond what weights and zeros beside them do."""
    limit = _UNZIP_RATIO * len(content) + _UNZIP_ALWAYS
    unzip, unzipped = zlib.decompressobj(wbits=31), bytearray()
    try:
        for start in range(0, len(content), _UNZIP_PIECE):
            packed = content[start : start + _UNZIP_PIECE]
            while packed and not unzip.eof:
                unzipped += unzip.decompress(packed, _UNZIP_PIECE)
                if len(unzipped) > limit:
                    raise T7Error(f"it is a gzip file that unpacks to more than {limit} bytes")
                packed = unzip.unconsumed_tail
    except zlib.error as e:
        raise T7Error(f"it is a broken gzip file ({e})") from None
    if not unzip.eof:
        raise T7Error("it is a gzip file that ends too early")
    return unzipped


class T7Reader(torchfile.T7Reader):
    """Reads one object after another from `content`, bytes or a bytearray in the binary encoding.

    Args:
        memory: bytes that what is read may take, beside `content`; None: in proportion to it.

    Attributes:
        position: byte offset of what is read next.
        memory: what is left of it.
        has_longs: whether something has been read that depends on the size of longs.
    """

    smallest_entry = 8  # bytes of a table entry: two types

    def __init__(self, content, long_size: int = 8, memory: int | None = None):
        self.content = content
        self.long_size = long_size
        self.position = 0
        self.memory = 2 * len(content) + _SPARE if memory is None else memory
        self.has_longs = False
        self.objects = {}

    @property
    def dialect(self) -> Dialect:
        return Dialect("binary", self.long_size)

    def at_end(self) -> bool:
        """Whether nothing follows."""
        return self.position == len(self.content)

    # -- numbers and blocks ------------------------------------------------------------------------------------------

    def fault(self, what: str) -> T7Error:
        """The error for something wrong at the current byte."""
        return T7Error(f"{what} at byte {self.position}")

    def _charge(self, n: int) -> None:
        """Take n bytes of memory."""
        self.memory -= n
        if self.memory < 0:
            raise self.fault("it unfolds to far more than its size, as no checkpoint does,")

    def _take(self, n: int) -> int:
        """Move past the next n bytes; their offset."""
        start = self.position
        if n < 0 or n > len(self.content) - start:
            raise self.fault(f"the file ends too early or is no .t7 file: {n} bytes wanted")
        self.position = start + n
        return start

    def read_int(self) -> int:
        return _INT.unpack_from(self.content, self._take(4))[0]

    def read_long(self) -> int:
        return self.read_long_array(1)[0]

    def read_long_array(self, n: int) -> list[int]:
        self.has_longs = True
        letter = "q" if self.long_size == 8 else "i"
        return list(struct.unpack_from(f"<{n}{letter}", self.content, self._take(self.long_size * n)))

    def read_double(self) -> float:
        return _DOUBLE.unpack_from(self.content, self._take(8))[0]

    def read_string(self, disable_utf8: bool = True) -> bytes:
        n = self.read_int()
        start = self._take(n)
        self._charge(n + _TEXT)
        return bytes(self.content[start : start + n])

    def read_array(self, dtype: np.dtype, n: int) -> np.ndarray:
        in_file = np.dtype(f"<i{self.long_size}") if dtype == "<i8" else dtype
        array = np.frombuffer(self.content, in_file, n, self._take(n * in_file.itemsize))
        if in_file != dtype:
            self._charge(n * dtype.itemsize)
        return array.astype(dtype, copy=False)

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
            self.memory -= _NUMBER
            return _lua_number(self.read_double())
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
        self._charge(_OBJECT)
        function = LuaFunction(self.read_string(), kind=kind)
        if index is not None:
            self.objects[index] = function
        waiting.append(_FunctionInProgress(function))
        return _UNFINISHED

    def _begin_table(self, index: int, waiting: list):
        count = self.read_int()
        if not 0 <= count <= (len(self.content) - self.position) // self.smallest_entry:
            raise self.fault(f"a table of {count} entries does not fit the file")
        self._charge(_TABLE if count else _EMPTY_TABLE)
        table = self.objects[index] = Table()
        count -= self._read_numbers(table, count) if count >= _MANY else 0
        if count == 0:
            return table
        self._charge(max(count - _ROOM, 0) * _ENTRY)
        waiting.append(_TableInProgress(self, table, count))
        return _UNFINISHED

    def _read_numbers(self, table: Table, count: int) -> int:
        """Put the next entries into a table as long as they are two numbers, at most `count`; how many those are."""
        done = 0
        while done < count:
            n = min(count - done, _BLOCK, (len(self.content) - self.position) // _NUMBERS.itemsize)
            block = np.frombuffer(self.content[self.position : self.position + n * _NUMBERS.itemsize], _NUMBERS)
            good = (block["key_type"] == torchfile.TYPE_NUMBER) & (block["type"] == torchfile.TYPE_NUMBER)
            good &= block["key"] == block["key"]  # NaN is no key
            numbers = n if good.all() else int(good.argmin())
            self._charge(2 * numbers * _NUMBERS.itemsize)
            keys, values = (_lua_numbers(block[part][:numbers]) for part in ("key", "value"))
            table.update(zip(keys, values, strict=True))
            self.position += numbers * _NUMBERS.itemsize
            done += numbers
            if numbers < _BLOCK:
                break
        return done

    def _begin_torch_object(self, index: int, waiting: list):
        self._charge(_OBJECT)
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
            self._charge(_STORAGE)
            storage = self.objects[index] = self._read_storage(typename, dtype, version)
            return storage
        n = self.read_int()
        if not 0 <= n <= _MAX_DIMENSIONS:
            raise self.fault(f"a tensor of {n} dimensions")
        self._charge(_TENSOR + n * _DIMENSION)
        shape, strides = self.read_long_array(n), self.read_long_array(n)
        tensor = self.objects[index] = Tensor(typename, None, shape, strides, self.read_long() - 1, version)
        waiting.append(_TensorInProgress(self, tensor))
        return _UNFINISHED

    def _begin_tds(self, index: int, typename: bytes, version: int, waiting: list):
        """tds.Hash and tds.Vec: their number of entries, then the entries; kept as an object around a Table."""
        count = self.read_long()
        if not 0 <= count <= (len(self.content) - self.position) // (self.smallest_entry // 2):
            raise self.fault(f"a {typename.decode()} of {count} entries does not fit the file")
        self._charge(_TABLE + max(count - _ROOM, 0) * _ENTRY)
        value = self.objects[index] = TorchObject(typename, Table(), version)
        if count == 0:
            return value
        keys = range(1, count + 1) if typename == b"tds.Vec" else None
        waiting.append(_TableInProgress(self, value.fields, count, keys, value))
        return _UNFINISHED

    def _version_number(self, text: bytes) -> int:
        if not re.fullmatch(rb"V -?[0-9]{1,9}", text):
            raise self.fault(f"class version {text[:20]!r}")
        return int(text[2:])

    def _read_storage(self, typename: bytes, dtype: np.dtype, version: int | None) -> Storage:
        return Storage(typename, self.read_array(dtype, self.read_long()), version)


class _AsciiT7Reader(T7Reader):
    """The ASCII encoding: numbers in decimal, arrays separated by blanks, everything that isn't empty ends its line."""

    smallest_entry = 4  # two one-digit types, a line each

    @property
    def dialect(self) -> Dialect:
        return Dialect("ascii")

    def at_end(self) -> bool:
        return _BLANKS.match(self.content, self.position).end() == len(self.content)

    def _word(self, pattern: re.Pattern) -> bytes:
        """The next word, if it is like `pattern`; the line end after it is passed too."""
        match = pattern.match(self.content, self.position)
        if not match:
            raise self.fault("the file ends too early or is no .t7 file: a number expected")
        self.position = match.end()
        return match[1]

    def _words(self, most: int) -> list[bytes]:
        """Some of the next words, `most` at most, and, if that many, the line end after them."""
        piece = bytes(self.content[self.position : self.position + _PIECE])
        if len(piece) == _PIECE:  # whose end may be half a word
            piece = piece[: max(piece.rfind(b" "), piece.rfind(b"\n"), 0)]
        words = piece.split(None, most)
        if len(words) > most:
            piece = piece[: len(piece) - len(words.pop())].rstrip()
        if not words:
            raise self.fault("the file ends too early or is no .t7 file: a number expected")
        self.position += len(piece)
        if len(words) == most:
            self._end_line(most)
        return words

    def _end_line(self, n: int) -> None:
        if n and self.content[self.position : self.position + 1] == b"\n":
            self.position += 1

    def read_int(self) -> int:
        value = int(self._word(_INTEGER))
        if not -(1 << 63) <= value < 1 << 63:
            raise self.fault("a whole number beyond 64 bits before")
        return value

    def read_long_array(self, n: int) -> list[int]:
        return [self.read_int() for _ in range(n)]

    def read_double(self) -> float:
        word = self._word(_REAL)
        try:
            return float(word)
        except ValueError:
            raise self.fault("a number expected before") from None

    def read_string(self, disable_utf8: bool = True) -> bytes:
        text = super().read_string()
        self._end_line(len(text))
        return text

    def _read_numbers(self, table: Table, count: int) -> int:
        return 0

    def read_array(self, dtype: np.dtype, n: int) -> np.ndarray:
        if dtype.itemsize == 1:  # bytes stand as they are
            start = self._take(n)
            self._charge(n)
            self._end_line(n)
            return np.frombuffer(self.content, dtype, n, start).copy()
        if not 0 <= n <= (len(self.content) - self.position + 1) // 2:
            raise self.fault(f"the file ends too early or is no .t7 file: {n} numbers wanted")
        self._charge(n * dtype.itemsize)
        array, filled = np.empty(n, dtype), 0
        while filled < n:
            words = self._words(n - filled)
            try:
                array[filled : filled + len(words)] = list(map(float if dtype.kind == "f" else int, words))
            except (ValueError, OverflowError):
                raise self.fault(f"an array of {dtype} with something else in it before") from None
            filled += len(words)
        return array


def _lua_number(x: float) -> float:
    """A number of Lua as an int, if it is whole; -0 is not."""
    return int(x) if x.is_integer() and (x or math.copysign(1, x) > 0) else x


def _lua_numbers(array: np.ndarray) -> list[float]:
    """_lua_number of each number, for an array of float64."""
    whole = (np.abs(array) < 1 << 63) & (array == np.trunc(array)) & ((array != 0) | ~np.signbit(array))
    if whole.all():
        return array.astype(np.int64).tolist()
    return [_lua_number(x) for x in array.tolist()]


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
    """A tensor whose storage is being read; believed only if every element lies inside it.

    It may have more elements than the storage: Torch7's `expand` makes such tensors, and a file that holds one beside a
    model is whole. Tensor.numpy refuses to make an array of it.
    """

    def __init__(self, reader: T7Reader, tensor: Tensor):
        self.reader, self.tensor = reader, tensor

    def receive(self, storage):
        tensor = self.tensor
        if storage is not None:
            if not isinstance(storage, Storage) or storage.data.dtype != element_dtype(tensor.typename):
                raise self.reader.fault(f"the storage of a {tensor.typename.decode()} is {storage!r:.60}")
        elif any(tensor.shape):
            raise self.reader.fault(f"a tensor of shape {tensor.shape!s:.80} without storage")
        tensor.storage = storage
        if storage is not None and (fault := tensor.place_fault()):
            raise self.reader.fault(fault)
        return tensor


class _FunctionInProgress:
    """A function whose upvalues are being read."""

    def __init__(self, function: LuaFunction):
        self.function = function

    def receive(self, upvalues):
        self.function.upvalues = upvalues
        return self.function
