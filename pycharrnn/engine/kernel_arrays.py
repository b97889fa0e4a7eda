"""Arrays for the C kernel, which checks nothing itself. Needs no PyTorch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from compat.nngraph import parameter_shapes

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.graph_match import Network

_CACHE_LINE = 64  # bytes; also the widest vector


def aligned_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros that begin at a cache line. Pages that nobody writes to take no memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.zeros(size + _CACHE_LINE, np.uint8)
    start = -buffer.ctypes.data % _CACHE_LINE
    found: npt.NDArray[Any] = buffer[start : start + size].view(dtype).reshape(shape)
    return found


def address(name: str, array: npt.NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...]) -> int:
    """The address of a contiguous array of this type and shape. Errors: TypeError, ValueError."""
    if array.dtype != dtype:
        raise TypeError(f"{name} must be of {np.dtype(dtype)}, not {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, not {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must lie in one piece")
    return array.ctypes.data


def weights_of(network: Network) -> dict[str, npt.NDArray[Any]]:
    """Name -> weights of a network. Errors: KeyError for a missing one; ValueError for another shape."""
    shapes = parameter_shapes(network.model, network.vocab_size, network.rnn_size, network.num_layers)
    weights = {name: network.weights[name] for name in shapes}
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name} must have the shape {shape}, not {weights[name].shape}")
    return weights
