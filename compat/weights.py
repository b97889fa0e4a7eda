"""Reads the tensors of a model as arrays, checking type, shape and total size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.escape import escape_line
from compat.graph_expressions import CheckpointError
from compat.t7_element_types import element_dtype
from compat.t7_objects import Tensor, TorchObject

if TYPE_CHECKING:
    from compat.t7_objects import Array


class WeightReader:
    """Reads the tensors of one model, whose elements together may not be more than their storages hold.

    A few bytes of a file can name one storage in many tensors, or one tensor in many layers.
    """

    def __init__(self) -> None:
        self._claimed = 0  # numbers in the tensors that have been read
        self._held = 0  # numbers in their storages, each storage counted once
        self._storages: dict[int, object] = {}

    def read(self, module: TorchObject, key: bytes, shape: tuple[int | None, ...]) -> Array:
        """A tensor field in its precision; None in `shape` is any size from 1. Errors: CheckpointError; T7Error."""
        tensor = module.get(key)
        if not isinstance(tensor, Tensor) or not _fits(tensor.shape, shape):
            found = tensor.shape if isinstance(tensor, Tensor) else None
            where = f"its {escape_line(module.typename)} has a {escape_line(key)}"
            raise CheckpointError(f"{where} of shape {found!s:.80}, expected {_in_words(shape)}")
        dtype = element_dtype(tensor.typename)
        if dtype is None or dtype.kind != "f":
            raise CheckpointError(f"its {escape_line(module.typename)} has whole numbers as its {escape_line(key)}")
        return self.array(tensor)

    def array(self, tensor: Tensor) -> Array:
        """Any tensor as an array, counted. Errors: CheckpointError; T7Error."""
        array = tensor.numpy()
        if tensor.storage is not None and id(tensor.storage) not in self._storages:
            # Kept, since Python gives the id of a dead object to another one.
            self._storages[id(tensor.storage)] = tensor.storage
            self._held += len(tensor.storage)
        self._claimed += array.size
        if self._claimed > self._held:
            raise CheckpointError(f"its tensors claim {self._claimed} numbers of storages that hold {self._held}")
        return array


def _fits(found: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(found) == len(shape) and all(m > 0 and n in (None, m) for n, m in zip(shape, found, strict=True))


def _in_words(shape: tuple[int | None, ...]) -> str:
    """(None, 4) -> "(any, 4)" """
    return f"({', '.join('any' if n is None else str(n) for n in shape)})"
