"""The streams in which one thread draws items on the C kernel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat.lua_random import SeedRandom
from pycharrnn.engine.kernel_streams import SamplingParams
from pycharrnn.sampling.distribution import nan_error
from pycharrnn.sampling.stream import temperatures_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from pycharrnn.engine.passage_index import CopyLimit
    from pycharrnn.sampling.kernel_predictor import KernelPredictor, State
    from pycharrnn.sampling.options import SampleOptions

_STEPS = 64  # of a kernel call, divided among its streams
_ROUND_SECONDS = 0.02  # after which a thread hands over its items
_NUMBERS = 64  # random numbers to draw for an item at first


class DrawnItem(NamedTuple):
    """An item of N characters, without its beginning.

    Attributes:
        seed: draws the same item again.
        token_ids: (N,), without the end. token_probs: (N + 1,) with that of the end, (N,) if `cut`.
        cut: whether it has no end, since it has -length characters.
    """

    seed: int
    token_ids: npt.NDArray[np.int64]
    token_probs: npt.NDArray[np.float64]
    cut: bool

    @classmethod
    def up_to_end(
        cls, seed: int, token_ids: npt.NDArray[np.int64], token_probs: npt.NDArray[np.float64], end: int
    ) -> DrawnItem:
        """An item whose `token_ids` have the end, if it has one."""
        has_end = bool((token_ids[-1:] == end).any())
        return cls(seed, token_ids[:-1] if has_end else token_ids, token_probs, not has_end)


class ItemStreams:
    """B streams of one thread. `beginning_index`: seed -> which of the beginnings its item has.

    Attributes:
        begin_states: for each beginning, the hidden state before its last character.
    """

    begin_states: Sequence[State]

    def __init__(
        self,
        predictor: KernelPredictor,
        end: int,
        last_of_beginning: int,
        beginning_index: Callable[[int], int],
        opt: SampleOptions,
        take: Callable[[], int | None],
        limit: CopyLimit | None,
    ) -> None:
        B = predictor.num_streams
        self._predictor, self._take, self._end, self._last_of_beginning = predictor, take, end, last_of_beginning
        self._beginning_index, self._limit, self._limits = beginning_index, limit, [limit] * B
        self._length, self._greedy = opt.length, np.full(B, not opt.sample)
        self._topk = np.full(B, min(opt.topk, predictor.vocab_size), np.int64)
        self._topp = np.full(B, float(opt.topp))
        self._temperature = opt.temperature
        self._pause_after = np.arange(predictor.vocab_size) == self._end
        self._random = SeedRandom()
        self._seeds: list[int | None] = [None] * B
        self._positions, self._last_ids = np.zeros(B, np.int64), np.zeros(B, np.int64)
        # Of the items in the streams, (B, W): random numbers, and the characters drawn with them.
        self._numbers = np.empty((B, min(_NUMBERS, opt.length)))
        self._token_ids, self._token_probs = np.empty(self._numbers.shape, np.int64), np.empty(self._numbers.shape)

    def draw(self, should_end: Callable[[], bool]) -> list[DrawnItem]:
        """Draw for some time, or until there are no seeds: the items that have ended."""
        until = time.monotonic() + _ROUND_SECONDS
        for stream, seed in enumerate(self._seeds):
            if seed is None and not self._begin(stream):
                break
        found: list[DrawnItem] = []
        while not should_end():
            live = np.array([stream for stream, seed in enumerate(self._seeds) if seed is not None], np.int64)
            if not len(live):
                break
            for stream in self._step(live):
                found.append(self._take_item(stream))
                self._begin(stream)
            if time.monotonic() > until:
                break
        return found

    def _begin(self, stream: int) -> bool:
        """Begin the next item in a stream, if there is one."""
        self._seeds[stream] = seed = self._take()
        if seed is None:
            return False
        self._numbers[stream] = self._random.first(seed, self._numbers.shape[1])
        self._predictor.set_state(stream, self.begin_states[self._beginning_index(seed)])
        self._positions[stream], self._last_ids[stream] = 0, self._last_of_beginning
        self._limits[stream] = self._limit and self._limit.copy()
        return True

    def _step(self, live: npt.NDArray[np.int64]) -> list[int]:
        """Draw the next characters of M streams, as many of each. Returns the streams whose items have ended."""
        positions = self._positions[live]
        steps = max(min(_STEPS // len(live), self._predictor.steps_per_call, self._length - int(positions.max())), 1)
        self._widen(int(positions.max()) + steps)
        at = positions + np.arange(steps)[:, None]  # (N, M)
        params = SamplingParams(
            temperatures=temperatures_at(at, self._temperature, self._length),
            random_numbers=self._numbers[live, at],
            greedy=self._greedy[live],
            topk=self._topk[live],
            topp=self._topp[live],
            pause_after=self._pause_after,
            limits=[self._limits[stream] for stream in live.tolist()] if self._limit else None,
        )
        output = self._predictor.sample(live.tolist(), self._last_ids[live], None, params, False)
        N = len(output.token_ids)
        if output.failed:
            raise nan_error(params.temperatures[N])
        self._token_ids[live, at[:N]], self._token_probs[live, at[:N]] = output.token_ids, output.token_probs
        self._last_ids[live] = last_ids = output.token_ids[-1]
        self._positions[live] += N - (last_ids < 0)  # -1 where no character is left
        ended = (last_ids == self._end) | (last_ids < 0) | (self._positions[live] == self._length)
        streams: list[int] = live[ended].tolist()
        return streams

    def _take_item(self, stream: int) -> DrawnItem:
        seed, count = self._seeds[stream], self._positions[stream]
        assert seed is not None
        ids, probs = self._token_ids[stream, :count].copy(), self._token_probs[stream, :count].copy()
        return DrawnItem.up_to_end(seed, ids, probs, self._end)

    def _widen(self, width: int) -> None:
        """Make room for items of `width` characters."""
        before = self._numbers.shape[1]
        if width <= before:
            return
        width = min(max(width, 2 * before), self._length)
        more = ((0, 0), (0, width - before))
        self._token_ids, self._token_probs = np.pad(self._token_ids, more), np.pad(self._token_probs, more)
        self._numbers = np.pad(self._numbers, more)
        for stream, seed in enumerate(self._seeds):
            if seed is not None:
                self._numbers[stream] = self._random.first(seed, width)
