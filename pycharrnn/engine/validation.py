"""Argument checks of forward and backward: C checks nothing, and PyTorch may broadcast a wrong shape."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from numbers import Integral, Real

import torch

from pycharrnn.common.targets import IGNORED

CPU = torch.device("cpu")
MAX_SIZE = (1 << 31) - 1  # of a dimension
_WHOLE_NUMBERS = {
    getattr(torch, name)
    for name in ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
    if hasattr(torch, name)  # the larger unsigned ones came with PyTorch 2.3
}


def whole(name: str, value: object) -> None:
    """Errors: TypeError unless `value` is a whole number."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {reprlib.repr(value)}")


def size(name: str, value: int, *, least: int = 1, most: int = MAX_SIZE) -> None:
    """Errors: TypeError unless `value` is a whole number; ValueError unless it is from `least` to `most`."""
    whole(name, value)
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {reprlib.repr(value)}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, not {reprlib.repr(value)}")


def number(name: str, value: object) -> None:
    """Errors: TypeError unless `value` is a real number."""
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, not {reprlib.repr(value)}")


def floating_point(dtype: object) -> None:
    """Errors: TypeError unless `dtype` is a floating-point type of PyTorch."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point torch.dtype such as torch.float32, not {reprlib.repr(dtype)}")


class UnusableDevice(ValueError):
    """PyTorch knows the device, but this machine lacks it."""


def device_name(value: object) -> None:
    """Errors: TypeError; ValueError for a device that PyTorch does not know; UnusableDevice."""
    if value is None:
        return
    if not isinstance(value, (str, int, torch.device)) or isinstance(value, bool):
        raise TypeError(f'device must be a torch.device or its name such as "cuda", not {reprlib.repr(value)}')
    try:
        named = torch.device(value)
    except (RuntimeError, OverflowError, ValueError) as e:
        if isinstance(value, int) and value >= 0:  # without a GPU PyTorch numbers none
            raise unusable_device(value, e) from e
        raise ValueError(f'device must be one of PyTorch such as "cuda", not {reprlib.repr(value)}') from e
    try:
        torch.empty(0, device=named)
    except (RuntimeError, AssertionError, OSError, ImportError) as e:
        raise unusable_device(value, e) from e


def unusable_device(device: object, reason: Exception) -> UnusableDevice:
    """The error for a device, with the first sentence of PyTorch's."""
    sentence = str(reason).partition("\n")[0].partition(". ")[0].rstrip(".")
    return UnusableDevice(f"PyTorch can't use the device {reprlib.repr(str(device))} here ({sentence})")


def tensor(name: str, value: object, dtype: torch.dtype | None, device: torch.device, shape: Sequence[int]) -> None:
    """Errors: TypeError, ValueError unless `value` is a tensor of this type (None: any), shape and device."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a tensor, not {_described(value)}")
    if dtype is not None and value.dtype != dtype:
        raise TypeError(f"{name} must be of {dtype}, not {value.dtype}")
    if value.shape != shape:
        raise ValueError(f"{name} must have the shape {tuple(shape)}, not {tuple(value.shape)}")
    _on(name, value, device)


def states(
    name: str, value: Iterable[torch.Tensor], n: int, like: torch.Tensor, shape: Sequence[int]
) -> list[torch.Tensor]:
    """`n` hidden states, or their gradients, as a list. Errors: TypeError, ValueError unless they are like `like`."""
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be {n} tensors, not {_described(value)}")
    found = list(value)
    if len(found) != n:
        raise ValueError(f"{name} must be {n} tensors, not {len(found)}")
    for k, one in enumerate(found):
        tensor(f"{name}[{k}]", one, like.dtype, like.device, shape)
    return found


def characters(name: str, value: object, device: torch.device, shape: Sequence[int] | None = None) -> None:
    """Check token ids (T, B), but not their range; shape None: any but an empty one. Errors: TypeError, ValueError."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a tensor of token ids, not {_described(value)}")
    if value.dtype not in _WHOLE_NUMBERS or value.layout != torch.strided:
        raise TypeError(f"{name} must hold whole numbers, such as torch.int64, not {value.dtype} ({value.layout})")
    if value.shape != shape if shape else value.dim() != 2 or not value.numel():
        wanted = tuple(shape) if shape else "(T, B), both at least 1"
        raise ValueError(f"{name} must have the shape {wanted}, not {tuple(value.shape)}")
    _on(name, value, device)


def in_range(name: str, value: torch.Tensor, V: int) -> None:
    """Errors: IndexError unless all token ids lie in [0, V). On a GPU, the CPU waits for the answer."""
    if not value.numel() or value.is_meta or (value.is_cuda and torch.cuda.is_current_stream_capturing()):
        return  # the tensor has no values to check yet
    low, high = (int(bound) for bound in torch.aminmax(value.cpu()))  # older PyTorch has no aminmax on MPS
    if low < 0 or high >= V:
        raise IndexError(f"{name} holds {low if low < 0 else high}, but the token ids are 0 to {V - 1}")


def targets_in_range(y: torch.Tensor, V: int) -> None:
    """As `in_range` for targets, which may be IGNORED."""
    try:
        in_range("y", y, V)
    except IndexError:
        in_range("y", y[y != IGNORED], V)


def _on(name: str, value: torch.Tensor, device: torch.device) -> None:
    if value.device != device:
        raise ValueError(f"{name} must be on {device}, not on {value.device}")


def _described(value: object) -> str:
    return f"{type(value).__name__} {reprlib.repr(value)}"
