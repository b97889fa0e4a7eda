"""Sampling of texts that come and go, each with options of its own, in batches that change. For the server.

Each text equals the one that its stream would give alone: neither characters nor probabilities depend on the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pycharrnn.engine.kernel_streams import SampleRequest
from pycharrnn.sampling.distribution import nan_error, softmax
from pycharrnn.sampling.sampled_text import sampled_text
from pycharrnn.sampling.sampler import sample
from pycharrnn.sampling.stream import Stream, sampling_params

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from pycharrnn.common.errors import UserError
    from pycharrnn.engine.kernel_streams import SampleOutput
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.kernel_predictor import KernelPredictor
    from pycharrnn.sampling.options import SampleOptions
    from pycharrnn.sampling.predictor import LocalPredictor
    from pycharrnn.sampling.sampler import SampledCharacter


class Characters(NamedTuple):
    """N consecutive characters of a stream; see sampler.SampledCharacter."""

    token_ids: npt.NDArray[np.int64]  # (N,)
    token_probs: npt.NDArray[np.float64]  # (N,), of these characters
    given: npt.NDArray[np.bool_]  # (N,)
    top_candidates: npt.NDArray[np.int64]  # (N, K), the most probable characters; of equal ones the first
    top_probs: npt.NDArray[np.float64]  # (N, K)
    activations: npt.NDArray[np.float64]  # (N,), of the requested unit after each character; (0,) if none

    def first(self, count: int) -> Characters:
        """The first characters."""
        return Characters._make(part[:count] for part in self)


class BatchedStream(Stream):
    """A text on the C kernel with a hidden state of its own: `read` reads its primetext, then `step_batch` samples it.

    Args:
        predictor: of the model; its own streams are not used.
        prime_ids: token ids of the primetext.
        unit: (layer, unit), from 0, whose activations to return, or None.
        copies: the limits of copying from the training text; None for no limit.
        characters: token id -> character; needed for opt.stop only.

    Attributes:
        error: why no more can be sampled, or None.
        log_probs: of the next character, (V,).
        state: the hidden state.
    """

    def __init__(
        self,
        predictor: KernelPredictor,
        opt: SampleOptions,
        prime_ids: Sequence[int],
        unit: tuple[int, int] | None,
        copies: CopyLimits | None = None,
        characters: Sequence[bytes] = (),
    ) -> None:
        super().__init__(opt, opt.seed, predictor.vocab_size, copies.limit([*prime_ids]) if copies else None)
        self._characters = characters
        self.predictor, self.unit = predictor, unit
        self.error: UserError | None = None
        (self.state,) = predictor.fresh().states()
        self.log_probs = np.full(predictor.vocab_size, 1 / predictor.vocab_size)  # as in sampler._Batch
        self._prime_ids = np.array(prime_ids, np.int64)

    @property
    def unread(self) -> int:
        """How many characters of the primetext are still to be read."""
        return len(self._prime_ids)

    def take(self, sampled: Characters) -> Characters:
        """Record the next characters. Returns: those up to the end of opt.stop."""
        if not self._characters:
            self.advance(len(sampled.token_ids))
            return sampled
        for count, token_id in enumerate(sampled.token_ids.tolist(), 1):
            self.advance(1, self._characters[token_id])
            if not self.left:
                return sampled.first(count)
        return sampled

    def read(self, count: int, num_candidates: int) -> Characters:
        """Read the next characters of the primetext, up to `count`, with so many top candidates each."""
        block, self._prime_ids = self._prime_ids[:count], self._prime_ids[count:]
        predictor = self.predictor.fresh(steps=len(block))
        predictor.set_states([self.state])
        log_probs = predictor.read(block[:, None])[:, 0]
        probs = softmax(np.concatenate([self.log_probs[None], log_probs[:-1]]), 1)
        (self.state,), self.log_probs = predictor.states(), log_probs[-1].copy()
        activations = np.empty(0)
        if self.unit:
            layer, unit = self.unit
            activations = predictor.activations()[layer, :, 0, unit]
        return _characters(block, probs, True, num_candidates, activations)


def step_batch(streams: Sequence[BatchedStream], count: int, num_candidates: Sequence[int]) -> list[Characters]:
    """Sample the next characters of streams of one model: `count` of each, or as many as are left.

    A stream whose model predicts NaN gets the characters before that, perhaps none, and `error`.
    """
    predictor = streams[0].predictor.fresh(streams=len(streams))
    predictor.set_states([stream.state for stream in streams])
    # A stream with fewer characters left, or before its -stop, samples too many, which are dropped.
    params = sampling_params(streams, min(count, max(stream.left for stream in streams)))
    log_probs, zeros = np.stack([stream.log_probs for stream in streams]), np.zeros(len(streams), np.int64)
    request = _request(streams, num_candidates)
    limits = [stream.limit and stream.limit.copy() for stream in streams]
    output = predictor.sample(range(len(streams)), zeros, log_probs, params, False, request)
    if output.failed and len(streams) > 1:  # each alone, to find the stream that failed
        for stream, limit in zip(streams, limits, strict=True):
            stream.limit = limit
        return [
            step_batch([one], count, [candidates])[0] for one, candidates in zip(streams, num_candidates, strict=True)
        ]
    if output.failed:
        streams[0].error = nan_error(params.temperatures[len(output.token_ids)])
    if len(output.token_ids):
        last_ids = np.maximum(output.token_ids[-1:], 0)
        last_log_probs, activations = predictor.read(last_ids)[0], predictor.activations()
        for m, (state, stream) in enumerate(zip(predictor.states(), streams, strict=True)):
            stream.state, stream.log_probs = state, last_log_probs[m].copy()  # a view would keep those of all in memory
            if stream.unit and output.activations is not None:
                output.activations[-1, m] = activations[stream.unit[0], 0, m, stream.unit[1]]
    found = [stream.take(_of_stream(output, m, stream, num_candidates[m])) for m, stream in enumerate(streams)]
    for m, stream in enumerate(streams):
        if stream.left and len(output.token_ids) and output.token_ids[-1, m] < 0:
            stream.end_early()
    return found


@sampled_text
def sample_alone(
    predictor: LocalPredictor,
    vocab: dict[bytes, int],
    opt: SampleOptions,
    primetext: bytes,
    unit: tuple[int, int] | None,
    num_candidates: int,
    copies: CopyLimits | None = None,
) -> Generator[Characters, None, bool]:
    """The same for any predictor, one character at a time, with the primetext. Errors: as sampler.sample's."""
    before: SampledCharacter | None = None
    sampled = sample(predictor, vocab, opt, primetext, ahead=False, copies=copies)
    for one in sampled:
        if unit is None:
            yield _single(one, num_candidates, np.empty(0))
        elif before is not None:  # it has been read by now
            yield _single(before, num_candidates, predictor.activations()[unit[0], 0, :1, unit[1]])
        before = one
    if unit is not None and before is not None:
        if not sampled.ended_early:
            predictor.step(before.token_id)  # `sample` does not read the last character
        yield _single(before, num_candidates, predictor.activations()[unit[0], 0, :1, unit[1]])
    return sampled.ended_early


def _request(streams: Sequence[BatchedStream], num_candidates: Sequence[int]) -> SampleRequest | None:
    if not any(num_candidates) and not any(stream.unit for stream in streams):
        return None
    h, _ = streams[0].state
    units = [stream.unit[0] * h.shape[1] + stream.unit[1] if stream.unit else -1 for stream in streams]
    V = streams[0].predictor.vocab_size
    return SampleRequest(np.array([min(count, V) for count in num_candidates]), np.array(units))


def _of_stream(output: SampleOutput, m: int, stream: BatchedStream, num_candidates: int) -> Characters:
    """The characters of stream m, no more than it has left."""
    n = min(int(np.count_nonzero(output.token_ids[:, m] >= 0)), stream.left)
    activations, top_candidates, top_probs = np.empty(0), np.empty((n, 0), np.int64), np.empty((n, 0))
    if stream.unit and output.activations is not None:
        activations = output.activations[:n, m]
    if num_candidates and output.top_candidates is not None and output.top_probs is not None:
        K = min(num_candidates, len(stream.log_probs))
        top_candidates, top_probs = output.top_candidates[:n, m, :K], output.top_probs[:n, m, :K]
    given = np.zeros(n, np.bool_)
    return Characters(output.token_ids[:n, m], output.token_probs[:n, m], given, top_candidates, top_probs, activations)


def _single(one: SampledCharacter, num_candidates: int, activations: npt.NDArray[np.float64]) -> Characters:
    return _characters(np.array([one.token_id]), one.probs[None], one.given, num_candidates, activations)


def _characters(
    token_ids: npt.NDArray[np.int64],
    probs: npt.NDArray[np.float64],
    given: bool,
    num_candidates: int,
    activations: npt.NDArray[np.float64],
) -> Characters:
    """N characters and the probabilities of all, (N, V)."""
    top_candidates = np.empty((len(token_ids), 0), np.int64)
    if num_candidates:
        top_candidates = np.argsort(-probs, -1, kind="stable")[:, :num_candidates]
    token_probs = np.take_along_axis(probs, token_ids[:, None], -1)[:, 0]
    top_probs = np.take_along_axis(probs, top_candidates, -1)
    return Characters(token_ids, token_probs, np.full(len(token_ids), given), top_candidates, top_probs, activations)
