"""Write Torch7's .t7 files: binary encoding, 8-byte longs, as `torch.save` of a 64-bit Lua Torch7 does.

Objects are numbered in the order in which they are first met and written once; tables nest on a stack of our own.
Source: File.lua, generic/Tensor.c and generic/Storage.c of torch7.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import torchfile

from compat.t7_objects import LuaFunction, Storage, Table, Tensor, TorchObject, element_dtype
from compat.whole_file import whole_file

_INT = struct.Struct("<i")
_NUMBER = struct.Struct("<id")


def save_t7(path: str | os.PathLike, value) -> None:
    """Write `value` to `path`, whole or not at all, so that Lua's `torch.load(path)` gives it back.

    Args:
        value: what load_t7 returns; also plain dicts, lists and tuples (as tables), str (as UTF-8 bytes),
            and NumPy arrays (as tensors of their own).

    Errors: OSError; TypeError for a value that Torch7 has no word for.

    Example:
        >>> save_t7("numbers.t7", {"mean": 0.5, "values": np.arange(3.0)})
    """
    with whole_file(path) as f:
        T7Writer(f).write_obj(value)


class T7Writer:
    """Writes one object after another to the binary file `f`, numbering shared ones across calls."""

    def __init__(self, f: BinaryIO):
        self._f = f
        self._index: dict[int, int] = {}  # id(object) -> its number in the file
        self._alive: list = []  # an id is only good as long as its object lives

    def write_obj(self, value) -> None:
        """Write `value` and all it refers to."""
        pending = [iter((value,))]
        while pending:
            for part in pending[-1]:
                rest = self._write_one(part)
                if rest is not None:
                    pending.append(rest)
                    break
            else:
                pending.pop()

    def _write_one(self, value) -> Iterator | None:
        """Write the start of `value`; what must follow it, as an iterator of values, or None if that was all."""
        if value is None:
            return self._int(torchfile.TYPE_NIL)
        if isinstance(value, bool):
            self._int(torchfile.TYPE_BOOLEAN)
            return self._int(value)
        if isinstance(value, (int, float)):
            self._f.write(_NUMBER.pack(torchfile.TYPE_NUMBER, value))
            return None
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, bytes):
            self._int(torchfile.TYPE_STRING)
            return self._string(value)
        if isinstance(value, (dict, list, tuple)):
            return self._write_table(value)
        if isinstance(value, LuaFunction):
            return self._write_function(value)
        if isinstance(value, TorchObject):
            return iter((value.fields,)) if self._begin_object(value) else None
        if isinstance(value, Tensor):
            return self._write_tensor(value)
        if isinstance(value, Storage):
            return self._write_storage(value)
        if hasattr(value, "__array__"):
            return self._write_array(value)
        raise TypeError(f"a {type(value).__name__} can't be written to a .t7 file")

    def _write_table(self, value) -> Iterator | None:
        if not self._begin(torchfile.TYPE_TABLE, value):
            return None
        table = value if isinstance(value, dict) else Table.of_list(value)
        self._int(len(table))
        return (part for entry in table.items() for part in entry)

    def _write_function(self, value: LuaFunction) -> Iterator | None:
        if not self._begin(torchfile.TYPE_RECUR_FUNCTION, value):
            return None
        self._string(value.code)
        return iter((value.upvalues,))

    def _write_tensor(self, value: Tensor) -> Iterator | None:
        if not self._begin_object(value):
            return None
        self._int(len(value.shape))
        self._longs(*value.shape, *value.strides, value.offset + 1)
        return iter((value.storage,))

    def _write_storage(self, value: Storage) -> None:
        if self._begin_object(value):
            self._longs(len(value))
            dtype = element_dtype(value.typename)
            for block in value.blocks():
                self._f.write(block.astype(dtype, copy=False).data)

    def _write_array(self, value) -> Iterator | None:
        kind = _KINDS.get(value.dtype.str.lstrip("<|"))
        if kind is None:
            raise TypeError(f"an array of {value.dtype} can't be written to a .t7 file")
        tensor = Tensor.of_array(value, kind)
        return self._write_tensor(tensor)

    def _begin_object(self, value) -> bool:
        if not self._begin(torchfile.TYPE_TORCH, value):
            return False
        if value.version:  # files from before class versions existed name the class alone
            self._string(b"V %d" % value.version)
        self._string(value.typename)
        return True

    def _begin(self, kind: int, value) -> bool:
        """Type and number; True if `value` is new to this file and its content must follow."""
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
        self._f.write(struct.pack(f"<{len(values)}q", *values))

    def _string(self, value: bytes) -> None:
        self._int(len(value))
        self._f.write(value)


_KINDS = {
    "u1": b"torch.Byte",
    "i1": b"torch.Char",
    "i2": b"torch.Short",
    "i4": b"torch.Int",
    "i8": b"torch.Long",
    "f2": b"torch.Half",
    "f4": b"torch.Float",
    "f8": b"torch.Double",
}
