"""Python types for the contents of .t7 files: tables, tensors, storages, objects and functions.

    nil -> None   number -> int (when whole) or float   string -> bytes   boolean -> bool
    table -> Table   nn.Linear -> TorchObject   torch.DoubleTensor -> Tensor   torch.DoubleStorage -> Storage

These types compare by identity, since two variables of a .t7 file may share a table or a storage.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

import numpy as np
import torchfile

from compat.t7_element_types import contiguous_strides, element_dtype

if TYPE_CHECKING:
    import numpy.typing as npt

    # torchfile has no types of its own.
    class _TorchfileTable(dict[Any, Any]):
        """A dict whose attributes are those of any dict."""

    class _TorchfileObject:
        """The fields that torchfile.TorchObject keeps its values in."""

        _typename: bytes
        _obj: Any
        _version_number: int | None

        def __init__(self, typename: bytes, obj: Any = None, version_number: int | None = 0) -> None: ...

else:
    _TorchfileTable, _TorchfileObject = torchfile.hashable_uniq_dict, torchfile.TorchObject

T7Value: TypeAlias = Union[None, bool, int, float, bytes, "Table", "TorchObject", "Tensor", "Storage", "LuaFunction"]
Array: TypeAlias = "npt.NDArray[Any]"
T7Encoding = Literal["binary", "ascii"]


class T7Error(OSError, ValueError):
    """A .t7 file that can't be read; the message gives the byte offset of the fault."""


class DamagedT7Error(T7Error):
    """A .t7 file that is truncated or damaged: another copy of it may be whole."""


@dataclass(frozen=True)
class Dialect:
    """The encoding of a .t7 file; in binary, C longs have 8 bytes, or 4 from Windows and 32-bit systems."""

    encoding: T7Encoding = "binary"
    long_size: int = 8


class Table(_TorchfileTable):
    """A Lua table: a dict in file order that equals only itself, so that it can be a key of another table.

    Example:
        >>> t = Table.of_list([b"a", b"b"]); t[b"n"] = 2
        >>> t
        {1: b'a', 2: b'b', b'n': 2}
        >>> t.as_list()
        [b'a', b'b']
    """

    __getattribute__ = object.__getattribute__  # torchfile answers None for every attribute that is missing

    if not TYPE_CHECKING:  # which would take any attribute for one that exists

        def __getattr__(self, name):
            raise AttributeError(name)

    __hash__ = object.__hash__  # type: ignore[assignment]  # a dict has none

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __repr__(self) -> str:
        shown = [
            ": ".join(f"<table of {len(part)}>" if isinstance(part, Table) else f"{part!r:.40}" for part in entry)
            for entry in itertools.islice(self.items(), 8)
        ]
        return "{" + ", ".join(shown + ["..."] * (len(self) > 8)) + "}"

    @classmethod
    def of_list(cls, values: Iterable[object]) -> Table:
        """The Lua table {values[0], values[1], ...}, with keys from 1."""
        return cls(enumerate(values, 1))

    def as_list(self) -> list[Any]:
        """Values of the keys 1, 2, ... up to the first missing key."""
        out: list[Any] = []
        while len(out) + 1 in self:
            out.append(self[len(out) + 1])
        return out


class TorchObject(_TorchfileObject):
    """An instance of a Torch class that is neither tensor nor storage, such as b"nn.Linear".

    Attributes:
        fields: a Table; None until read, and any other value in a damaged file.
        version: of the class, nearly always 1; None in old files.
    """

    def __init__(self, typename: bytes, fields: object = None, version: int | None = 1):
        super().__init__(typename, fields, version)

    @property
    def typename(self) -> bytes:
        return self._typename

    @property
    def version(self) -> int | None:
        return self._version_number

    @property
    def fields(self) -> Any:
        return self._obj

    @fields.setter
    def fields(self, value: object) -> None:
        self._obj = value

    if not TYPE_CHECKING:  # which would take any attribute for one that exists

        def __getattr__(self, name):
            raise AttributeError(name)

    def __dir__(self) -> list[str]:
        """The attributes; torchfile's also has the fields, whose names are bytes."""
        return [*object.__dir__(self)]

    def __getitem__(self, key: object) -> Any:
        return self._obj[key]

    def get(self, key: bytes, default: object = None) -> Any:
        return self._obj.get(key, default) if isinstance(self._obj, dict) else default

    def __repr__(self) -> str:
        return f"TorchObject({self._typename!r})"


class BooleanKey(enum.Enum):
    """A Lua boolean as a table key: a Python dict takes True and 1 for one key."""

    TRUE = True
    FALSE = False

    @classmethod
    def of(cls, value: bool) -> BooleanKey:
        return cls.TRUE if value else cls.FALSE


class LuaFunction:
    """A Lua function, never run: bytecode, captured variables, type number (6 or 7 in old files, 8 in new ones)."""

    def __init__(self, code: bytes, upvalues: object = None, kind: int = torchfile.TYPE_RECUR_FUNCTION):
        self.code = code
        self.upvalues: Any = upvalues
        self.kind = kind

    def __repr__(self) -> str:
        return f"LuaFunction({len(self.code)} bytes)"


def _as_array(data: Array, dtype: npt.DTypeLike | None, copy: bool | None) -> Array:
    """Implements __array__; copy=None copies only if needed, which np.array accepts from NumPy 2 on."""
    return np.asarray(data, dtype) if copy is None else np.array(data, dtype=dtype, copy=copy)


class Storage:
    """The flat memory of one or more tensors.

    Attributes:
        typename: b"torch.CudaStorage", for example. data: 1-D, of the dtype of this class.
        version: of the class; None in old files.
    """

    def __init__(self, typename: bytes, data: Array, version: int | None = 1):
        self.typename = typename
        self.data = data
        self.version = version

    def __len__(self) -> int:
        return len(self.data)

    def blocks(self) -> Iterator[Array]:
        """The elements in pieces, for writing; a subclass may compute them."""
        yield self.data

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return _as_array(self.data, dtype, copy)

    def __repr__(self) -> str:
        return f"Storage({self.typename!r}, {len(self)})"


class Tensor:
    """An n-dimensional view of a storage. `tensor.numpy()` or `np.asarray(tensor)` gives the array.

    Attributes:
        typename: b"torch.DoubleTensor", for example. version: of the class; None in old files.
        storage: None for a tensor without memory.
        shape, strides, offset: strides and offset in elements; shape and strides are empty for an empty tensor.
    """

    def __init__(
        self,
        typename: bytes,
        storage: Storage | None,
        shape: Sequence[int] = (),
        strides: Sequence[int] | None = None,
        offset: int = 0,
        version: int | None = 1,
    ):
        self.typename = typename
        self.storage = storage
        self.shape: tuple[int, ...] = tuple(shape)
        self.strides: tuple[int, ...] = contiguous_strides(self.shape) if strides is None else tuple(strides)
        self.offset = offset
        self.version = version

    @classmethod
    def of_array(cls, array: npt.ArrayLike, kind: bytes | None = None) -> Tensor:
        """A tensor of class `kind` + b"Tensor" with its own storage; `array` is copied only to change its dtype.

        `kind`: None = b"torch.Double".
        """
        kind = kind or b"torch.Double"
        array = np.ascontiguousarray(array, dtype=element_dtype(kind + b"Tensor"))
        return cls(kind + b"Tensor", Storage(kind + b"Storage", array.reshape(-1)), array.shape)

    def numpy(self) -> Array:
        """A view of the storage; (0,) if empty. Errors: T7Error for elements outside it, or more than it has."""
        if self.storage is None or not self.shape:
            return np.empty(0, element_dtype(self.typename))
        if fault := self.place_fault():
            raise T7Error(fault)
        shape, length = self.shape, len(self.storage)
        # With stride 0, which Torch7's `expand` makes, a few bytes of a file could claim gigabytes.
        if math.prod(max(n, 1) for n in shape) > max(length, 1):
            raise T7Error(f"a tensor of shape {shape!s:.80} claims more elements than the {length} of its storage")
        step = self.storage.data.itemsize
        # The stride of a dimension with at most one element has no meaning and may be any number.
        strides = [s * step if n > 1 and 0 not in shape else 0 for n, s in zip(shape, self.strides, strict=True)]
        return np.lib.stride_tricks.as_strided(self.storage.data[self.offset :], self.shape, strides)

    def place_fault(self) -> str:
        """Why elements lie outside the storage, for a message; "" if none does."""
        shape, strides, first = self.shape, self.strides, self.offset
        if len(shape) != len(strides) or min((first, *shape, *strides)) < 0:
            return f"a tensor of shape {shape!s:.80}, strides {strides!s:.80}, offset {first}"
        if not shape or 0 in shape:
            return ""
        length = 0 if self.storage is None else len(self.storage)
        last = first + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        return f"a tensor reaches element {last} of a storage of {length}" if last >= length else ""

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return _as_array(self.numpy(), dtype, copy)

    def __repr__(self) -> str:
        return f"Tensor({self.typename!r}, {self.shape})"
