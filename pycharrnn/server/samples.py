"""Samples of a served model: each begins in turns of its own, then all of a model go on in turns that they share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from fastapi import HTTPException

from pycharrnn.common.errors import UserError
from pycharrnn.sampling import batched_sampling, tokenizer
from pycharrnn.sampling.batched_sampling import BatchedStream, Characters
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server.sample_batch import SampleBatch, draw_lines
from pycharrnn.server.sample_lines import LineWriter
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.served_models import ServedModel


@dataclass(frozen=True)
class SampleAsked:
    """What to draw from a model.

    Attributes:
        options: seed, length, temperature, topk and topp.
        primetext: what the sample begins with.
        unit: (layer, unit), from 1, whose activation to add to each character, or None.
        candidates: how many of the likeliest characters to name with each.
        skip: the lines of so many characters are left out.
    """

    options: SampleOptions
    primetext: bytes
    unit: tuple[int, int] | None
    candidates: int
    skip: int = 0


class Sample:
    """A sample as the lines of schemas.SampleLine: one for each character of the screen, and one at the end.

    The last one is {"done": true}, or an error where the model predicts NaN.
    """

    def __init__(self, model: ServedModel, asked: SampleAsked) -> None:
        self._model, self._asked = model, asked
        self._writer = LineWriter(model.vocabulary, asked.candidates, asked.skip)
        self._unit = (asked.unit[0] - 1, asked.unit[1] - 1) if asked.unit else None
        self.stream: BatchedStream | None = None  # on the C kernel, where there is more to draw together with others

    @property
    def batch(self) -> SampleBatch | None:
        """In which it goes on, once it has begun; None if it is complete."""
        return self._model.batch if self.stream else None

    def begin(self) -> Iterator[str]:
        """The lines up to the first character that is drawn, in pieces; without the C kernel all of them.

        Errors: HTTPException for a primetext with a character that the model does not know.
        """
        vocab, asked, predictor = self._model.vocab, self._asked, self._model.predictor
        given = list[int]()
        for at, character in tokenizer.tokenize(asked.primetext, vocab):
            if character is None:
                unknown = tokenizer.describe_unknown(asked.primetext, at)
                raise HTTPException(422, f"primetext has {unknown}: leave it out.")
            given.append(vocab[character] - 1)
        if not isinstance(predictor, KernelPredictor):
            yield from self._alone()
            return
        stream = BatchedStream(predictor, asked.options, given, self._unit)
        while stream.unread:
            count = min(self._model.block, stream.unread)
            yield self._writer.lines(stream.read(count, self._writer.candidates_for(count)))
        self.stream = stream
        ((lines, _),) = draw_lines([self], 1)
        yield lines

    def candidates_for(self, count: int) -> int:
        """How many candidates are wanted with the next `count` characters."""
        return self._writer.candidates_for(count)

    def lines(self, characters: Characters) -> str:
        """The lines of these characters, and the last one where these were all."""
        assert self.stream
        lines = self._writer.lines(characters)
        if self.stream.error:
            lines += _error(self.stream.error)
        elif not self.stream.left:
            lines += self._writer.end()
        if self.stream.error or not self.stream.left:
            self.stream = None
        return lines

    def _alone(self) -> Iterator[str]:
        asked, model = self._asked, self._model
        predictor, candidates = model.predictor.fresh(), asked.candidates
        drawn = batched_sampling.sample_alone(
            predictor, model.vocab, asked.options, asked.primetext, self._unit, candidates
        )
        try:
            for characters in drawn:
                yield self._writer.lines(characters)
        except UserError as e:
            yield _error(e)
        else:
            yield self._writer.end()


async def in_turns(scheduler: Scheduler, sample: Sample) -> AsyncGenerator[str, None]:
    """The lines of a sample, some in each turn. Errors: scheduler.SchedulerClosed."""
    async with contextlib.aclosing(scheduler.run(sample.begin())) as beginning:
        async for pieces in beginning:
            yield "".join(pieces)
            if sample.batch:
                break
    if sample.batch:
        async with contextlib.aclosing(scheduler.run_in_batch(sample.batch, sample)) as turns:
            async for lines in turns:
                yield lines


def _error(error: UserError) -> str:
    return json.dumps({"error": str(error)}, separators=(",", ":")) + "\n"
