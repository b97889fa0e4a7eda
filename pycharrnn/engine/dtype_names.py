"""The values of -dtype. Needs no PyTorch."""

from __future__ import annotations

PARAMETERS = ("float64", "float32")  # the precision of the parameters, and of all else
MIXED = ("bfloat16", "float16")  # that of the factors of matrix products; the parameters are float32
