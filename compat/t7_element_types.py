"""The dtypes of Torch7's tensors and storages by class name, and their strides."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

# A number in a Lua table whose key is a number, as a binary file holds them: types, each before its value.
NUMBER_ENTRY = np.dtype([("key_type", "<i4"), ("key", "<f8"), ("type", "<i4"), ("value", "<f8")])


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a row-major array: (2, 3, 4) -> (12, 4, 1)."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


_DTYPES = {
    b"Byte": "u1",
    b"Char": "i1",
    b"Short": "i2",
    b"Int": "i4",
    b"Long": "i8",
    b"Half": "f2",
    b"Float": "f4",
    b"Double": "f8",
    b"": "f4",  # torch.CudaTensor and torch.ClTensor are float32
}
_TORCH_TYPES = {dtype: b"torch." + name for name, dtype in _DTYPES.items() if name}
_NUMERIC_CLASS = re.compile(rb"torch\.(Cuda|Cl|)(Byte|Char|Short|Int|Long|Half|Float|Double|)(Tensor|Storage)\Z")


def element_dtype(typename: bytes) -> np.dtype[Any] | None:
    """b"torch.CudaTensor" -> dtype('float32'); None if `typename` is no tensor or storage class."""
    match = _NUMERIC_CLASS.match(typename)
    if not match or not (match[1] or match[2]):
        return None
    return np.dtype("<" + _DTYPES[match[2]])


def torch_type(dtype: np.dtype[Any]) -> bytes | None:
    """dtype('float64') -> b"torch.Double", the class name without Tensor; None if Torch7 has no such numbers."""
    return _TORCH_TYPES.get(dtype.newbyteorder("<").str.lstrip("<|"))


def is_tensor_class(typename: bytes) -> bool:
    """Whether a class that has an element_dtype is a tensor, not a storage."""
    return typename.endswith(b"Tensor")
