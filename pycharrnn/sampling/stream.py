"""One text that is being sampled: options, random numbers, position."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from compat.lua_random import LuaRandom
from pycharrnn.engine.kernel_streams import SamplingParams
from pycharrnn.sampling.stop_text import StopText

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from pycharrnn.common.option_fields import Ramp
    from pycharrnn.engine.passage_index import CopyLimit
    from pycharrnn.sampling.options import SampleOptions

_BLOCK = 1024  # random numbers to generate at a time; one call for each would cost more than the numbers


class Stream:
    """A text that is being sampled with the options `opt`, but another seed.

    Attributes:
        left: how many characters are still to be sampled; sys.maxsize for -length 0.
        temperature, topk, topp, greedy: see SamplingParams; a temperature may be (A, B).
        limit: of -max_copy, or None.
        ended_early: whether the text has ended because `limit` left no character.
    """

    def __init__(self, opt: SampleOptions, seed: int, vocab_size: int, limit: CopyLimit | None = None) -> None:
        self.left = opt.length or sys.maxsize
        self.temperature, self.greedy = opt.temperature, not opt.sample
        self.topk, self.topp = min(opt.topk, vocab_size), float(opt.topp)
        self.limit, self.ended_early = limit, False
        self._stop = StopText(opt.stop)
        self._length = opt.length
        self._num_sampled = 0
        self._generator = LuaRandom(seed)
        self._random_numbers = np.empty(0)

    def temperatures(self, count: int) -> npt.NDArray[np.float64]:
        """Of the next characters, (count,)."""
        at = np.arange(self._num_sampled, self._num_sampled + count)
        return temperatures_at(at, self.temperature, self._length)

    def random_numbers(self, count: int) -> npt.NDArray[np.float64]:
        """Torch7's random numbers for the next characters, in [0, 1), (count,)."""
        while len(self._random_numbers) < count:
            self._random_numbers = np.concatenate([self._random_numbers, self._generator.random(_BLOCK)])
        return self._random_numbers[:count]

    def pause_after(self, characters: list[bytes]) -> npt.NDArray[np.bool_] | None:
        """The characters of a vocabulary with which the text may end before its length, bool (V,); None for none."""
        return self._stop.may_be_completed_by(characters)

    def advance(self, count: int, text: bytes = b"") -> None:
        """Record that so many characters, `text`, have been sampled; `text` is needed for -stop only."""
        self._random_numbers = self._random_numbers[count:]
        self._num_sampled += count
        self.left = 0 if self._stop.completed_by(text) else self.left - count

    def end_early(self) -> None:
        """Sample no more, since no character is left."""
        self.left, self.ended_early = 0, True


def temperatures_at(at: npt.NDArray[np.int64], temperature: Ramp, length: int) -> npt.NDArray[np.float64]:
    """The temperatures of the characters at some positions of a text of `length`, in the shape of `at`.

    -temperature A:B goes from A at the first character to B at the last one.
    """
    if not isinstance(temperature, tuple):
        return np.full(at.shape, float(temperature))
    first, last = temperature
    temperatures: npt.NDArray[np.float64] = first + (last - first) * at / max(length - 1, 1)
    return temperatures


def sampling_params(
    streams: Sequence[Stream], count: int, pause_after: npt.NDArray[np.bool_] | None = None
) -> SamplingParams:
    """How streams choose their next `count` characters."""
    return SamplingParams(
        temperatures=np.array([stream.temperatures(count) for stream in streams]).T.copy(),
        random_numbers=np.array([stream.random_numbers(count) for stream in streams]).T.copy(),
        greedy=np.array([stream.greedy for stream in streams]),
        topk=np.array([stream.topk for stream in streams], np.int64),
        topp=np.array([stream.topp for stream in streams]),
        pause_after=pause_after,
        limits=[stream.limit for stream in streams] if any(stream.limit for stream in streams) else None,
    )
