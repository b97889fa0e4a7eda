"""Torch7's random numbers: MT19937, one 32-bit output per number.

Python's `random` has the same generator and loads faster than NumPy's; it is seeded as `init_genrand` of Matsumoto &
Nishimura does it. Source: lib/TH/THRandom.c and lib/TH/generic/THTensorRandom.c of torch7.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

STATE_WORDS = 624  # of MT19937, 32 bits each
_PIECE = 1 << 20  # outputs of one call: up to Python 3.13 getrandbits takes fewer than 2**26
_SEEDS = 1 << 32  # Torch7's generator keeps 32 bits of a seed


def explained(seed: int) -> str:
    """A sentence that names the equal 32-bit seed of a seed beyond 32 bits; "" for other seeds."""
    if 0 <= seed < _SEEDS:
        return ""
    why = "Torch7 counts seeds modulo 2^32" if _is_int64(seed) else "Torch7 takes 0 for a seed beyond 64 bits"
    return f"-seed {seed} is the same as -seed {_word(seed)}: {why}."


def _word(seed: int) -> int:
    """The 32 bits that the generator keeps of a seed.

    Lua's number is cast to a 64-bit integer. On x86 that gives -2**63 for a number out of range.
    """
    return seed % _SEEDS if _is_int64(seed) else 0


def _is_int64(seed: int) -> bool:
    return -(1 << 63) <= seed < 1 << 63


class LuaRandom:
    """The stream that `torch.manualSeed(seed)` starts.

    Example:
        >>> LuaRandom(123).uniform(-0.08, 0.08, 3)
        array([ 0.03143507,  0.03407285, -0.03421771])
    """

    def __init__(self, seed: int):
        word = _word(int(seed))
        words = [word]
        for k in range(1, STATE_WORDS):
            word = (1812433253 * (word ^ word >> 30) + k) % _SEEDS
            words.append(word)
        self._generator = random.Random()
        self._set(words, STATE_WORDS)

    def random(self, n: int) -> npt.NDArray[np.float64]:
        """The next n outputs as float64 in [0, 1), each a multiple of 2**-32. Shape (n,)."""
        return np.frombuffer(b"".join(self._outputs(n)), "<u4") * 2.0**-32

    def uniform(self, a: float, b: float, n: int) -> npt.NDArray[np.float64]:
        """`tensor:uniform(a, b)`: float64 in [a, b), shape (n,)."""
        return self.random(n) * (b - a) + a

    def bernoulli(self, p: float, n: int) -> npt.NDArray[np.float64]:
        """`tensor:bernoulli(p)`: float64, 1 with probability p, else 0, shape (n,)."""
        return (self.random(n) <= p).astype(np.float64)

    def get_state(self) -> tuple[npt.NDArray[np.uint32], int]:
        """The generator's words, uint32 (624,), and the index of the next one, 0 to 624."""
        *words, position = self._generator.getstate()[1]
        return np.array(words, np.uint32), position

    def set_state(self, words: npt.NDArray[np.uint32], position: int) -> None:
        """Go on where get_state returned these values."""
        self._set(words.tolist(), position)

    def skip(self, n: int) -> None:
        """Drop the next n outputs, of 32 bits each."""
        for _ in self._outputs(n):
            pass

    def _set(self, words: list[int], position: int) -> None:
        self._generator.setstate((random.Random.VERSION, (*words, position), None))

    def _outputs(self, n: int) -> Iterator[bytes]:
        """The next n outputs, 4 bytes each, little-endian, in blocks of up to _PIECE outputs."""
        while n > 0:
            size = min(n, _PIECE)
            yield self._generator.getrandbits(32 * size).to_bytes(4 * size, "little")
            n -= size


class SeedRandom:
    """The first numbers of many seeds, in less time than a LuaRandom for each would take.

    NumPy's legacy generator seeds and runs MT19937 in C as LuaRandom does in Python. Loading it takes longer than
    seeding LuaRandom a few times.

    Example:
        >>> SeedRandom().first(123, 2)
        array([0.69646919, 0.71295532])
    """

    def __init__(self) -> None:
        self._generator = np.random.RandomState(0)

    def first(self, seed: int, n: int) -> npt.NDArray[np.float64]:
        """The first n numbers of `LuaRandom(seed).random`, shape (n,)."""
        self._generator.seed(_word(int(seed)))
        return np.frombuffer(self._generator.bytes(4 * n), "<u4") * 2.0**-32


def multinomial(probabilities: npt.NDArray[np.float32], u: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """`torch.multinomial(probabilities:float(), 1)`: the index, from 0, that each row draws; shape (B,).

    Args:
        probabilities: float32, (B, n), of any positive sum. u: (B,), in [0, 1), from LuaRandom.random.

    Errors: ValueError if a sum is not positive (NaN included), as in Torch7.

    Example:
        >>> multinomial(np.float32([[0.25, 0.5, 0.25]]), np.array([0.75]))
        array([1])
    """
    cumulative = np.add.accumulate(probabilities, -1, dtype=np.float64)
    total = cumulative[:, -1:].copy()
    if not (total > 0).all():
        raise ValueError("invalid multinomial distribution (sum of probabilities <= 0)")
    cumulative /= total
    cumulative[:, -1] = 1
    # Torch7 finds the first entry >= u by a binary search; its index is the number of smaller entries.
    indices: npt.NDArray[np.intp] = np.add.reduce(cumulative < u[:, None], -1)
    return indices
