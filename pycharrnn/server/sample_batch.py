"""Steps the samples of one model together, for the scheduler."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from pycharrnn.sampling import batched_sampling
from pycharrnn.sampling.batched_sampling import BatchedStream, Characters

_MAX_CHARACTERS = 256  # of a sample in one turn, so that little output waits for a slow client
_MIN_SECONDS = 1e-6  # some clocks stand still for longer than a turn
_MAX_MULTIPLICATIONS = 1 << 28  # of a step, about, so that a turn stays short


class BatchMember(Protocol):
    """A sample that shares steps with others; samples.Sample implements it."""

    stream: BatchedStream | None

    def candidates_for(self, count: int) -> int:
        """How many top candidates `lines` needs for each of the next `count` characters."""

    def lines(self, characters: Characters) -> str:
        """The lines of the answer for the characters that were sampled."""


def step_lines(samples: Sequence[BatchMember], steps: int) -> list[tuple[str, bool]]:
    """Sample up to `steps` characters of each sample. Returns (lines, whether there is more) of each."""
    streams = [sample.stream for sample in samples if sample.stream]
    sampled = batched_sampling.step_batch(streams, steps, [sample.candidates_for(steps) for sample in samples])
    lines = [sample.lines(characters) for sample, characters in zip(samples, sampled, strict=True)]
    return [(of_sample, sample.stream is not None) for of_sample, sample in zip(lines, samples, strict=True)]


class SampleBatch:
    """The samples of one model, as a scheduler.Batch. `multiplications`: for one character of one stream."""

    def __init__(self, min_batch: int, multiplications: int) -> None:
        self.min_batch, self.max_batch = min_batch, max(min_batch, _MAX_MULTIPLICATIONS // multiplications)
        self._step_seconds = multiplications / 1e9  # measured, for up to min_batch streams

    def advance(self, samples: Sequence[BatchMember], seconds: float) -> list[tuple[str, bool]]:
        """See scheduler.Batch."""
        groups, start = -(-len(samples) // self.min_batch), time.thread_time()
        left = max(sample.stream.left for sample in samples if sample.stream)
        steps = max(1, min(_MAX_CHARACTERS, left, int(seconds / (groups * self._step_seconds))))
        lines = step_lines(samples, steps)
        taken = max(time.thread_time() - start, _MIN_SECONDS)
        self._step_seconds = (self._step_seconds + taken / (groups * steps)) / 2
        return lines
