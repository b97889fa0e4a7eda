"""A hash of 64 bits: for the splits and orders of items and the index of passages, the same on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def mix_bits(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The hash of each number. Source: SplitMix64 (Steele, Lea and Flood, 2014); mix_bits of kernel_copies.h."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)


def low_64_bits(seed: int) -> int:
    """A seed, which may be negative, as an unsigned number."""
    return seed & ((1 << 64) - 1)
