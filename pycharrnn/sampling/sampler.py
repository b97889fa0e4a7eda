"""Sampling: one character after another. Source: sample.lua.

The draws are made from double-precision log-probabilities. A predictor that gives char-rnn's very numbers therefore
gives char-rnn's very bytes. Several streams, each a text with a seed of its own, go side by side; each stream is what
it would be alone.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat.lua_random import LuaRandom, multinomial
from pycharrnn.common.errors import UserError
from pycharrnn.sampling.tokenizer import characters_by_index, primetext_characters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from pycharrnn.sampling.inference import Predictor
    from pycharrnn.sampling.options import SampleOptions

    _Temperature = float | npt.NDArray[np.float64]  # of all streams, or of each, (R, 1)

_DRAWS_AT_A_TIME = 1024  # random numbers of each stream; one call for each would cost more than the numbers


class Drawn(NamedTuple):
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


class Step(NamedTuple):
    """One character in each of B streams.

    Attributes:
        streams: the numbers, from 0, of the streams that it belongs to: those that had not ended before.
        indices: their numbers in the vocabulary, from 0, int64, shape (B,).
        probabilities: float64, shape (B, V); see Drawn.
        given: for each stream, B of them: True if its character stands in its primetext.
    """

    streams: list[int]
    indices: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    given: list[bool]


def draw(predictor: Predictor, vocab: dict[bytes, int], opt: SampleOptions, primetext: bytes) -> Iterator[Drawn]:
    """The characters of `primetext`, then drawn ones; what sample.lua prints before its final newline.

    Ends after `opt.length` drawn characters (0: never), or after `opt.stop` has been drawn.

    Args:
        predictor: with one stream, one step at a time.
        vocab: character (one byte, or several) -> number from 1.

    Errors: UserError for a character of primetext that the vocabulary lacks, or a model that predicts NaN.
    """
    characters = characters_by_index(vocab)
    for step in draw_streams(predictor, [primetext_characters(primetext, vocab)], vocab, opt, [opt.seed]):
        index = int(step.indices[0])
        yield Drawn(characters[index], index, step.probabilities[0], step.given[0])


def draw_streams(
    predictor: Predictor,
    primes: Sequence[list[bytes]],
    vocab: dict[bytes, int],
    opt: SampleOptions,
    seeds: Sequence[int],
) -> Iterator[Step]:
    """In one stream for each of `seeds`, side by side, its primetext, then drawn characters.

    Each stream ends as `draw` does, and none of them sees the others: what is read and drawn is what would be alone.

    Args:
        predictor: with as many streams as there are seeds, one step at a time.
        primes: characters of vocab, for each stream; of different length where they are.

    Errors: UserError for a model that predicts NaN.
    """
    characters = characters_by_index(vocab)
    given_indices = [[vocab[character] - 1 for character in prime] for prime in primes]
    lengths = [len(prime) for prime in primes]
    first = min(lengths)
    random_numbers = _random_numbers(seeds, [length - first for length in lengths])
    stops = [StopText(opt.stop) for _ in seeds]
    # As in sample.lua: all alike before the model has read anything.
    scores = np.full((len(seeds), len(vocab)), 1 / len(vocab))
    indices = np.zeros(len(seeds), np.int64)
    streams, step = list(range(len(seeds))), 0
    while streams:
        if step:
            scores = predictor.read(indices[None])[0]
        given = [step < length for length in lengths]
        drawing = [b for b in streams if not given[b]]
        numbers = next(random_numbers) if step >= first else np.zeros(0)
        if len(drawing) == len(seeds):
            indices, probabilities = _drawn(scores, numbers, _temperature(opt, step, lengths), opt)
        else:
            indices, probabilities = indices.copy(), _softmax(scores, 1)
            for b in (b for b in streams if given[b]):
                indices[b] = given_indices[b][step]
            if drawing:
                temperature = _temperature(opt, step, [lengths[b] for b in drawing])
                indices[drawing], probabilities[drawing] = _drawn(scores[drawing], numbers[drawing], temperature, opt)
        yield Step(streams, indices, probabilities, given)
        step += 1
        ended = {b for b in drawing if step - lengths[b] == opt.length}
        if opt.stop:
            ended |= {b for b in drawing if stops[b].completed_by(characters[indices[b]])}
        if ended:
            streams = [b for b in streams if b not in ended]


def _drawn(
    scores: npt.NDArray[np.float64],
    random_numbers: npt.NDArray[np.float64],
    temperature: _Temperature,
    opt: SampleOptions,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """What some streams draw, R of them: numbers in the vocabulary (R,), and the probabilities (R, V) they come from.

    Args:
        scores: (R, V). random_numbers: (R,), in [0, 1). temperature: of all, or (R, 1).

    Errors: UserError for a row with NaN.
    """
    probabilities = _softmax(scores, temperature)
    if opt.topk or opt.topp < 1:
        probabilities = _keep_likeliest(probabilities, opt.topk, opt.topp)
    if opt.sample:
        return _draw_indices(probabilities, random_numbers, temperature), probabilities
    return _largest_indices(scores, temperature), probabilities


def _temperature(opt: SampleOptions, step: int, lengths: Sequence[int]) -> _Temperature:
    """The temperature of the next character after `step` ones, of streams whose primetexts have these lengths.

    `-temperature A:B` goes from A at the first drawn character to B at the last one in a straight line.

    Returns: that of all streams; along a line that of each, (R, 1).
    """
    if isinstance(opt.temperature, tuple):
        first, last = opt.temperature
        each = [first + (last - first) * (step - length) / max(opt.length - 1, 1) for length in lengths]
        return np.array(each)[:, None]
    return opt.temperature


def _random_numbers(seeds: Sequence[int], delays: Sequence[int]) -> Iterator[npt.NDArray[np.float64]]:
    """One random number in [0, 1) for each stream, shape (B,), without end.

    Args:
        delays: for each stream, after how many others, zeros, its first one comes.
    """
    generators = [LuaRandom(seed) for seed in seeds]
    waiting = [np.zeros(delay) for delay in delays]
    while True:
        columns = []
        for k, generator in enumerate(generators):
            numbers = np.concatenate([waiting[k], generator.random(_DRAWS_AT_A_TIME)])
            waiting[k] = numbers[_DRAWS_AT_A_TIME:]
            columns.append(numbers[:_DRAWS_AT_A_TIME])
        yield from np.stack(columns, 1)


def _softmax(scores: npt.NDArray[np.float64], temperature: _Temperature) -> npt.NDArray[np.float64]:
    """exp(scores / temperature), each row summing to 1. Shape (B, V)."""
    with np.errstate(over="ignore", invalid="ignore"):  # _draw_indices finds infinity and NaN
        probabilities = np.exp(scores / temperature)
        probabilities /= np.add.reduce(probabilities, -1, keepdims=True)  # as sum(), without its overhead
    return probabilities


def _keep_likeliest(probabilities: npt.NDArray[np.float64], topk: int, topp: float) -> npt.NDArray[np.float64]:
    """Each row with 0 in place of what -topk and -topp leave out, summing to 1 again. Shape (B, V).

    Args:
        topk: how many of the largest to keep; 0 for all.
        topp: keep the fewest of the largest whose sum reaches this.
    """
    by_rank = np.argsort(-probabilities, -1, kind="stable")
    ranked = np.take_along_axis(probabilities, by_rank, -1)
    left_out = np.cumsum(ranked, -1) - ranked >= topp
    if topk:
        left_out[:, topk:] = True
    left_out[:, 0] = False
    np.put_along_axis(probabilities, by_rank, np.where(left_out, 0, ranked), -1)
    kept: npt.NDArray[np.float64] = probabilities / probabilities.sum(-1, keepdims=True)
    return kept


def _draw_indices(
    probabilities: npt.NDArray[np.float64], random_numbers: npt.NDArray[np.float64], temperature: _Temperature
) -> npt.NDArray[np.int64]:
    """The index that each row's random number draws, (B,). Errors: UserError for a row with NaN."""
    try:
        return multinomial(probabilities.astype(np.float32), random_numbers)
    except ValueError:
        raise nan_error(float(np.max(temperature))) from None


def _largest_indices(scores: npt.NDArray[np.float64], temperature: _Temperature) -> npt.NDArray[np.int64]:
    """The index of each row's largest score, (B,). Errors: UserError for a row with NaN, which argmax would take."""
    indices: npt.NDArray[np.int64] = scores.argmax(-1)
    for row, index in enumerate(indices.tolist()):
        if math.isnan(scores.item(row, index)):
            raise nan_error(float(np.max(temperature)))
    return indices


def nan_error(temperature: float) -> UserError:
    """The exception to raise when a model predicts NaN."""
    return UserError(
        f"the model's probabilities at -temperature {temperature:g} are no numbers: try a -temperature nearer to 1; if"
        " that does not help, the checkpoint holds a model whose training failed."
    )


class StopText:
    """Watches drawn characters for the text of -stop.

    Args:
        text: at which to stop; "" for none.
    """

    def __init__(self, text: bytes | str) -> None:
        self._text = os.fsencode(text)
        self._last_bytes = b""

    def completed_by(self, character: bytes) -> bool:
        """Whether this next drawn character completes the text."""
        if not self._text:
            return False
        self._last_bytes = (self._last_bytes + character)[-len(self._text) :]
        return self._last_bytes == self._text
