"""Sampling: one character after another. Source: sample.lua.

The draws are made from double-precision log-probabilities, and so are char-rnn's very bytes where a predictor gives its
very numbers. Several streams, texts with seeds of their own, go side by side; each is what it would be alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from compat.lua_random import LuaRandom, multinomial
from pycharrnn.common.errors import UserError
from pycharrnn.sampling.inference import Predictor
from pycharrnn.sampling.options import SampleOptions

_DRAWS_AT_A_TIME = 1024


class Drawn(NamedTuple):
    """One character of a sample and the distribution that it came from.

    Attributes:
        character: one byte, or several in a vocabulary of UTF-8 characters.
        index: its number in the vocabulary, from 0.
        probabilities: float64, shape (V,), by index. For a drawn character: after -temperature, -topk and -topp. For a
            given one: the model's own (temperature 1); alike for all where the model has read nothing yet.
        given: it stands in the primetext; it was not drawn.
    """

    character: bytes
    index: int
    probabilities: np.ndarray
    given: bool

    @property
    def probability(self) -> float:
        """That of `character` in `probabilities`."""
        return float(self.probabilities[self.index])


class Step(NamedTuple):
    """One character in each of B streams.

    Attributes:
        indices: their numbers in the vocabulary, from 0, shape (B,).
        probabilities: shape (B, V); see Drawn.
        given: they stand in the primetext.
    """

    indices: np.ndarray
    probabilities: np.ndarray
    given: bool


def draw(predictor: Predictor, vocab: dict[bytes, int], opt: SampleOptions, primetext: bytes) -> Iterator[Drawn]:
    """The characters of `primetext`, then drawn ones; what sample.lua prints before its final newline.

    Ends after `opt.length` drawn characters (0: never), or after `opt.stop` has been drawn.

    Args:
        vocab: character (one byte, or several) -> number from 1.

    Errors: UserError for a character of primetext that the vocabulary lacks, or a model that predicts NaN.
    """
    characters = in_order(vocab)
    ending = Ending(opt.stop)
    for step in draw_streams(predictor, tokens(primetext, vocab), vocab, opt, [opt.seed]):
        index = int(step.indices[0])
        yield Drawn(characters[index], index, step.probabilities[0], step.given)
        if not step.given and ending.reached(characters[index]):
            return


def draw_streams(
    predictor: Predictor, prime: list[bytes], vocab: dict[bytes, int], opt: SampleOptions, seeds: Sequence[int]
) -> Iterator[Step]:
    """`prime`, then drawn characters, in one stream for each of `seeds`, side by side; `opt.stop` is the caller's.

    Args:
        predictor: with as many streams as there are seeds, one step at a time.
        prime: characters of vocab, the same in all streams.

    Errors: UserError for a model that predicts NaN.
    """
    shape = len(seeds), len(vocab)
    scores = np.full(shape, 1 / len(vocab))  # before any character: all alike
    for character in prime:
        indices = np.full(len(seeds), vocab[character] - 1)
        yield Step(indices, _softmax(scores, 1), True)
        scores = predictor.read(indices[None])[0]
    draws = _draws(seeds)
    drawn = 0
    while drawn < opt.length or not opt.length:
        if drawn:
            scores = predictor.read(indices[None])[0]
        temperature = _temperature(opt, drawn)
        probabilities = _softmax(scores, temperature)
        if opt.topk or opt.topp < 1:
            probabilities = _likeliest(probabilities, opt.topk, opt.topp)
        indices = _pick(probabilities, next(draws), temperature) if opt.sample else _largest(scores, temperature)
        yield Step(indices, probabilities, False)
        drawn += 1


def _temperature(opt: SampleOptions, drawn: int) -> float:
    """That of the next character after `drawn` ones; a ramp goes in a straight line from the first to the last one."""
    if isinstance(opt.temperature, tuple):
        first, last = opt.temperature
        return first + (last - first) * drawn / max(opt.length - 1, 1)
    return opt.temperature


def _draws(seeds: Sequence[int]) -> Iterator[np.ndarray]:
    """The next random number of each stream, shape (B,), again and again."""
    randoms = [LuaRandom(seed) for seed in seeds]
    while True:
        yield from np.stack([random.random(_DRAWS_AT_A_TIME) for random in randoms], 1)


def _softmax(scores: np.ndarray, temperature: float) -> np.ndarray:
    """exp(scores / temperature), each row summing to 1."""
    with np.errstate(over="ignore", invalid="ignore"):  # _pick looks at what comes of it
        probabilities = np.exp(scores / temperature)
        probabilities /= np.add.reduce(probabilities, -1, keepdims=True)  # as sum(), without its overhead
    return probabilities


def _likeliest(probabilities: np.ndarray, topk: int, topp: float) -> np.ndarray:
    """Each row with 0 for all but its `topk` largest, of them those that reach `topp` together; again summing to 1."""
    by_rank = np.argsort(-probabilities, -1, kind="stable")
    ranked = np.take_along_axis(probabilities, by_rank, -1)
    left_out = np.cumsum(ranked, -1) - ranked >= topp
    if topk:
        left_out[:, topk:] = True
    left_out[:, 0] = False
    np.put_along_axis(probabilities, by_rank, np.where(left_out, 0, ranked), -1)
    return probabilities / probabilities.sum(-1, keepdims=True)


def _pick(probabilities: np.ndarray, u: np.ndarray, temperature: float) -> np.ndarray:
    """The index that each row's random number draws, (B,)."""
    try:
        return multinomial(probabilities.astype(np.float32), u)
    except ValueError:
        raise no_numbers(temperature) from None


def _largest(scores: np.ndarray, temperature: float) -> np.ndarray:
    """The index of each row's largest, (B,). Errors: UserError if it is NaN, which is larger than anything."""
    indices = scores.argmax(-1)
    for row, index in enumerate(indices.tolist()):
        if math.isnan(scores.item(row, index)):
            raise no_numbers(temperature)
    return indices


def no_numbers(temperature: float) -> UserError:
    """What to raise when a model predicts NaN."""
    return UserError(
        f"the model's probabilities at -temperature {temperature:g} are no numbers: try a -temperature nearer to 1; if"
        " that does not help, the checkpoint holds a model whose training failed."
    )


class Ending:
    """Watches the characters drawn for the text at which to stop, "" for none."""

    def __init__(self, text: bytes | str):
        self._text = os.fsencode(text)
        self._seen = b""

    def reached(self, character: bytes) -> bool:
        """True if the text has just been completed."""
        if not self._text:
            return False
        self._seen = (self._seen + character)[-len(self._text) :]
        return self._seen == self._text


def in_order(vocab: dict[bytes, int]) -> list[bytes]:
    """The characters by their numbers."""
    return [character for character, _ in sorted(vocab.items(), key=lambda entry: entry[1])]


def tokens(primetext: bytes, vocab: dict[bytes, int]) -> list[bytes]:
    """`primetext` cut into characters of `vocab`, the longest that fits first.

    Errors: UserError naming the first character (a whole one, where the text is UTF-8) that `vocab` lacks.
    """
    found = []
    for position, character in cut(primetext, vocab):
        if character is None:
            raise UserError(
                f"-primetext has {described(primetext, position)}: leave it out, or use -ignore_bad_primetext 1."
            )
        found.append(character)
    return found


def known(text: bytes, vocab: dict[bytes, int]) -> tuple[bytes, int]:
    """`text` without the bytes with which no character of `vocab` begins, and how many those are."""
    found = [character for _, character in cut(text, vocab)]
    return b"".join(filter(None, found)), found.count(None)


def cut(text: bytes, vocab: dict[bytes, int]) -> Iterator[tuple[int, bytes | None]]:
    """(position, character of `vocab`), the longest that fits first; None for a byte with which none begins.

    The work for each byte is bounded by the longest character, of which the reader of checkpoints allows 64 bytes.
    """
    lengths = _lengths_by_first_byte(vocab)
    position = 0
    while position < len(text):
        for length in lengths.get(text[position], ()):
            character = text[position : position + length]
            if character in vocab:
                yield position, character
                position += length
                break
        else:
            yield position, None
            position += 1


def _lengths_by_first_byte(vocab: dict[bytes, int]) -> dict[int, list[int]]:
    """How long the characters are that begin with a byte, the longest first."""
    found: dict[int, set[int]] = {}
    for character in vocab:
        found.setdefault(character[0], set()).add(len(character))
    return {byte: sorted(lengths, reverse=True) for byte, lengths in found.items()}


def described(text: bytes, position: int) -> str:
    """The unknown character at a position of `text`, a whole one where that is UTF-8, in words for a message."""
    start = position
    while start > 0 and text[start] & 0xC0 == 0x80:
        start -= 1
    shown = repr(text[start : start + 4].decode("utf-8", "replace")[:1])
    return f"the character {shown} (byte 0x{text[position]:02x}), which the model has never seen"
