"""The in-place operations of recurrence.py's loops, named as PyTorch's, and their NumPy versions, for sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

Array = TypeVar("Array", "npt.NDArray[Any]", "torch.Tensor")
_Made = TypeVar("_Made", covariant=True)


class Allocator(Protocol[_Made]):
    """Makes an uninitialised array of any shape: empty(2, 3)."""

    def __call__(self, *shape: int) -> _Made: ...


class ForwardOperations(Protocol[Array]):
    """In-place operations of one array library for the forward loops."""

    def mul(self, a: Array, b: Array, /, *, out: Array) -> Array:
        """out = a * b"""

    def tanh(self, x: Array, /, *, out: Array) -> Array:
        """out = tanh(x)"""

    def sigmoid(self, x: Array, /, *, out: Array) -> object:
        """out = 1 / (1 + exp(-x))"""

    def addmm_(self, out: Array, a: Array, b: Array, /) -> None:
        """out += a @ b"""

    def addcmul_(self, out: Array, a: Array, b: Array, /) -> None:
        """out += a * b"""

    def lerp(self, start: Array, end: Array, weight: Array, /, *, out: Array) -> object:
        """out = start + weight * (end - start)"""


class Operations(ForwardOperations[Array], Protocol[Array]):
    """In-place operations of one array library for the backward loops as well."""

    def sub(self, a: Array | int, b: Array, /, *, out: Array) -> Array:
        """out = a - b"""

    def mm(self, a: Array, b: Array, /, *, out: Array) -> Array:
        """out = a @ b"""

    def sigmoid_backward(self, d: Array, y: Array, /, *, out: Array) -> object:
        """out = d * y * (1-y): the gradient of x from that of y = sigmoid(x)"""

    def tanh_backward(self, d: Array, y: Array, /, *, out: Array) -> object:
        """out = d * (1 - y*y): the gradient of x from that of y = tanh(x)"""

    def mul_(self, out: Array, by: Array, /) -> None:
        """out *= by"""


class numpy_ops:
    """ForwardOperations on NumPy arrays."""

    mul = np.multiply
    tanh = np.tanh

    @staticmethod
    def addmm_(out: npt.NDArray[Any], a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
        out += a @ b

    @staticmethod
    def addcmul_(out: npt.NDArray[Any], a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
        out += a * b

    @staticmethod
    def sigmoid(x: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """out = 1 / (1 + exp(-x)); 0 where exp overflows"""
        exp = np.negative(x)  # contiguous, where `out` is a few columns of each row: twice as fast
        with np.errstate(over="ignore"):
            np.exp(exp, out=exp)
        exp += 1
        np.reciprocal(exp, out=out)

    @staticmethod
    def lerp(start: npt.NDArray[Any], end: npt.NDArray[Any], weight: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        np.subtract(end, start, out=out)
        out *= weight
        out += start
