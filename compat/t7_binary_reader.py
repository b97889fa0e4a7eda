"""Reads the binary encoding of .t7 files, based on torchfile's reader.

Any bytes give a value or T7Error: every size is checked against the file, nested objects lie on an explicit stack, and
nothing is executed. Source: File.lua, generic/Tensor.c and generic/Storage.c of torch7.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import torchfile

from compat import file_magic
from compat.t7_content import memory_for
from compat.t7_element_types import NUMBER_ENTRY, element_dtype, is_tensor_class
from compat.t7_frames import UNFINISHED, UnfinishedFunction, UnfinishedObject, UnfinishedTable, UnfinishedTensor
from compat.t7_objects import (
    DamagedT7Error,
    Dialect,
    LuaFunction,
    Storage,
    T7Error,
    Table,
    Tensor,
    TorchObject,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.t7_frames import Marker, Unfinished
    from compat.t7_objects import Array, T7Value

    _TorchfileReader = object  # torchfile has no types of its own
else:
    _TorchfileReader = torchfile.T7Reader

_FUNCTION_TYPES = (torchfile.TYPE_FUNCTION, torchfile.TYPE_RECUR_FUNCTION, torchfile.LEGACY_TYPE_RECUR_FUNCTION)
_REFERENCE_TYPES = (torchfile.TYPE_TABLE, torchfile.TYPE_TORCH, *_FUNCTION_TYPES)
_MAX_DIMENSIONS = 32  # as many as every NumPy allows; Torch7 programs use up to 5
# What a value takes in memory, in bytes, as measured with tracemalloc. Some kinds of objects take twenty times their
# bytes in the file, so that only counting bounds the memory. Tensors and storages are objects too.
_OBJECT, _TENSOR, _DIMENSION, _STORAGE, _TEXT = 120, 110, 80, 170, 50
_NUMBER, _EMPTY_TABLE, _TABLE, _ENTRY = 32, 160, 330, 80
_FREE_ENTRIES = 5  # entries for which _TABLE already pays: Python makes room for them at once
# Tables of numbers come with millions of entries. From _BLOCK_FROM entries on, a table is searched for entries that are
# two numbers, and those are read _BLOCK entries at a time.
_BLOCK_FROM, _BLOCK = 32, 1 << 14
_INT, _DOUBLE = struct.Struct("<i"), struct.Struct("<d")


class T7Reader(_TorchfileReader):
    """Reads one object after another from bytes in the binary encoding.

    Attributes:
        position: byte offset of the next read. objects: number in the file -> object.
        memory: bytes that objects may still take beside `content`; None: in proportion to its size.
        has_longs: whether a long has been read.
    """

    smallest_entry = 8  # bytes of a table entry: two types

    def __init__(self, content: bytes | bytearray, long_size: int = 8, memory: int | None = None):
        self.content = content
        self.long_size = long_size
        self.position = 0
        self.memory = memory_for(len(content)) - len(content) if memory is None else memory
        self.has_longs = False
        self.objects: dict[int, T7Value] = {}

    @property
    def dialect(self) -> Dialect:
        return Dialect("binary", self.long_size)

    def at_end(self) -> bool:
        return self.position == len(self.content)

    # -- numbers and blocks ------------------------------------------------------------------------------------------

    def fault(self, what: str, error: type[T7Error] = DamagedT7Error) -> T7Error:
        """An error with the current position."""
        return error(f"{what} at byte {self.position}")

    def early_end(self, what: str) -> T7Error:
        return self.fault(f"the file ends too early or is not a .t7 file: {what}")

    def _charge(self, n: int) -> None:
        """Count n bytes of memory. Errors: T7Error beyond the limit."""
        self.memory -= n
        if self.memory < 0:
            raise self.fault("it unfolds to far more than its size, as no checkpoint does,", T7Error)

    def _take(self, n: int) -> int:
        """Advance by n bytes and return their offset. Errors: T7Error at the end of the file."""
        start = self.position
        if n < 0:
            raise self.fault("the file has a negative length", T7Error)
        if n > len(self.content) - start:
            raise self.early_end(f"{n} bytes wanted")
        self.position = start + n
        return start

    def read_int(self) -> int:
        value: int = _INT.unpack_from(self.content, self._take(4))[0]
        return value

    def read_long(self) -> int:
        return self.read_long_array(1)[0]

    def read_long_array(self, n: int) -> list[int]:
        self.has_longs = True
        letter = "q" if self.long_size == 8 else "i"
        return list(struct.unpack_from(f"<{n}{letter}", self.content, self._take(self.long_size * n)))

    def read_double(self) -> float:
        value: float = _DOUBLE.unpack_from(self.content, self._take(8))[0]
        return value

    def read_string(self, disable_utf8: bool = True) -> bytes:
        """A string, preceded by its length; torchfile's parameter `disable_utf8` is ignored."""
        n = self.read_int()
        start = self._take(n)
        self._charge(n + _TEXT)
        return bytes(self.content[start : start + n])

    def read_array(self, dtype: np.dtype[Any], n: int) -> Array:
        """The next n elements of a storage, shape (n,); a view of `content` if the element size is the same."""
        in_file: np.dtype[Any] = np.dtype(f"<i{self.long_size}") if dtype == "<i8" else dtype
        array = np.frombuffer(self.content, in_file, n, self._take(n * in_file.itemsize))
        if in_file != dtype:
            self._charge(n * dtype.itemsize)
        return array.astype(dtype, copy=False)

    # -- objects -----------------------------------------------------------------------------------------------------

    def read_obj(self) -> T7Value:
        """The next object with its parts, nested to any depth. Errors: T7Error."""
        waiting: list[Unfinished] = []
        while True:
            value = self._read_or_begin(waiting)
            while value is not UNFINISHED:
                if not waiting:
                    return value
                value = waiting[-1].receive(value)
                if value is not UNFINISHED:
                    waiting.pop()

    def _read_or_begin(self, waiting: list[Unfinished]) -> T7Value | Marker:
        """A value without parts; or UNFINISHED once an object with parts has been pushed."""
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
            if not self.position and not file_magic.has_t7_class(self.content):
                raise T7Error(f"it is {file_magic.OTHER_PROGRAM}")
            raise self.fault(f"type {kind} is none of Torch7's")
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

    def _begin_function(self, kind: int, waiting: list[Unfinished], index: int | None = None) -> Marker:
        self._charge(_OBJECT)
        function = LuaFunction(self.read_string(), kind=kind)
        if index is not None:
            self.objects[index] = function
        waiting.append(UnfinishedFunction(function))
        return UNFINISHED

    def _begin_table(self, index: int, waiting: list[Unfinished]) -> Table | Marker:
        count = self.read_int()
        if not 0 <= count <= (len(self.content) - self.position) // self.smallest_entry:
            raise self.fault(f"a table of {count} entries does not fit the file")
        self._charge(_TABLE if count else _EMPTY_TABLE)
        table = self.objects[index] = Table()
        count -= self._read_numbers(table, count) if count >= _BLOCK_FROM else 0
        if count == 0:
            return table
        self._charge(max(count - _FREE_ENTRIES, 0) * _ENTRY)
        waiting.append(UnfinishedTable(self.fault, table, count))
        return UNFINISHED

    def _read_numbers(self, table: Table, count: int) -> int:
        """Read up to `count` entries into a table while they are pairs of numbers; returns how many."""
        done = 0
        while done < count:
            n = min(count - done, _BLOCK, (len(self.content) - self.position) // NUMBER_ENTRY.itemsize)
            block = np.frombuffer(self.content[self.position : self.position + n * NUMBER_ENTRY.itemsize], NUMBER_ENTRY)
            good = (block["key_type"] == torchfile.TYPE_NUMBER) & (block["type"] == torchfile.TYPE_NUMBER)
            good &= block["key"] == block["key"]  # NaN is no key
            numbers = n if good.all() else int(good.argmin())
            self._charge(2 * numbers * NUMBER_ENTRY.itemsize)
            keys, values = (_lua_numbers(block[part][:numbers]) for part in ("key", "value"))
            table.update(zip(keys, values, strict=True))
            self.position += numbers * NUMBER_ENTRY.itemsize
            done += numbers
            if numbers < _BLOCK:
                break
        return done

    def _begin_torch_object(self, index: int, waiting: list[Unfinished]) -> T7Value | Marker:
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
            waiting.append(UnfinishedObject(value))
            return UNFINISHED
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
        waiting.append(UnfinishedTensor(self.fault, tensor))
        return UNFINISHED

    def _begin_tds(
        self, index: int, typename: bytes, version: int | None, waiting: list[Unfinished]
    ) -> TorchObject | Marker:
        """Begin a tds.Hash or tds.Vec: an entry count, then the entries; kept as an object with a Table."""
        count = self.read_long()
        if not 0 <= count <= (len(self.content) - self.position) // (self.smallest_entry // 2):
            raise self.fault(f"a {typename.decode()} of {count} entries does not fit the file")
        self._charge(_TABLE + max(count - _FREE_ENTRIES, 0) * _ENTRY)
        table = Table()
        value = self.objects[index] = TorchObject(typename, table, version)
        if count == 0:
            return value
        keys = range(1, count + 1) if typename == b"tds.Vec" else None
        waiting.append(UnfinishedTable(self.fault, table, count, keys, value))
        return UNFINISHED

    def _version_number(self, text: bytes) -> int:
        """b"V 1" -> 1. Errors: T7Error."""
        if not re.fullmatch(rb"V -?[0-9]{1,9}", text):
            raise self.fault(f"class version {text[:20]!r}")
        return int(text[2:])

    def _read_storage(self, typename: bytes, dtype: np.dtype[Any], version: int | None) -> Storage:
        return Storage(typename, self.read_array(dtype, self.read_long()), version)


def _lua_number(x: float) -> float:
    """An int for a whole number other than -0."""
    return int(x) if x.is_integer() and (x or math.copysign(1, x) > 0) else x


def _lua_numbers(array: npt.NDArray[np.float64]) -> list[float]:
    whole = (np.abs(array) < 1 << 63) & (array == np.trunc(array)) & ((array != 0) | ~np.signbit(array))
    if whole.all():
        integers: list[float] = array.astype(np.int64).tolist()
        return integers
    return [_lua_number(x) for x in array.tolist()]
