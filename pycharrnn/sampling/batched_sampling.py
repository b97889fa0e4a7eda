"""Streams of one model that come and go: each a text with options of its own, drawn beside any others.

What a stream says is what it would say alone: neither its characters nor its probabilities depend on its companions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pycharrnn.engine.kernel_streams import SampleRequest, SamplingParams
from pycharrnn.sampling import distribution, sampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from pycharrnn.common.errors import UserError
    from pycharrnn.engine.kernel_streams import SampleOutput
    from pycharrnn.sampling.inference import LocalPredictor
    from pycharrnn.sampling.kernel_predictor import KernelPredictor
    from pycharrnn.sampling.options import SampleOptions


class Characters(NamedTuple):
    """N characters of a stream, and what is known of each.

    Attributes:
        indices: their numbers in the vocabulary, from 0, int64 (N,).
        chances: their probabilities, float64 (N,); see sampler.SampledCharacter.
        given: whether they stand in the primetext, bool (N,).
        likeliest: the K likeliest characters in place of each, of equally likely ones the first, int64 (N, K).
        likeliest_chances: the probabilities of these, float64 (N, K).
        activations: of the unit that was asked for, after each character, float64 (N,); empty where none was.
    """

    indices: npt.NDArray[np.int64]
    chances: npt.NDArray[np.float64]
    given: npt.NDArray[np.bool_]
    likeliest: npt.NDArray[np.int64]
    likeliest_chances: npt.NDArray[np.float64]
    activations: npt.NDArray[np.float64]


class Stream:
    """A text on the C kernel: its primetext is read in blocks, then `draw_together` draws it beside others.

    Args:
        predictor: it reads nothing itself.
        opt: its seed, length, temperature, topk and topp count here; the temperature is one number.
        prime: the primetext's characters by their numbers in the vocabulary, from 0.
        unit: (layer, unit), from 0, whose activations are wanted, or None.

    Attributes:
        left: how many characters are still to be drawn.
        unread: how many of the primetext are still to be read.
        error: why nothing more can be drawn, or None.
    """

    def __init__(
        self, predictor: KernelPredictor, opt: SampleOptions, prime: Sequence[int], unit: tuple[int, int] | None
    ) -> None:
        assert not isinstance(opt.temperature, tuple)
        self.left = opt.length
        self.error: UserError | None = None
        self.temperature, self.topp = opt.temperature, float(opt.topp)
        self.topk, self.unit = min(opt.topk, predictor.vocab_size), unit
        self.random_numbers = distribution.RandomNumbers([opt.seed], [0])
        self.predictor = predictor
        (self.state,) = predictor.fresh().states()
        self.scores = np.full(predictor.vocab_size, 1 / predictor.vocab_size)  # as in sample.lua: all alike at first
        self._prime = np.array(prime, np.int64)

    @property
    def unread(self) -> int:
        """See the class."""
        return len(self._prime)

    def read(self, most: int, candidates: int) -> Characters:
        """Read the next characters of the primetext, up to `most` of them.

        Args:
            candidates: how many of the likeliest characters to name in place of each.
        """
        block, self._prime = self._prime[:most], self._prime[most:]
        predictor = self.predictor.fresh(len(block))
        predictor.go_on_from([self.state])
        log_probs = predictor.read(block[:, None])[:, 0]
        probabilities = distribution.softmax(np.concatenate([self.scores[None], log_probs[:-1]]), 1)
        (self.state,), self.scores = predictor.states(), log_probs[-1].copy()
        activations = np.empty(0)
        if self.unit:
            layer, unit = self.unit
            activations = predictor.activations()[layer, :, 0, unit]
        return _characters(block, probabilities, True, candidates, activations)


def draw_together(streams: Sequence[Stream], most: int, candidates: Sequence[int]) -> list[Characters]:
    """Draw the next characters of streams of one model: `most` of each, or what is left.

    All have read their primetexts. A stream whose model predicts NaN gets as many as it can, perhaps none, and `error`.

    Args:
        candidates: for each stream, how many of the likeliest characters to name in place of each one drawn.
    """
    predictor, random_numbers = streams[0].predictor.fresh(streams=len(streams)), _random_numbers(streams, most)
    predictor.go_on_from([stream.state for stream in streams])
    chosen = _choose(predictor, streams, random_numbers, candidates)
    if chosen.failed and len(streams) > 1:  # of which stream, is seen where each goes alone
        return [draw_together([one], most, [count])[0] for one, count in zip(streams, candidates, strict=True)]
    drawn = len(chosen.token_ids)
    if chosen.failed:
        streams[0].error = distribution.nan_error(streams[0].temperature)
    if drawn:
        scores, activations = predictor.read(chosen.token_ids[-1:])[0], predictor.activations()
        for m, (state, stream) in enumerate(zip(predictor.states(), streams, strict=True)):
            stream.state, stream.scores = state, scores[m].copy()  # a view would keep those of all in memory
            if stream.unit and chosen.activations is not None:
                chosen.activations[-1, m] = activations[stream.unit[0], 0, m, stream.unit[1]]
    found = [_of_stream(chosen, m, stream, candidates[m]) for m, stream in enumerate(streams)]
    for stream, characters in zip(streams, found, strict=True):
        stream.left -= len(characters.indices)
        stream.random_numbers.skip(len(characters.indices))
    return found


def draw_alone(
    predictor: LocalPredictor,
    vocab: dict[bytes, int],
    opt: SampleOptions,
    primetext: bytes,
    unit: tuple[int, int] | None,
    candidates: int,
) -> Iterator[Characters]:
    """The same for any predictor, one character after the other: those of the primetext, then drawn ones.

    Args:
        predictor: with one stream, one step at a time, which has read nothing.
        unit: (layer, unit), from 0.

    Errors: UserError, as sampler.draw.
    """
    before: sampler.SampledCharacter | None = None
    for drawn in sampler.draw(predictor, vocab, opt, primetext, ahead=False):
        if unit is None:
            yield _single(drawn, candidates, np.empty(0))
        elif before is not None:  # it has been read by now
            yield _single(before, candidates, predictor.activations()[unit[0], 0, :1, unit[1]])
        before = drawn
    if unit is not None and before is not None:
        predictor.step(before.vocab_index)  # nothing is drawn after the last one, so it has not been read
        yield _single(before, candidates, predictor.activations()[unit[0], 0, :1, unit[1]])


def _random_numbers(streams: Sequence[Stream], most: int) -> npt.NDArray[np.float64]:
    """Those of the next steps, (N, M): as many steps as the stream with most left takes, up to `most`."""
    steps = min(most, max(stream.left for stream in streams))
    return np.ascontiguousarray(np.concatenate([stream.random_numbers.next(steps) for stream in streams], 1))


def _choose(
    predictor: KernelPredictor,
    streams: Sequence[Stream],
    random_numbers: npt.NDArray[np.float64],
    candidates: Sequence[int],
) -> SampleOutput:
    """The next steps of all streams; a stream with less left draws too much."""
    H = streams[0].state[0].shape[1]
    choice = SamplingParams(
        np.tile([float(stream.temperature) for stream in streams], (len(random_numbers), 1)),
        random_numbers,
        np.zeros(len(streams), np.bool_),
        np.array([stream.topk for stream in streams], np.int64),
        np.array([stream.topp for stream in streams]),
    )
    asked = None
    if any(candidates) or any(stream.unit for stream in streams):
        places = [stream.unit[0] * H + stream.unit[1] if stream.unit else -1 for stream in streams]
        most = predictor.vocab_size
        asked = SampleRequest(np.array([min(count, most) for count in candidates]), np.array(places))
    scores = np.stack([stream.scores for stream in streams])
    return predictor.sample(range(len(streams)), np.zeros(len(streams), np.int64), scores, choice, False, asked)


def _of_stream(chosen: SampleOutput, m: int, stream: Stream, candidates: int) -> Characters:
    """What a stream gets of what was drawn, which is no more than it has left."""
    n = min(len(chosen.token_ids), stream.left)
    activations, likeliest, chances = np.empty(0), np.empty((n, 0), np.int64), np.empty((n, 0))
    if stream.unit and chosen.activations is not None:
        activations = chosen.activations[:n, m]
    if candidates and chosen.top_candidates is not None and chosen.top_probs is not None:
        count = min(candidates, len(stream.scores))
        likeliest, chances = chosen.top_candidates[:n, m, :count], chosen.top_probs[:n, m, :count]
    given = np.zeros(n, np.bool_)
    return Characters(chosen.token_ids[:n, m], chosen.token_probs[:n, m], given, likeliest, chances, activations)


def _single(drawn: sampler.SampledCharacter, candidates: int, activations: npt.NDArray[np.float64]) -> Characters:
    """One character."""
    return _characters(np.array([drawn.vocab_index]), drawn.probabilities[None], drawn.given, candidates, activations)


def _characters(
    indices: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    given: bool,
    candidates: int,
    activations: npt.NDArray[np.float64],
) -> Characters:
    """N characters by the probabilities of all, (N, V)."""
    likeliest = np.empty((len(indices), 0), np.int64)
    if candidates:
        likeliest = np.argsort(-probabilities, -1, kind="stable")[:, :candidates]
    chances = np.take_along_axis(probabilities, indices[:, None], -1)[:, 0]
    of_likeliest = np.take_along_axis(probabilities, likeliest, -1)
    return Characters(indices, chances, np.full(len(indices), given), likeliest, of_likeliest, activations)
