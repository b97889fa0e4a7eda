"""Read Torch7's .t7 files: torchfile's reader, hardened.

A file is one object; docs/t7.md describes the format. Every size is checked against the file before it is believed,
nesting is followed on a stack of our own, and nothing is ever executed: whatever the bytes, the outcome is a value
or T7Error. Source: File.lua, generic/Tensor.c and generic/Storage.c of torch7.
"""

from __future__ import annotations

import math
import mmap
import os
import struct

import numpy as np
import torchfile

from compat.t7_objects import (
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
_UNFINISHED = object()


def load_t7(path: str | os.PathLike):
    """The object in a .t7 file: None, bool, int, float, bytes, Table, TorchObject, Tensor, Storage or LuaFunction.

    Storages are views of the memory-mapped file, private to this process: changing them never changes the file.

    Errors: OSError if the file can't be opened, T7Error (an OSError) if it isn't a whole .t7 file.

    Example:
        >>> load_t7("vocab.t7")[b"a"]
        42
    """
    with open(path, "rb") as f:
        if os.fstat(f.fileno()).st_size == 0:
            raise T7Error("it is empty")
        content = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
    return T7Reader(content).read_obj()


class T7Reader(torchfile.T7Reader):
    """Reads one object after another from `content`, bytes or a memory map in the binary encoding, 8-byte longs."""

    def __init__(self, content):
        self.content = content
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
        return struct.unpack_from("<q", self.content, self._take(8))[0]

    def read_long_array(self, n: int) -> list[int]:
        return list(struct.unpack_from(f"<{n}q", self.content, self._take(8 * n)))

    def read_double(self) -> float:
        return struct.unpack_from("<d", self.content, self._take(8))[0]

    def read_string(self, disable_utf8: bool = True) -> bytes:
        n = self.read_int()
        start = self._take(n)
        return self.content[start : start + n]

    def read_array(self, dtype: np.dtype, n: int) -> np.ndarray:
        return np.frombuffer(self.content, dtype, n, self._take(n * dtype.itemsize))

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
            raise self.fault(f"type {kind} is none of Torch7's")
        index = self.read_int()
        if index in self.objects:
            return self.objects[index]
        if kind == torchfile.TYPE_TABLE:
            return self._begin_table(index, waiting)
        if kind == torchfile.TYPE_TORCH:
            return self._begin_torch_object(index, waiting)
        function = self.objects[index] = LuaFunction(self.read_string())
        waiting.append(_FunctionInProgress(function))
        return _UNFINISHED

    def _begin_table(self, index: int, waiting: list):
        count = self.read_int()
        if not 0 <= count <= (len(self.content) - self.position) // 8:  # an entry takes at least two 4-byte types
            raise self.fault(f"a table of {count} entries does not fit the file")
        table = self.objects[index] = Table()
        if count == 0:
            return table
        waiting.append(_TableInProgress(self, table, count))
        return _UNFINISHED

    def _begin_torch_object(self, index: int, waiting: list):
        version, typename = 0, self.read_string()
        if typename.startswith(b"V "):
            version = self._version_number(typename)
            typename = self.read_string()
        dtype = element_dtype(typename)
        if dtype is None:
            value = self.objects[index] = TorchObject(typename, None, version)
            waiting.append(_ObjectInProgress(self, value))
            return _UNFINISHED
        if not is_tensor_class(typename):
            storage = self.objects[index] = Storage(typename, self._read_elements(dtype), version)
            return storage
        n = self.read_int()
        if not 0 <= n <= _MAX_DIMENSIONS:
            raise self.fault(f"a tensor of {n} dimensions")
        shape, strides = self.read_long_array(n), self.read_long_array(n)
        tensor = self.objects[index] = Tensor(typename, None, shape, strides, self.read_long() - 1, version)
        waiting.append(_TensorInProgress(self, tensor))
        return _UNFINISHED

    def _version_number(self, text: bytes) -> int:
        try:
            return int(text[2:])
        except ValueError:
            raise self.fault(f"class version {text[:20]!r}") from None

    def _read_elements(self, dtype: np.dtype) -> np.ndarray:
        return self.read_array(dtype, self.read_long())


class _TableInProgress:
    """A table whose keys and values are being read."""

    def __init__(self, reader: T7Reader, table: Table, count: int):
        self.reader, self.table, self.left, self.key = reader, table, count, _UNFINISHED

    def receive(self, value):
        if self.key is _UNFINISHED:
            if value is None or value != value:
                raise self.reader.fault("a table key that is nil or NaN")
            self.key = value
            return _UNFINISHED
        self.table[self.key] = value
        self.key = _UNFINISHED
        self.left -= 1
        return _UNFINISHED if self.left else self.table


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
