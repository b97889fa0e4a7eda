"""Controls TF32: whether CUDA's libraries may round the factors of float32 products to eleven significant bits.

PyTorch 2.9 added a second set of switches. Reading the first raises RuntimeError for settings that only the second
has; "none" among them means the value of torch.backends.fp32_precision.
Source: PyTorch's notes on CUDA semantics, TensorFloat-32.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch

_PRODUCTS: Any = torch.backends.cuda.matmul
_CUDNN: Any = torch.backends.cudnn
_OLD = _PRODUCTS, _CUDNN
_NEW = (_PRODUCTS, _CUDNN.conv, _CUDNN.rnn) if hasattr(_CUDNN, "rnn") else ()


def allow(allowed: bool) -> None:
    """Allow or forbid TF32 to cuBLAS and cuDNN, in the whole process."""
    for library in _OLD:
        _set(library, allowed)
    if not allowed:
        for library in _NEW:
            library.fp32_precision = "ieee"


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """A context that restores the switches at its end."""
    old: list[tuple[Any, bool]] = []
    for library in _OLD:
        with contextlib.suppress(RuntimeError):
            old.append((library, library.allow_tf32))
    new = [(library, library.fp32_precision) for library in _NEW]
    try:
        yield
    finally:
        for library, allowed in old:
            _set(library, allowed)
        for library, precision in new:
            library.fp32_precision = precision


def _set(library: Any, allowed: bool) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Please use the new API")  # PyTorch 2.9
        library.allow_tf32 = allowed
