"""Checks of token ids and stream indices before they index an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def check_indices(
    name: str, values: npt.NDArray[np.integer[Any]], shape: tuple[int, ...], end: int
) -> npt.NDArray[np.int64]:
    """`values` as contiguous int64 of this shape in [0, end). Errors: TypeError; ValueError for a shape; IndexError."""
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name} must be whole numbers, not {values.dtype}")
    if values.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, not {values.shape}")
    if values.size == 1:  # common, and NumPy's min and max would take 2 us
        low = high = values.item()
    else:
        low, high = int(values.min()), int(values.max())
    if low < 0 or high >= end:
        raise IndexError(f"{name} hold {low if low < 0 else high}, but there are only 0 to {end - 1}")
    return np.ascontiguousarray(values, np.int64)
