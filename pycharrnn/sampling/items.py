"""Draws the items of a model of a list: each from a zero state to its end, many side by side, in the order of seeds.

An item depends on its seed alone, not on the items beside it or on threads.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat.lua_random import SeedRandom
from compat.vocabulary import characters_by_id
from pycharrnn.common import cores
from pycharrnn.engine.kernel_streams import SamplingParams
from pycharrnn.sampling import sampler
from pycharrnn.sampling.distribution import nan_error
from pycharrnn.sampling.kernel_predictor import KernelPredictor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from pycharrnn.engine.passages import CopyLimit
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.kernel_predictor import State
    from pycharrnn.sampling.model_labels import LabelChoice
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import Predictor

MAX_STREAMS = 128  # of a thread: enough to share the overhead of a call among many items
_MAX_MULTIPLICATIONS = 1 << 28  # of a step in all streams of a thread, about, so that a round stays short
_STEPS = 64  # in a call, shared by its streams: one item takes 64, of 64 items each takes one
_ROUND_SECONDS = 0.02  # after which a thread hands over its items
_SECONDS_BETWEEN_SIGNALS = 0.1
_NUMBERS = 64  # random numbers to draw for an item at first
_ROUNDS_AHEAD = 16  # items, for each stream, that may be ready before an item that takes long


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


def draw(
    predictor_of: Callable[[int], Predictor],
    vocab: dict[bytes, int],
    end: int,
    prime: list[bytes],
    opt: SampleOptions,
    most: int | None = None,
    labels: LabelChoice | None = None,
    copies: CopyLimits | None = None,
) -> Iterator[DrawnItem]:
    """Draw the items of the seeds opt.seed, opt.seed + 1, ..., in this order: `most` of them, or without end.

    Args:
        predictor_of: number of streams -> a predictor with hidden states of zeros.
        end: token id of the end of an item, which is read before its first character.
        prime: the beginning of every item, as characters of vocab. labels: which are read before it; None for none.
        opt: `items` is how many may be wanted, at least; at most `length` characters are drawn, the end included.
        copies: of opt.max_copy, for passages within an item; None for no limit. The end may always follow.

    Errors: UserError for a model that predicts NaN.
    """
    return itertools.chain.from_iterable(draw_in_rounds(predictor_of, vocab, end, prime, opt, most, labels, copies))


def draw_in_rounds(
    predictor_of: Callable[[int], Predictor],
    vocab: dict[bytes, int],
    end: int,
    prime: list[bytes],
    opt: SampleOptions,
    most: int | None = None,
    labels: LabelChoice | None = None,
    copies: CopyLimits | None = None,
) -> Iterator[list[DrawnItem]]:
    """As `draw`, in lists that may be empty, so that the caller regains control after each round of about 20 ms."""
    first = predictor_of(1)
    number: Callable[[int], int] = labels.number if labels else lambda seed: 0
    begins = [[characters_by_id(vocab)[end], *of_label, *prime] for of_label in (labels.beginnings if labels else [[]])]
    if isinstance(first, KernelPredictor):
        ids = [[vocab[character] - 1 for character in begin] for begin in begins]
        limit = copies.limit([vocab[character] - 1 for character in prime]) if copies else None
        return _Drawing(first, ids, number, opt, most, limit).rounds()
    return _in_groups(predictor_of, vocab, lambda seed: begins[number(seed)], end, opt, most, copies, len(prime))


def _in_groups(
    predictor_of: Callable[[int], Predictor],
    vocab: dict[bytes, int],
    begin: Callable[[int], list[bytes]],
    end: int,
    opt: SampleOptions,
    most: int | None,
    copies: CopyLimits | None,
    own: int,
) -> Iterator[list[DrawnItem]]:
    """Draw items in groups, for any predictor.

    `begin`: seed -> what its item reads first, with the end character. `own`: how much of it is the item's.
    """
    until_end = dataclasses.replace(opt, stop=os.fsdecode(characters_by_id(vocab)[end]), items=0)
    size, no_ids, no_probs = min(MAX_STREAMS, opt.items), np.empty(0, np.int64), np.empty(0)
    for start in itertools.count(0, size):
        seeds = range(opt.seed + start, opt.seed + (start + size if most is None else min(start + size, most)))
        if not seeds:
            return
        ids: list[list[npt.NDArray[np.int64]]] = [[] for _ in seeds]
        probs: list[list[npt.NDArray[np.float64]]] = [[] for _ in seeds]
        predictor, primes = predictor_of(len(seeds)), list(map(begin, seeds))
        for chunk in sampler.sample_streams(predictor, primes, vocab, until_end, seeds, copies=copies, own=own):
            if not chunk.given:
                ids[chunk.stream].append(chunk.token_ids)
                probs[chunk.stream].append(chunk.token_probs)
            yield []
        yield [
            _item(seed, np.concatenate([no_ids, *of_seed]), np.concatenate([no_probs, *probs_of_seed]), end)
            for seed, of_seed, probs_of_seed in zip(seeds, ids, probs, strict=True)
        ]


def _item(seed: int, token_ids: npt.NDArray[np.int64], probs: npt.NDArray[np.float64], end: int) -> DrawnItem:
    has_end = bool((token_ids[-1:] == end).any())
    return DrawnItem(seed, token_ids[:-1] if has_end else token_ids, probs, not has_end)


class _Drawing:
    """Items that threads draw on the C kernel. A thread takes the next seed whenever one of its streams is free."""

    def __init__(
        self,
        model: KernelPredictor,
        begins: Sequence[Sequence[int]],
        number: Callable[[int], int],
        opt: SampleOptions,
        most: int | None,
        limit: CopyLimit | None,
    ) -> None:
        """Prepare the threads.

        `begins`: token ids that items read first; all have the same last one. `number`: seed -> which of them.
        `limit`: of copies, after the beginning of an item.
        """
        threads = min(opt.threads or cores.usable(), opt.items)
        most_at_once = max(model.rows_per_step, _MAX_MULTIPLICATIONS // model.multiplications)
        streams = min(MAX_STREAMS, most_at_once, -(-opt.items // threads))
        self._first_seed, self._seeds = opt.seed, itertools.count(opt.seed)
        self._end_seed = None if most is None else opt.seed + most
        self._ahead = _ROUNDS_AHEAD * threads * streams
        self._limit = opt.seed + self._ahead  # no thread takes this seed yet
        self._next, self._lock, self._ended = opt.seed, threading.Lock(), threading.Event()
        self._model, self._begins = model, begins
        ends = begins[0][0], begins[0][-1]
        self._workers = [
            _Worker(model.fresh(1, streams), *ends, number, opt, self._take, limit) for _ in range(threads)
        ]

    def _read_beginnings(self) -> Iterator[list[DrawnItem]]:
        """Read what items begin with, some characters in each round."""
        begin_states = []
        for begin in self._begins:
            states = self._model.fresh().states()
            for start in range(0, len(begin) - 1, self._model.steps_per_call):
                block = begin[:-1][start : start + self._model.steps_per_call]
                reading = self._model.fresh(len(block))
                reading.set_states(states)
                reading.read(np.array(block)[:, None])
                states = reading.states()
                yield []
            begin_states.append(states[0])
        for worker in self._workers:
            worker.begin_states = begin_states

    def _take(self) -> int | None:
        """The next seed, or None if there is none at present."""
        with self._lock:
            if self._ended.is_set() or self._next == self._end_seed or self._next >= self._limit:
                return None
            self._next += 1
            return self._next - 1

    def rounds(self) -> Iterator[list[DrawnItem]]:
        """The items in the order of their seeds, those that are ready after each round."""
        yield from self._read_beginnings()
        ready: dict[int, DrawnItem] = {}
        seed = self._first_seed
        with ThreadPoolExecutor(len(self._workers)) as pool:
            try:
                while seed != self._end_seed:
                    for item in self._round(pool):
                        ready[item.seed] = item
                    found = []
                    while seed in ready:
                        found.append(ready.pop(seed))
                        seed += 1
                    self._limit = seed + self._ahead
                    yield found
            finally:
                self._ended.set()

    def _round(self, pool: ThreadPoolExecutor) -> list[DrawnItem]:
        if len(self._workers) == 1:
            return self._workers[0].draw(self._ended.is_set)
        working = {pool.submit(worker.draw, self._ended.is_set) for worker in self._workers}
        found: list[DrawnItem] = []
        while working:
            # The timeout lets Ctrl-C through on Windows, where a signal does not interrupt a wait for a lock.
            done, working = wait(working, _SECONDS_BETWEEN_SIGNALS, FIRST_EXCEPTION)
            for future in done:
                found += future.result()
        return found


class _Worker:
    """B streams of one thread. `begin_states`: hidden states before the last character that items begin with."""

    begin_states: Sequence[State]

    def __init__(
        self,
        predictor: KernelPredictor,
        end: int,
        last_of_begin: int,
        number: Callable[[int], int],
        opt: SampleOptions,
        take: Callable[[], int | None],
        limit: CopyLimit | None,
    ) -> None:
        B = predictor.num_streams
        self._predictor, self._take, self._end, self._last_of_begin = predictor, take, end, last_of_begin
        self._number, self._limit, self._limits = number, limit, [limit] * B
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
        self._predictor.set_state(stream, self.begin_states[self._number(seed)])
        self._positions[stream], self._last_ids[stream] = 0, self._last_of_begin
        self._limits[stream] = self._limit and self._limit.copy()
        return True

    def _step(self, live: npt.NDArray[np.int64]) -> list[int]:
        """Draw the next characters of M streams, as many of each. Returns the streams whose items have ended."""
        positions = self._positions[live]
        steps = max(min(_STEPS // len(live), self._predictor.steps_per_call, self._length - int(positions.max())), 1)
        self._widen(int(positions.max()) + steps)
        at = positions + np.arange(steps)[:, None]  # (N, M)
        params = SamplingParams(
            self._temperatures(at),
            self._numbers[live, at],
            self._greedy[live],
            self._topk[live],
            self._topp[live],
            self._pause_after,
            [self._limits[stream] for stream in live.tolist()] if self._limit else None,
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
        return _item(seed, ids, probs, self._end)

    def _temperatures(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """See Stream.temperatures; at positions of any shape."""
        if not isinstance(self._temperature, tuple):
            return np.full(at.shape, float(self._temperature))
        first, last = self._temperature
        temperatures: npt.NDArray[np.float64] = first + (last - first) * at / max(self._length - 1, 1)
        return temperatures

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
