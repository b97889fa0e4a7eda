"""The surprise of each character of a text: -log2 of the probability that a model gave it, in bits."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.analysis import likelihood
from pycharrnn.sampling import tokenizer
from pycharrnn.sampling.kernel_predictor import KernelPredictor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from pycharrnn.sampling.kernel_predictor import State
    from pycharrnn.sampling.predictor import Predictor


def surprises(
    predictor: Predictor, steps: int, vocab: dict[bytes, int], text: bytes, code_points: bool
) -> Iterator[tuple[bytes, float | None]]:
    """(character, bits) along `text`, as it is read; the bits of a character that `vocab` lacks are None.

    Args: see `bits` and tokenizer.encode.
    """
    encoded = tokenizer.encode(text, vocab, code_points)
    known = encoded.known
    found = (one for block in _blocks(predictor, steps, encoded.token_ids[known]) for one in block.tolist())
    for character, is_known in zip(encoded.characters, known.tolist(), strict=True):
        yield character, next(found) if is_known else None


def bits(
    predictor: Predictor,
    steps: int,
    token_ids: npt.NDArray[np.int64],
    advance: Callable[[int], None] = lambda count: None,
) -> npt.NDArray[np.float64]:
    """The surprise of each character of a text, (N,). The first has log2 V bits.

    Args:
        predictor: of one stream and `steps` steps; its hidden state is zeros.
        advance: receives how many characters have been read.
    """
    found = np.empty(len(token_ids))
    position = 0
    for block in _blocks(predictor, steps, token_ids):
        found[position : position + len(block)] = block[: len(token_ids) - position]  # an empty text has no first one
        position += len(block)
        advance(len(block))
    return found


def _blocks(predictor: Predictor, steps: int, token_ids: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float64]]:
    """The surprise of the first character, then of blocks of `steps`, then of the rest."""
    yield np.array([math.log2(predictor.vocab_size)])
    for start in range(0, len(token_ids) - 1, steps):
        targets = token_ids[start + 1 : start + 1 + steps]
        count = len(targets)
        both = np.stack([token_ids[start : start + count], targets])
        if not isinstance(predictor, KernelPredictor):  # the others read exactly `steps` at once
            both = np.pad(both, ((0, 0), (0, steps - count)))
        yield -likelihood.log_likelihoods(predictor, *both[:, :, None])[:count, 0] / math.log(2)


@dataclass
class _Text:
    """A text that is being read. `position`: how many of its characters have been read; the last is not needed."""

    token_ids: npt.NDArray[np.int64]
    bits: npt.NDArray[np.float64] = field(init=False)
    position: int = 0

    def __post_init__(self) -> None:
        self.bits = np.empty(len(self.token_ids))

    @property
    def left(self) -> int:
        """How many characters are still to be read."""
        return max(len(self.token_ids) - 1 - self.position, 0)


def bits_of_texts(
    predictor: KernelPredictor,
    texts: Iterable[npt.NDArray[np.int64]],
    threads: int = 1,
    states: Iterator[State] | None = None,
) -> Iterator[npt.NDArray[np.float64]]:
    """As `bits`, for many texts side by side, in their order. A text is requested when a stream becomes free.

    An exception of `texts` is raised after the results of the texts before it. `threads` share the streams. `states`:
    the hidden state before each text of two characters at least; None for zeros.
    """
    # Apart from sampler's streams: known text needs no distribution and no random numbers, is read in blocks, and a
    # stream that has read one text goes on with another.
    coming, fault = iter(texts), None
    free, running, unfinished = list(range(predictor.num_streams)), dict[int, _Text](), deque[_Text]()
    while True:
        while free and fault is None:
            try:
                text = _Text(next(coming))
            except Exception as e:  # also StopIteration, after the last text
                fault = e
                break
            unfinished.append(text)
            text.bits[:1] = math.log2(predictor.vocab_size)
            if text.left:
                if states is None:
                    predictor.reset_state(free[-1])
                else:
                    predictor.set_state(free[-1], next(states))
                running[free.pop()] = text
        while unfinished and not unfinished[0].left:
            yield unfinished.popleft().bits
        if not running and fault is not None:
            break
        _read_on(predictor, running, threads)
        free += [stream for stream, text in running.items() if not text.left]
        running = {stream: text for stream, text in running.items() if text.left}
    if not isinstance(fault, StopIteration):
        raise fault


def _read_on(predictor: KernelPredictor, running: dict[int, _Text], threads: int) -> None:
    """Read as many characters of each text as the shortest has left, at most likelihood.STEPS."""
    steps = min(likelihood.STEPS, *(text.left for text in running.values()))
    both = np.stack([text.token_ids[text.position : text.position + steps + 1] for text in running.values()], 1)
    found = likelihood.of_streams(predictor, list(running), both[:-1], both[1:], threads)
    for text, log_probs in zip(running.values(), found.T, strict=True):
        text.position += steps
        text.bits[text.position - steps + 1 : text.position + 1] = -log_probs / math.log(2)
