"""Unfinished objects on the reader's stack; each receives its parts one by one."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from compat.t7_element_types import element_dtype
from compat.t7_objects import BooleanKey, LuaFunction, Storage, T7Error, Table, Tensor, TorchObject

if TYPE_CHECKING:
    from compat.t7_objects import T7Value

    Fault = Callable[[str], T7Error]  # makes the error for a fault at the current byte


class Marker(enum.Enum):
    UNFINISHED = enum.auto()


UNFINISHED: Final = Marker.UNFINISHED


class Unfinished(Protocol):
    def receive(self, value: T7Value) -> T7Value | Marker:
        """Take the next part; returns the object after the last part, else UNFINISHED. Errors: T7Error."""


class UnfinishedTable:
    """A table that awaits `count` entries.

    Args:
        keys: the keys, if the file holds values only.
        result: returned when the table is complete; None for the table itself.
    """

    def __init__(
        self,
        fault: Fault,
        table: Table,
        count: int,
        keys: Iterable[int] | None = None,
        result: TorchObject | None = None,
    ):
        self._fault, self._table, self._left = fault, table, count
        self._keys = None if keys is None else iter(keys)
        self._result = table if result is None else result
        self._key: T7Value | BooleanKey | Marker = UNFINISHED

    def receive(self, value: T7Value) -> T7Value | Marker:
        """Take the next key or value. Returns the result once the table is complete, else UNFINISHED."""
        if self._keys:
            self._key = next(self._keys)
        elif self._key is UNFINISHED:
            if value is None or value != value:
                raise self._fault("a table key that is nil or NaN")
            self._key = BooleanKey.of(value) if isinstance(value, bool) else value
            return UNFINISHED
        self._table[self._key] = value
        self._key = UNFINISHED
        self._left -= 1
        return UNFINISHED if self._left else self._result


class UnfinishedObject:
    def __init__(self, value: TorchObject):
        self._value = value

    def receive(self, value: T7Value) -> TorchObject:
        self._value.fields = value
        return self._value


class UnfinishedTensor:
    """A tensor that awaits its storage, which must hold all elements; `expand` may repeat them (Tensor.numpy)."""

    def __init__(self, fault: Fault, tensor: Tensor):
        self._fault, self._tensor = fault, tensor

    def receive(self, value: T7Value) -> Tensor:
        """Take the storage; None for a tensor without elements. Errors: T7Error for a storage that is too small."""
        tensor = self._tensor
        if value is None:
            if any(tensor.shape):
                raise self._fault(f"a tensor of shape {tensor.shape!s:.80} without storage")
            tensor.storage = None
            return tensor
        if not isinstance(value, Storage) or value.data.dtype != element_dtype(tensor.typename):
            raise self._fault(f"the storage of a {tensor.typename.decode()} is {value!r:.60}")
        tensor.storage = value
        if fault := tensor.place_fault():
            raise self._fault(fault)
        return tensor


class UnfinishedFunction:
    def __init__(self, function: LuaFunction):
        self._function = function

    def receive(self, value: T7Value) -> LuaFunction:
        self._function.upvalues = value
        return self._function
