"""Draws the items of a model of a list: each from a zero state to its end, many side by side, in the order of seeds.

An item depends on its seed alone, not on the items beside it or on threads.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from compat.vocabulary import characters_by_id, ids_of
from pycharrnn.common import cores
from pycharrnn.common.thread_results import results_of
from pycharrnn.sampling import sampler
from pycharrnn.sampling.item_streams import DrawnItem, ItemStreams
from pycharrnn.sampling.kernel_predictor import KernelPredictor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from pycharrnn.engine.passage_index import CopyLimit
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.model_labels import LabelChoice
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import Predictor

MAX_STREAMS = 128  # of a thread: enough to share the overhead of a call among many items
_MAX_MULTIPLICATIONS = 1 << 28  # of a step in all streams of a thread, about, so that a round stays short
_ROUNDS_AHEAD = 16  # items, for each stream, that may be ready before an item that takes long


@dataclass(frozen=True)
class ItemModel:
    """A model of a list, and how its items begin.

    Attributes:
        predictor_of: number of streams -> a predictor with hidden states of zeros.
        vocab: character -> token id + 1. end: token id of the end of an item, which is read before its first character.
        prime: the beginning of every item, as characters of vocab. labels: which are read before it; None for none.
        copies: the limits of copying from the training text within an item; None for no limit. The end may always
            follow.
    """

    predictor_of: Callable[[int], Predictor]
    vocab: dict[bytes, int]
    end: int
    prime: Sequence[bytes] = ()
    labels: LabelChoice | None = None
    copies: CopyLimits | None = None

    def beginning_index(self, seed: int) -> int:
        """Which of the `beginnings` the item of a seed has."""
        return self.labels.label_index(seed) if self.labels else 0

    def label(self, seed: int) -> bytes:
        """The label of the item of a seed; b"" without labels."""
        return self.labels.labels[self.beginning_index(seed)] if self.labels else b""

    @cached_property
    def characters(self) -> list[bytes]:
        """By token id."""
        return characters_by_id(self.vocab)

    @cached_property
    def beginnings(self) -> list[list[bytes]]:
        """What items read first: the end character, for each label the label, and the prime."""
        of_labels = self.labels.beginnings if self.labels else [[]]
        return [[self.characters[self.end], *of_label, *self.prime] for of_label in of_labels]


def draw(model: ItemModel, opt: SampleOptions, most: int | None = None) -> Iterator[DrawnItem]:
    """Draw the items of the seeds opt.seed, opt.seed + 1, ..., in this order: `most` of them, or without end.

    `opt`: `items` is how many may be wanted, at least; at most `length` characters are drawn, the end included.

    Errors: UserError for a model that predicts NaN.
    """
    return itertools.chain.from_iterable(draw_in_rounds(model, opt, most))


def draw_in_rounds(model: ItemModel, opt: SampleOptions, most: int | None = None) -> Iterator[list[DrawnItem]]:
    """As `draw`, in lists that may be empty, so that the caller regains control after each round of about 20 ms."""
    first, vocab = model.predictor_of(1), model.vocab
    if isinstance(first, KernelPredictor):
        ids = [ids_of(beginning, vocab) for beginning in model.beginnings]
        limit = model.copies.limit(ids_of(model.prime, vocab)) if model.copies else None
        return _Drawing(first, ids, model.beginning_index, opt, most, limit).rounds()
    return _in_groups(model, opt, most)


def _in_groups(model: ItemModel, opt: SampleOptions, most: int | None) -> Iterator[list[DrawnItem]]:
    """Draw items in groups, for any predictor."""
    until_end = dataclasses.replace(opt, stop=os.fsdecode(model.characters[model.end]), items=0)
    size, no_ids, no_probs = min(MAX_STREAMS, opt.items), np.empty(0, np.int64), np.empty(0)
    for start in itertools.count(0, size):
        seeds = range(opt.seed + start, opt.seed + (start + size if most is None else min(start + size, most)))
        if not seeds:
            return
        ids: list[list[npt.NDArray[np.int64]]] = [[] for _ in seeds]
        probs: list[list[npt.NDArray[np.float64]]] = [[] for _ in seeds]
        predictor = model.predictor_of(len(seeds))
        primes = [model.beginnings[model.beginning_index(seed)] for seed in seeds]
        chunks = sampler.sample_streams(
            predictor, primes, model.vocab, until_end, seeds, copies=model.copies, own=len(model.prime)
        )
        for chunk in chunks:
            if not chunk.given:
                ids[chunk.stream].append(chunk.token_ids)
                probs[chunk.stream].append(chunk.token_probs)
            yield []
        yield [
            DrawnItem.up_to_end(
                seed, np.concatenate([no_ids, *of_seed]), np.concatenate([no_probs, *probs_of_seed]), model.end
            )
            for seed, of_seed, probs_of_seed in zip(seeds, ids, probs, strict=True)
        ]


class _Drawing:
    """Items that threads draw on the C kernel. A thread takes the next seed whenever one of its streams is free."""

    def __init__(
        self,
        model: KernelPredictor,
        beginnings: Sequence[Sequence[int]],
        beginning_index: Callable[[int], int],
        opt: SampleOptions,
        most: int | None,
        limit: CopyLimit | None,
    ) -> None:
        """Prepare the threads.

        `beginnings`: token ids that items read first; all have the same last one. `beginning_index`: seed -> which
        of them. `limit`: of copies, after the beginning of an item.
        """
        threads = min(opt.threads or cores.default_threads(), opt.items)
        most_at_once = max(model.rows_per_step, _MAX_MULTIPLICATIONS // model.multiplications)
        streams = min(MAX_STREAMS, most_at_once, -(-opt.items // threads))
        self._first_seed, self._next_seed = opt.seed, opt.seed
        self._end_seed = None if most is None else opt.seed + most
        self._ahead = _ROUNDS_AHEAD * threads * streams
        self._held_seed = opt.seed + self._ahead  # no thread takes this one yet
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._model, self._beginnings = model, beginnings
        end, last_of_beginning = beginnings[0][0], beginnings[0][-1]
        self._workers = [
            ItemStreams(model.fresh(streams=streams), end, last_of_beginning, beginning_index, opt, self._take, limit)
            for _ in range(threads)
        ]

    def _read_beginnings(self) -> Iterator[list[DrawnItem]]:
        """Read what items begin with, some characters in each round."""
        begin_states = []
        for beginning in self._beginnings:
            states = self._model.fresh().states()
            for start in range(0, len(beginning) - 1, self._model.steps_per_call):
                block = beginning[:-1][start : start + self._model.steps_per_call]
                reading = self._model.fresh(steps=len(block))
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
            seed = self._next_seed
            if self._ended.is_set() or seed == self._end_seed or seed >= self._held_seed:
                return None
            self._next_seed += 1
            return seed

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
                    self._held_seed = seed + self._ahead
                    yield found
            finally:
                self._ended.set()

    def _round(self, pool: ThreadPoolExecutor) -> list[DrawnItem]:
        if len(self._workers) == 1:
            return self._workers[0].draw(self._ended.is_set)
        working = [pool.submit(worker.draw, self._ended.is_set) for worker in self._workers]
        return [item for items in results_of(working) for item in items]
