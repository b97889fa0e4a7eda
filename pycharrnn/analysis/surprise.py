"""The surprise of each character of texts: -log2 of the probability that a model gave it, in bits."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pycharrnn.analysis import likelihood
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.tokenizer import code_point_length, tokenize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from pycharrnn.sampling.predictor import Predictor

STEPS = 256  # characters of a text that the model reads at once
_BYTES = [bytes([byte]) for byte in range(256)]


class TokenizedText(NamedTuple):
    """A text as characters of a vocabulary.

    Attributes:
        characters: N of them. What the vocabulary lacks is a byte, or with code points a UTF-8 character.
        numbers: int64 (N,), from 0; -1 for what the vocabulary lacks.
    """

    characters: list[bytes]
    numbers: npt.NDArray[np.int64]

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether the vocabulary has each character, (N,)."""
        known: npt.NDArray[np.bool_] = self.numbers >= 0
        return known


def numbered(text: bytes, vocab: dict[bytes, int], code_points: bool) -> TokenizedText:
    """A text as characters of `vocab`.

    Args:
        vocab: character -> number from 1.
        code_points: whether they are UTF-8 characters, so that one that `vocab` lacks is one, not several bytes.
    """
    if not code_points and all(len(character) == 1 for character in vocab):
        by_byte = np.array([vocab.get(byte, 0) - 1 for byte in _BYTES], np.int64)
        return TokenizedText([_BYTES[byte] for byte in text], by_byte[np.frombuffer(text, np.uint8)])
    characters: list[bytes] = []
    numbers: list[int] = []
    for position, character in tokenize(text, vocab, code_points):
        if character is None:
            length = code_point_length(text, position) if code_points else 1
            characters.append(text[position : position + length])
            numbers.append(-1)
        else:
            characters.append(character)
            numbers.append(vocab[character] - 1)
    return TokenizedText(characters, np.array(numbers, np.int64))


def surprises(
    predictor: Predictor, steps: int, vocab: dict[bytes, int], text: bytes, code_points: bool
) -> Iterator[tuple[bytes, float | None]]:
    """(character, bits) along `text`; None for the bits of what `vocab` lacks. The first counts as `bits` says.

    Args:
        predictor: with one stream and this many steps, its hidden state zeros.
        vocab, code_points: see `numbered`.
    """
    whole = numbered(text, vocab, code_points)
    known = whole.known
    found = (one for block in _blocks(predictor, steps, whole.numbers[known]) for one in block.tolist())
    for character, is_known in zip(whole.characters, known.tolist(), strict=True):
        yield character, next(found) if is_known else None


def bits(predictor: Predictor, steps: int, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The surprise of each character of a text, float64 (N,). The first counts as one of V equally likely ones.

    Args:
        predictor: with one stream and this many steps, its hidden state zeros.
        numbers: of the characters, from 0, int64 (N,).
    """
    return np.concatenate(list(_blocks(predictor, steps, numbers)))[: len(numbers)]


def _blocks(predictor: Predictor, steps: int, numbers: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float64]]:
    """The surprises of one character, then of `steps` and `steps`, then of the rest."""
    yield np.array([math.log2(predictor.vocab_size)])
    for start in range(0, len(numbers) - 1, steps):
        following = numbers[start + 1 : start + 1 + steps]
        count = len(following)
        both = np.stack([numbers[start : start + count], following])
        if not isinstance(predictor, KernelPredictor):  # all others read so many at once
            both = np.pad(both, ((0, 0), (0, steps - count)))
        yield -likelihood.log_likelihoods(predictor, *both[:, :, None])[:count, 0] / math.log(2)


@dataclass
class _Text:
    """A text that is being read. `position`: how many of its characters have been; the last one need not be."""

    numbers: npt.NDArray[np.int64]
    bits: npt.NDArray[np.float64] = field(init=False)
    position: int = 0

    def __post_init__(self) -> None:
        self.bits = np.empty(len(self.numbers))

    @property
    def left(self) -> int:
        """How many of its characters are still to be read."""
        return max(len(self.numbers) - 1 - self.position, 0)


def bits_of_texts(
    predictor: KernelPredictor, streams: int, texts: Iterable[npt.NDArray[np.int64]], threads: int = 1
) -> Iterator[npt.NDArray[np.float64]]:
    """As `bits`, of many texts side by side, in their order; they are asked for as streams become free.

    What `texts` raises comes after the surprises of those before.

    Args:
        predictor: with so many streams.
        threads: how many share the streams.
    """
    coming, fault = iter(texts), None
    free, running, unfinished = list(range(streams)), dict[int, _Text](), deque[_Text]()
    while True:
        while free and fault is None:
            try:
                text = _Text(next(coming))
            except Exception as e:  # StopIteration as well: there is no more text then
                fault = e
                break
            unfinished.append(text)
            text.bits[:1] = math.log2(predictor.vocab_size)
            if text.left:
                predictor.reset_state(free[-1])
                running[free.pop()] = text
        while unfinished and not unfinished[0].left:
            yield unfinished.popleft().bits
        if not running and fault is not None:
            break
        if running:
            _read_on(predictor, running, threads)
        free += [stream for stream, text in running.items() if not text.left]
        running = {stream: text for stream, text in running.items() if text.left}
    if not isinstance(fault, StopIteration):
        raise fault


def _read_on(predictor: KernelPredictor, running: dict[int, _Text], threads: int) -> None:
    """Read as many characters of each text as the shortest one has left, at most STEPS."""
    steps = min(STEPS, *(text.left for text in running.values()))
    both = np.stack([text.numbers[text.position : text.position + steps + 1] for text in running.values()], 1)
    found = likelihood.of_streams(predictor, list(running), both[:-1], both[1:], threads)
    for text, log_probs in zip(running.values(), found.T, strict=True):
        text.position += steps
        text.bits[text.position - steps + 1 : text.position + 1] = -log_probs / math.log(2)
