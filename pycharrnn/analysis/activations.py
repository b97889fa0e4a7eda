"""What the hidden units of a model do along a text.

Source: Karpathy, "The Unreasonable Effectiveness of Recurrent Neural Networks" (2015), and Karpathy, Johnson & Li,
"Visualizing and Understanding Recurrent Networks" (2015), arXiv:1506.02078.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.analysis import likelihood
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.screen_text import ScreenText
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.sampling.tokenizer import primetext_characters

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from compat.graph_match import Network

MAX_CHARACTERS = 10_000  # of a page: browsers become slow with more
_STEPS = 256  # characters that the model reads at once


@dataclass(frozen=True)
class Reading:
    """A text as a model has read it.

    Attributes:
        characters: T of them, as a screen shows them; each took one character of the model or several.
        values: float32, shape (T, L, H), in [-1, 1]: tanh(c) of an lstm, else h, after each character was read.
    """

    characters: list[str]
    values: npt.NDArray[np.float32]


def record(loaded: Checkpoint, text: bytes, most: int = 0, say: Callable[[str], None] = print) -> Reading:
    """Let a model read a text from a hidden state of zeros, and record its units' activations.

    Args:
        most: of a text of more characters only the first ones are read. 0 = all.
        say: is given a line where that is so.

    Errors: UserError for an empty text, or a character that the vocabulary lacks.
    """
    pieces = primetext_characters(text, loaded.vocab)
    if not pieces:
        raise UserError(f"the text is empty: give one with {flag('primetext')} TEXT or {flag('primefile')} FILE.")
    if 0 < most < len(pieces):
        say(f"the page shows the first {most} of {len(pieces)} characters")
        del pieces[most:]
    screen = ScreenText()
    characters: list[str] = []
    values: list[np.ndarray] = []
    before = np.zeros((loaded.network.num_layers, loaded.network.rnn_size), np.float32)
    after_each = _after_each(loaded.network, np.array([loaded.vocab[piece] - 1 for piece in pieces]))
    for piece, now in zip(pieces, after_each, strict=True):
        completed = screen.push(piece)
        characters += [character for character, _ in completed]
        if completed:  # of two, the first ended with the piece before this one
            values += [before] * (len(completed) - 1) + [now]
        before = now
    for character, _ in screen.end():
        characters.append(character)
        values.append(before)
    return Reading(characters, np.stack(values))


def _after_each(network: Network, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The activations after each of some characters, numbered from 0 (T,), from a state of zeros: (T, L, H)."""
    steps = likelihood.steps_at_once(_STEPS, likelihood.numbers_in_a_step(network, 1))
    predictor = on_cpu(network, 1, steps)
    values = np.empty((len(numbers), network.num_layers, network.rnn_size), np.float32)
    for start in range(0, len(numbers), steps):
        block = numbers[start : start + steps]
        predictor.read(np.pad(block, (0, steps - len(block)))[:, None])  # what fills the last block up changes nothing
        values[start : start + steps] = predictor.activations()[:, : len(block), 0].swapaxes(0, 1)
    return values


def choose_units(values: npt.NDArray[np.floating], layer: int, units: str, count: int) -> list[tuple[int, int]]:
    """Which units to show, as (layer, unit) from 1.

    Units that are named come in the given order. Otherwise these are the `count` units with the largest lag-1
    autocovariance along the text, the largest first. It is large for a unit that changes by much and then keeps its
    value for some characters, and small for one that changes with every letter or hardly at all.

    Args:
        values: (T, L, H).
        layer: from 1; 0 = the last one for named units, all where none is named.
        units: numbers from 1 with commas between, or empty.

    Errors: UserError for a layer or a unit that the model does not have, or for what is no number.
    """
    _, layers, size = values.shape
    if layer > layers:
        raise UserError(f"-layer {layer} is not there: the model has {layers}.")
    if units:
        return [(layer or layers, _unit(word, size)) for word in units.split(",")]
    deviations = values.astype(np.float64) - values.mean(0, dtype=np.float64)
    scores = (deviations[1:] * deviations[:-1]).sum(0) / len(values)
    if layer:
        scores[np.arange(layers) != layer - 1] = -np.inf
    ranked = np.argsort(-scores, axis=None, kind="stable")[: min(count, size if layer else scores.size)]
    return [(int(k) // size + 1, int(k) % size + 1) for k in ranked]


def _unit(word: str, size: int) -> int:
    """The number in `word`, 1 to `size`. Errors: UserError."""
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", word) or not 1 <= int(word) <= size:
        raise UserError(f"-units has {word!r}: name units by their numbers, 1 to {size}, with commas between.")
    return int(word)
