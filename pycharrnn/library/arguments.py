"""Checks of arguments that have no option of the command line: dtypes, devices and token ids."""

from __future__ import annotations

import operator
import reprlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.common import extras
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch


def count(value: object) -> int:
    """A number of things. Errors: TypeError unless it is a whole number."""
    try:
        return operator.index(None if isinstance(value, bool) else value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"count must be a whole number, not {reprlib.repr(value)}") from None


def check_dtype(dtype: object) -> None:
    """Without loading PyTorch. Errors: TypeError unless it is None or a floating-point torch.dtype."""
    torch = sys.modules.get("torch")
    if dtype is not None and not (torch and isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(f"dtype must be a floating-point torch.dtype such as torch.float32, not {reprlib.repr(dtype)}")


def check_device(device: object) -> None:
    """Check that PyTorch, which is loaded except for the CPU, can use a device.

    Errors: TypeError; ValueError for an unknown name; UserError for a device that this machine lacks.
    """
    if device is None or device == "cpu":
        return
    extras.require_pytorch(f"the device {reprlib.repr(device)}")
    import torch

    from pycharrnn.engine import validation

    try:
        validation.device_name(device)
        torch.zeros(1, device=device).cpu()  # type: ignore[call-overload]  # a device, as was checked
        return
    except validation.UnusableDevice as e:
        error = e
    except RuntimeError as e:  # such as that of meta, whose tensors have no numbers
        error = validation.unusable_device(device, e)
    raise UserError(f"{error}: leave it out for the CPU.")


def token_ids(value: Any) -> npt.NDArray[np.int64]:
    """A list, an array or a tensor of whole numbers, (T,). Errors: TypeError; IndexError for one beyond 64 bits."""
    try:
        found = np.asarray(value.tolist() if hasattr(value, "tolist") else list(value))
    except (TypeError, ValueError):
        found = np.array(0.5)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iuO"):
        raise TypeError(f"token_ids must be a list, an array or a tensor of whole numbers, not {reprlib.repr(value)}")
    if not found.size or np.can_cast(found.dtype, np.int64):
        return found.astype(np.int64)
    numbers = found.tolist()  # of an array of uint64 or of objects
    for number in numbers:
        if not isinstance(number, int):
            raise TypeError(f"token_ids must be whole numbers, not {reprlib.repr(number)}")
    largest = max(numbers, key=abs)
    if abs(largest) > np.iinfo(np.int64).max:
        raise IndexError(f"token_ids hold {largest}, which no vocabulary has")
    return found.astype(np.int64)


def tensor(value: object, device: str) -> torch.Tensor:
    """A tensor or an array as a tensor on a device. Errors: TypeError."""
    extras.require_pytorch("a call of the model")
    import torch

    try:
        if isinstance(value, np.ndarray):
            # PyTorch refuses negative strides and other byte orders, and warns of read-only arrays.
            value = np.array(value, value.dtype.newbyteorder("="), order="C")
        return torch.as_tensor(value, device=device)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        raise TypeError(f"x must be a tensor or an array (T, B), not {reprlib.repr(value)}") from None
