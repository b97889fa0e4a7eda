"""Writes Torch7's .t7 files, binary or ASCII, as Lua's torch.save does.

Each object is numbered and written once. Source: File.lua, generic/Tensor.c and generic/Storage.c of torch7.
"""

from __future__ import annotations

import math
import os
import struct
from array import array
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torchfile

from compat.atomic_write import atomic_write
from compat.t7_element_types import NUMBER_ENTRY, element_dtype, torch_type
from compat.t7_objects import BooleanKey, LuaFunction, Storage, Tensor, TorchObject

if TYPE_CHECKING:
    from typing import Any

    from compat.t7_objects import Array, T7Encoding

    _TableLike = dict[Any, Any] | list[Any] | tuple[Any, ...] | array[float]

_INT = struct.Struct("<i")
_NUMBER = struct.Struct("<id")
_PIECE = 1 << 20  # elements written at a time


def save_t7(
    path: str | os.PathLike[str],
    value: object,
    encoding: T7Encoding = "binary",
    long_size: int = 8,
    written: Callable[[int], None] = lambda count: None,
) -> None:
    """Write `value` atomically, for load_t7 and Lua's torch.load.

    Args:
        value: as load_t7 returns; also dict, list, tuple and array.array("d") (as tables), str (as UTF-8), and NumPy
            scalars (as numbers and booleans) and arrays (as tensors; an empty one without its shape, as Torch7's).
        encoding: "binary", or "ascii" as torch.save(path, value, 'ascii').
        long_size: bytes of a long in the binary encoding; 4 for Torch7 on Windows or a 32-bit system.
        written: called with the number of elements just written.

    Errors: OSError; TypeError for a value without a Torch7 type; ValueError for a number beyond the long size or
        the range of a double, and for a key that is None or NaN.

    Example:
        >>> save_t7("numbers.t7", {"mean": 0.5, "values": np.arange(3.0)})
    """
    with atomic_write(path) as f:
        writer = _AsciiT7Writer(f, 8, written) if encoding == "ascii" else T7Writer(f, long_size, written)
        writer.write_obj(value)


class T7Writer:
    """Writes objects to a binary file, each once and then as a reference; arguments as for save_t7."""

    def __init__(self, f: BinaryIO, long_size: int = 8, written: Callable[[int], None] = lambda count: None):
        self._f = f
        self._long_size = long_size
        self._written = written
        self._index: dict[int, int] = {}  # id(object) -> its number in the file
        self._alive: list[object] = []  # the numbered objects, since Python reuses the id of a dead object

    def write_obj(self, value: object) -> None:
        pending = [iter((value,))]
        while pending:
            for part in pending[-1]:
                rest = self._write_one(part)
                if rest is not None:
                    pending.append(rest)
                    break
            else:
                pending.pop()

    def _write_one(self, value: object) -> Iterator[object] | None:
        """Write the start of `value`; returns an iterator of its parts, or None."""
        if isinstance(value, (dict, list, tuple, array)):
            return self._write_table(value)
        if isinstance(value, bytes):
            self._int(torchfile.TYPE_STRING)
            self._string(value)
        elif isinstance(value, (bool, np.bool_, BooleanKey)):
            self._int(torchfile.TYPE_BOOLEAN)
            self._int(value.value if isinstance(value, BooleanKey) else bool(value))
        elif isinstance(value, (int, float, np.integer, np.floating)):
            self._number(_double(value))
        elif value is None:
            self._int(torchfile.TYPE_NIL)
        elif isinstance(value, TorchObject):
            return self._write_object(value)
        elif isinstance(value, Tensor):
            return self._write_tensor(value)
        elif isinstance(value, Storage):
            self._write_storage(value)
        elif isinstance(value, LuaFunction):
            return self._write_function(value)
        elif isinstance(value, str):
            self._int(torchfile.TYPE_STRING)
            self._string(value.encode())
        elif hasattr(value, "__array__"):
            return self._write_array(np.asarray(value))
        else:
            raise TypeError(f"a value of type {type(value).__name__} can't be written to a .t7 file")
        return None

    def _write_table(self, value: _TableLike) -> Iterator[object] | None:
        """Write a table's number and size; returns its keys and values, or None if it has been written before."""
        if not self._begin(torchfile.TYPE_TABLE, value):
            return None
        self._int(len(value))
        if isinstance(value, array):
            return self._write_numbers(value)
        if isinstance(value, dict) and any(key is None or _is_nan(key) for key in value):
            raise ValueError("a table of a .t7 file can't have a key that is None or NaN")
        entries = value.items() if isinstance(value, dict) else enumerate(value, 1)
        return (part for entry in entries for part in entry)

    def _write_numbers(self, values: array[float]) -> Iterator[object] | None:
        for start in range(0, len(values), _PIECE):
            piece = values[start : start + _PIECE]
            block = np.full(len(piece), torchfile.TYPE_NUMBER, NUMBER_ENTRY)
            block["key"], block["value"] = np.arange(start + 1, start + 1 + len(piece)), piece
            self._f.write(block.data)
        return None

    def _write_function(self, value: LuaFunction) -> Iterator[object] | None:
        if value.kind == torchfile.TYPE_FUNCTION:  # the oldest form has no number
            self._int(value.kind)
        elif not self._begin(value.kind, value):
            return None
        self._string(value.code)
        return iter((value.upvalues,))

    def _write_object(self, value: TorchObject) -> Iterator[object] | None:
        if not self._begin_object(value):
            return None
        if value.typename == b"tds.Vec":
            self._longs(len(value.fields))
            elements: list[object] = value.fields.as_list()
            return iter(elements)
        if value.typename == b"tds.Hash":
            self._longs(len(value.fields))
            return (part for entry in value.fields.items() for part in entry)
        return iter((value.fields,))

    def _write_tensor(self, value: Tensor) -> Iterator[object] | None:
        if not self._begin_object(value):
            return None
        self._int(len(value.shape))
        for longs in (value.shape, value.strides, (value.offset + 1,)):
            self._longs(*longs)
        return iter((value.storage,))

    def _write_storage(self, value: Storage) -> None:
        if self._begin_object(value):
            self._longs(len(value))
            dtype = element_dtype(value.typename)
            for block in value.blocks():
                self._elements(block.astype(dtype, copy=False))

    def _write_array(self, value: Array) -> Iterator[object] | None:
        kind = torch_type(value.dtype)
        if kind is None:
            raise TypeError(f"an array of {value.dtype} can't be written to a .t7 file")
        tensor = Tensor.of_array(value if value.size else value.reshape(0), kind)
        return self._write_tensor(tensor)

    def _begin_object(self, value: TorchObject | Tensor | Storage) -> bool:
        """As _begin, with version and class after the number."""
        if not self._begin(torchfile.TYPE_TORCH, value):
            return False
        if value.version is not None:
            self._string(b"V %d" % value.version)
        self._string(value.typename)
        return True

    def _begin(self, kind: int, value: object) -> bool:
        """Write type and number; returns whether `value` is new, so that its content must follow."""
        self._int(kind)
        index = self._index.get(id(value))
        if index is not None:
            self._int(index)
            return False
        self._index[id(value)] = len(self._index) + 1
        self._alive.append(value)
        self._int(len(self._index))
        return True

    def _int(self, n: int) -> None:
        self._f.write(_INT.pack(n))

    def _longs(self, *values: int) -> None:
        self._elements(np.array(values, "<i8"))

    def _number(self, x: float) -> None:
        self._f.write(_NUMBER.pack(torchfile.TYPE_NUMBER, x))

    def _string(self, value: bytes) -> None:
        self._int(len(value))
        self._f.write(value)

    def _elements(self, elements: Array) -> None:
        """Write the elements of a storage. Errors: ValueError for a number beyond 4-byte longs."""
        if elements.dtype == "<i8" and self._long_size == 4:
            if elements.size and (elements.min() < -(1 << 31) or elements.max() >= 1 << 31):
                raise ValueError(f"{elements[np.abs(elements).argmax()]} does not fit a 4-byte long")
            elements = elements.astype("<i4")
        for start in range(0, len(elements), _PIECE):
            piece = elements[start : start + _PIECE]
            self._f.write(piece.data)
            self._written(len(piece))


def _double(value: int | float | np.integer[Any] | np.floating[Any]) -> float:
    """Errors: ValueError for a number beyond the range of a double."""
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a whole number is beyond the range of a number of a .t7 file") from None


def _is_nan(key: object) -> bool:
    return isinstance(key, (float, np.floating)) and math.isnan(key)


class _AsciiT7Writer(T7Writer):
    def _line(self, text: bytes) -> None:
        if text:
            self._f.write(text + b"\n")

    def _int(self, n: int) -> None:
        self._line(b"%d" % n)

    def _number(self, x: float) -> None:
        self._int(torchfile.TYPE_NUMBER)
        self._line(b"%.17g" % x)

    def _string(self, value: bytes) -> None:
        self._int(len(value))
        self._line(value)

    def _write_numbers(self, values: array[float]) -> Iterator[object] | None:
        return (part for entry in enumerate(values, 1) for part in entry)

    def _elements(self, elements: Array) -> None:
        if elements.dtype.itemsize == 1:  # raw bytes
            self._line(elements.tobytes())
            self._written(len(elements))
            return
        digits = {"f8": b"%.17g", "f4": b"%.9g", "f2": b"%.5g"}.get(elements.dtype.str[1:], b"%d")
        for start in range(0, len(elements), _PIECE):
            piece = elements[start : start + _PIECE]
            self._f.write((b" " if start else b"") + b" ".join(digits % x for x in piece.tolist()))
            self._written(len(piece))
        if len(elements):
            self._f.write(b"\n")
