"""Steps the samples of one model together, for the scheduler."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from pycharrnn.sampling import batched_sampling
from pycharrnn.sampling.batched_sampling import BatchedStream, Characters

_MOST_CHARACTERS = 256  # of a sample in one turn, so that little has to wait for a slow reader
_SHORTEST = 1e-6  # seconds: some clocks stand still for longer than a turn
_LARGEST_STEP = 1 << 28  # multiplications, about, so that a turn stays short


class BatchMember(Protocol):
    """A sample that shares the steps of others; samples.Sample is one."""

    stream: BatchedStream | None

    def candidates_for(self, count: int) -> int:
        """See Sample."""

    def lines(self, characters: Characters) -> str:
        """See Sample."""


def draw_lines(samples: Sequence[BatchMember], most: int) -> list[tuple[str, bool]]:
    """The lines of the next characters of samples of one model, up to `most` of each, and whether there is more."""
    streams = [sample.stream for sample in samples if sample.stream]
    drawn = batched_sampling.step_batch(streams, most, [sample.candidates_for(most) for sample in samples])
    lines = [sample.lines(characters) for sample, characters in zip(samples, drawn, strict=True)]
    return [(of_sample, sample.stream is not None) for of_sample, sample in zip(lines, samples, strict=True)]


class SampleBatch:
    """Samples of one model that are drawn side by side: see scheduler.Batch.

    Args:
        multiplications: for one character of one stream.
    """

    def __init__(self, few: int, multiplications: int) -> None:
        self.few, self.most = few, max(few, _LARGEST_STEP // multiplications)
        self._seconds = multiplications / 1e9  # of a step of up to `few` streams, as far as is known

    def advance(self, samples: Sequence[BatchMember], seconds: float) -> list[tuple[str, bool]]:
        """Lines for each sample, and whether there is more to come."""
        groups, start = -(-len(samples) // self.few), time.thread_time()
        left = max(sample.stream.left for sample in samples if sample.stream)
        steps = max(1, min(_MOST_CHARACTERS, left, int(seconds / (groups * self._seconds))))
        lines = draw_lines(samples, steps)
        taken = max(time.thread_time() - start, _SHORTEST)
        self._seconds = (self._seconds + taken / (groups * steps)) / 2
        return lines
