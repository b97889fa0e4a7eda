"""SplitMix64, a hash of 64 bits and a random number generator that give the same numbers on every machine.

Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


_STATE_STEP = 0x9E3779B97F4A7C15


def mix_bits(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The hash of each number: the generator's output from that state. As mix_bits of kernel.c."""
    mixed = numbers + np.uint64(_STATE_STEP)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)


def draws_of_32_bits(seed: int, count: int) -> npt.NDArray[np.uint32]:
    """The first draws from a seed, (count,), from 0 to 2^32 - 1.

    Each output of 64 bits is two draws, the first one in its lower half.
    """
    states = np.arange((count + 1) // 2, dtype=np.uint64) * np.uint64(_STATE_STEP) + np.uint64(low_64_bits(seed))
    outputs = mix_bits(states)
    halves = np.stack([outputs & np.uint64(0xFFFFFFFF), outputs >> np.uint64(32)], axis=1)
    return halves.ravel()[:count].astype(np.uint32)


def low_64_bits(seed: int) -> int:
    """A seed, which may be negative, as an unsigned number."""
    return seed & ((1 << 64) - 1)
