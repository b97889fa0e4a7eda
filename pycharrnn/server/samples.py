"""Samples of a served model. Each reads its primetext in turns of its own, then shares turns with other samples."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from fastapi import HTTPException

from compat.vocabulary import characters_by_id, ids_of
from pycharrnn.common.errors import UserError
from pycharrnn.sampling import batched_sampling
from pycharrnn.sampling.batched_sampling import BatchedStream, Characters
from pycharrnn.sampling.copy_limits import CopyLimits
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.primetext import primetext_characters
from pycharrnn.sampling.stop_text import require_possible_stop
from pycharrnn.server.json_lines import LineWriter
from pycharrnn.server.learning_models import LearningModel
from pycharrnn.server.sample_batch import SampleBatch, step_lines
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.served_models import ServedModel


@dataclass(frozen=True)
class RequestedSample:
    """A sample as a client requests it."""

    options: SampleOptions  # of schemas.SampleBody.sample_options
    primetext: bytes
    unit: tuple[int, int] | None  # (layer, unit), from 1, whose activation to add to each character
    candidates: int  # number of top candidates to add to each character
    skip: int = 0  # number of characters at the beginning whose lines to leave out
    copies: CopyLimits | None = None  # from the training text


class Sample:
    """Produces a sample as JSON lines (schemas.SampleLine). The last is {"done":true}, or an error after NaN."""

    def __init__(self, model: ServedModel, requested: RequestedSample, learning: LearningModel | None = None) -> None:
        """`learning`: a copy of the model, which first learns from the primetext, and then samples."""
        self._model, self._requested, self._learning = model, requested, learning
        self._writer = LineWriter(model.vocabulary, requested.candidates, requested.skip)
        self._unit = (requested.unit[0] - 1, requested.unit[1] - 1) if requested.unit else None
        self.stream: BatchedStream | None = None  # set while `batch` is to sample more; needs the C kernel

    @property
    def batch(self) -> SampleBatch | None:
        """The batch that continues the sample after `start`; None if the sample is complete."""
        return self._model.batch if self.stream else None

    def start(self) -> Iterator[str]:
        """Yield lines up to the first sampled character; without the C kernel all lines. "" while the model learns.

        Errors: HTTPException for a primetext with an unknown character, or a stop that never occurs.
        """
        requested = self._requested
        with refusal_of_errors():
            require_possible_stop(requested.options, self._model.vocab)
        prime_ids = ids_of(characters_of(requested.primetext, self._model), self._model.vocab)
        if self._learning:
            yield from self._learning.learn(prime_ids)
            self._model = self._learning.served()
        predictor = self._model.predictor
        if not isinstance(predictor, KernelPredictor):
            yield from self._all_lines()
            return
        characters = characters_by_id(self._model.vocab) if requested.options.stop else ()
        stream = BatchedStream(predictor, requested.options, prime_ids, self._unit, requested.copies, characters)
        while stream.unread:
            count = min(self._model.block, stream.unread)
            yield self._writer.lines(stream.read(count, self._writer.candidates_for(count)))
        self.stream = stream
        ((lines, _),) = step_lines([self], 1)
        yield lines

    def candidates_for(self, count: int) -> int:
        """See sample_batch.BatchMember."""
        return self._writer.candidates_for(count)

    def lines(self, characters: Characters) -> str:
        """The lines of the next characters, and after the last of them the last line."""
        assert self.stream
        lines = self._writer.lines(characters)
        if self.stream.error:
            lines += error_line(self.stream.error)
        elif not self.stream.left:
            lines += self._writer.end(self.stream.ended_early)
        if self.stream.error or not self.stream.left:
            self.stream = None
        return lines

    def _all_lines(self) -> Iterator[str]:
        requested, model = self._requested, self._model
        predictor, candidates = model.predictor.fresh(), requested.candidates
        sampled = batched_sampling.sample_alone(
            predictor, model.vocab, requested.options, requested.primetext, self._unit, candidates, requested.copies
        )
        try:
            for characters in sampled:
                yield self._writer.lines(characters)
        except UserError as e:
            yield error_line(e)
        else:
            yield self._writer.end(sampled.ended_early)


@contextlib.contextmanager
def refusal_of_errors() -> Iterator[None]:
    """A context in which a UserError becomes an HTTPException that names options as fields of a request."""
    try:
        yield
    except UserError as e:
        e.reword_for_program({})
        e.__traceback__ = None  # since Python 3.13 its frames are a cycle here, which would keep the client's model
        raise HTTPException(422, str(e)) from None


def characters_of(primetext: bytes, model: ServedModel) -> list[bytes]:
    """The model's characters in a primetext. Errors: HTTPException that names the unknown characters."""
    with refusal_of_errors():
        return primetext_characters(primetext, model.vocab, ignorable=False)


async def in_turns(scheduler: Scheduler, lines: Iterator[str]) -> AsyncGenerator[str, None]:
    """Lines, some in each turn. Errors: scheduler.SchedulerClosed; those of the iterator."""
    async with contextlib.aclosing(scheduler.run(lines)) as turns:
        async for pieces in turns:
            yield "".join(pieces)


async def stream_lines(scheduler: Scheduler, sample: Sample) -> AsyncGenerator[str, None]:
    """The lines of a sample, some in each turn. Errors: scheduler.SchedulerClosed; as Sample.start."""
    async with contextlib.aclosing(scheduler.run(sample.start())) as turns:
        async for pieces in turns:
            yield "".join(pieces)
            if sample.batch:
                break
    if sample.batch:
        async with contextlib.aclosing(scheduler.run_in_batch(sample.batch, sample)) as shared_turns:
            async for lines in shared_turns:
                yield lines


def error_line(error: UserError) -> str:
    """The last line after an error, which names options as fields of a request."""
    error.reword_for_program({})
    return json.dumps({"error": str(error)}, separators=(",", ":")) + "\n"
