"""Sampling: one character after another. Source: sample.lua.

Several streams, each a text with a seed of its own, go side by side; each stream is what it would be alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat.vocabulary import characters_by_id
from pycharrnn.engine.kernel_streams import SamplingParams
from pycharrnn.sampling import distribution
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.tokenizer import primetext_characters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from pycharrnn.sampling.inference import Predictor
    from pycharrnn.sampling.options import SampleOptions


class SampledCharacter(NamedTuple):
    """One character of a sample and the distribution that it came from.

    Attributes:
        character: one byte, or several in a vocabulary of UTF-8 characters.
        vocab_index: its number in the vocabulary, from 0.
        probabilities: float64, shape (V,), by vocab_index. For a drawn character: after -temperature, -topk and -topp.
            For a given one: the model's own (temperature 1); all alike where the model has read nothing yet.
        given: True if it stands in the primetext, False if it was drawn.
    """

    character: bytes
    vocab_index: int
    probabilities: npt.NDArray[np.float64]
    given: bool

    @property
    def probability(self) -> float:
        """The probability of `character`."""
        return float(self.probabilities[self.vocab_index])

    def likeliest(self, count: int) -> list[tuple[int, float]]:
        """(number in the vocabulary, from 0, probability) of what might stand here, the likeliest first."""
        indices = np.argsort(-self.probabilities, kind="stable")[:count]
        return list(zip(indices.tolist(), self.probabilities[indices].tolist(), strict=True))


class Steps(NamedTuple):
    """N characters in each of M streams.

    Attributes:
        streams: the numbers, from 0, of the streams: those that had not ended before.
        indices: of the characters in the vocabulary, from 0, int64, shape (N, M).
        chances: the probabilities of these, float64, shape (N, M).
        probabilities: of all characters, float64 (N, M, V), see SampledCharacter; None if not requested.
        given: for each stream, M of them: True if its characters stand in its primetext.
    """

    streams: list[int]
    indices: npt.NDArray[np.int64]
    chances: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64] | None
    given: list[bool]


def draw(
    predictor: Predictor, vocab: dict[bytes, int], opt: SampleOptions, primetext: bytes, ahead: bool = True
) -> Iterator[SampledCharacter]:
    """The characters of `primetext`, then drawn ones; what sample.lua prints before its final newline.

    Ends after `opt.length` drawn characters (0: never), or after `opt.stop` has been drawn. Then the predictor has
    read all but the last one.

    Args:
        predictor: with one stream, one step at a time.
        vocab: character (one byte, or several) -> number from 1.
        ahead: whether the predictor may have read further than what has come out, up to the end, which is faster.

    Errors: UserError for a character of primetext that the vocabulary lacks, or a model that predicts NaN.
    """
    characters = characters_by_id(vocab)
    for steps in draw_streams(predictor, [primetext_characters(primetext, vocab)], vocab, opt, [opt.seed], ahead):
        assert steps.probabilities is not None
        (given,) = steps.given
        for index, probabilities in zip(steps.indices[:, 0].tolist(), steps.probabilities[:, 0], strict=True):
            yield SampledCharacter(characters[index], index, probabilities, given)


def draw_streams(
    predictor: Predictor,
    primes: Sequence[list[bytes]],
    vocab: dict[bytes, int],
    opt: SampleOptions,
    seeds: Sequence[int],
    ahead: bool = True,
    with_probabilities: bool = True,
) -> Iterator[Steps]:
    """In one stream for each of `seeds`, side by side, its primetext, then drawn characters.

    Each stream ends as `draw` does, and none of them sees the others: what is read and drawn is what would be alone.

    Args:
        predictor: with as many streams as there are seeds, one step at a time.
        primes: characters of vocab, for each stream; of different length where they are.
        ahead: as for `draw`; otherwise one step comes after the other.
        with_probabilities: whether those of all characters are wanted.

    Errors: UserError for a model that predicts NaN.
    """
    side = _SideBySide(predictor, primes, vocab, opt, seeds)
    # Of what is drawn a step comes first, so that it is there soon, then more and more of them at a time.
    most, at_once = predictor.draws_at_once if ahead and isinstance(predictor, KernelPredictor) else 1, 1
    while side.streams:
        steps = side.next(at_once, with_probabilities)
        at_once = 1 if any(steps.given) else min(2 * at_once, most)
        yield steps


class _SideBySide:
    """The streams of draw_streams, and where they are.

    Attributes:
        streams: those that have not ended, by their numbers from 0.
    """

    def __init__(
        self,
        predictor: Predictor,
        primes: Sequence[list[bytes]],
        vocab: dict[bytes, int],
        opt: SampleOptions,
        seeds: Sequence[int],
    ) -> None:
        B = len(seeds)
        self.streams = list(range(B))
        self._predictor, self._opt = predictor, opt
        self._characters = characters_by_id(vocab)
        self._given = [[vocab[character] - 1 for character in prime] for prime in primes]
        self._lengths = [len(prime) for prime in primes]
        self._stops = [StopText(opt.stop) for _ in seeds]
        self._step = 0  # of the next characters, from 0
        self._first_drawn = min(self._lengths)
        self._random_numbers = distribution.RandomNumbers(
            seeds, [length - self._first_drawn for length in self._lengths]
        )
        self._last = np.zeros(B, np.int64)  # the characters of the step before, which have not been read
        self._failed = False  # whether the next step has probabilities that are no numbers
        self._largest, self._topp = np.full(B, not opt.sample), np.full(B, float(opt.topp))
        self._topk = np.full(B, min(opt.topk, len(vocab)), np.int64)
        self._pauses = self._stops[0].may_be_completed_by(self._characters)

    def next(self, most: int, with_probabilities: bool) -> Steps:
        """The next step, or up to so many where all streams draw. Errors: UserError for a model that predicts NaN."""
        given = [self._step < self._lengths[b] for b in self.streams]
        if any(given) or not isinstance(self._predictor, KernelPredictor):
            steps = self._next_step(given)
        else:
            if self._opt.length:
                most = min(most, min(self._lengths[b] for b in self.streams) + self._opt.length - self._step)
            steps = self._next_steps(self._predictor, most, with_probabilities)
        N = len(steps.indices)
        if self._step >= self._first_drawn:
            self._random_numbers.skip(N)
        self._step += N
        self._last[self.streams] = steps.indices[-1]
        ended = {b for b in self.streams if self._step - self._lengths[b] == self._opt.length > 0}
        for m, b in enumerate(self.streams):
            if self._opt.stop and not given[m]:
                drawn = b"".join([self._characters[index] for index in steps.indices[:, m].tolist()])
                ended |= {b} if self._stops[b].completed_by(drawn) else set()
        self.streams = [b for b in self.streams if b not in ended]
        return steps

    def _next_step(self, given: list[bool]) -> Steps:
        """The next character of each stream, given or drawn."""
        scores = self._predictor.read(self._last[None])[0] if self._step else self._uniform()
        if any(given):
            probabilities, indices = distribution.softmax(scores, 1), np.zeros_like(self._last)
            for b in (b for b, is_given in zip(self.streams, given, strict=True) if is_given):
                indices[b] = self._given[b][self._step]
            free = [b for b, is_given in zip(self.streams, given, strict=True) if not is_given]
            if free:
                indices[free], probabilities[free] = distribution.choose(scores[free], self._opt, self._choice(free, 1))
            indices, probabilities = indices[self.streams], probabilities[self.streams]
        else:
            some = scores if len(self.streams) == len(scores) else scores[self.streams]
            indices, probabilities = distribution.choose(some, self._opt, self._choice(self.streams, 1))
        chances = probabilities[np.arange(len(indices)), indices]
        return Steps(self.streams, indices[None], chances[None], probabilities[None], given)

    def _next_steps(self, predictor: KernelPredictor, most: int, with_probabilities: bool) -> Steps:
        """The next characters, drawn in all streams: up to `most`, fewer before one at which a stream may stop."""
        choice = self._choice(self.streams, most)
        if not self._failed:
            scores = None if self._step else self._uniform()[self.streams]
            chosen = predictor.sample(self.streams, self._last[self.streams], scores, choice, with_probabilities)
            self._failed = chosen.failed
            if len(chosen.token_ids):
                given = [False] * len(self.streams)
                return Steps(self.streams, chosen.token_ids, chosen.token_probs, chosen.probs, given)
        raise distribution.nan_error(choice.temperatures[0])

    def _uniform(self) -> npt.NDArray[np.float64]:
        """The scores before a model has read anything, as in sample.lua: all alike, shape (B, V)."""
        return np.full((len(self._last), len(self._characters)), 1 / len(self._characters))

    def _choice(self, streams: list[int], count: int) -> SamplingParams:
        """How these streams choose their next characters."""
        M, random_numbers = len(streams), self._random_numbers.next(count)
        if len(self._last) > M:
            random_numbers = np.ascontiguousarray(random_numbers[:, streams])
        if isinstance(self._opt.temperature, tuple):
            # Along a straight line, from the first character that is drawn to the last one.
            first, last = self._opt.temperature
            drawn = self._step + np.arange(count)[:, None] - np.array(self._lengths)[streams]
            temperatures = first + (last - first) * drawn / max(self._opt.length - 1, 1)
        else:
            temperatures = np.full((count, M), float(self._opt.temperature))
        largest, topk, topp = self._largest[:M], self._topk[:M], self._topp[:M]
        return SamplingParams(temperatures, random_numbers, largest, topk, topp, self._pauses)


class StopText:
    """Watches drawn characters for the text of -stop.

    Args:
        text: at which to stop; "" for none.
    """

    def __init__(self, text: bytes | str) -> None:
        self._text = os.fsencode(text)
        self._last_bytes = b""

    def completed_by(self, drawn: bytes) -> bool:
        """Whether what has been drawn next ends with the text."""
        if not self._text:
            return False
        self._last_bytes = (self._last_bytes + drawn)[-len(self._text) :]
        return self._last_bytes == self._text

    def may_be_completed_by(self, characters: list[bytes]) -> npt.NDArray[np.bool_] | None:
        """Which of some characters are the text's end, or end with it, bool; None where there is no text."""
        if not self._text:
            return None
        return np.array([c.endswith(self._text) or self._text.endswith(c) for c in characters])
