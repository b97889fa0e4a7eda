"""What the hidden units of a model do along a text.

Source: Karpathy, "The Unreasonable Effectiveness of Recurrent Neural Networks" (2015), and Karpathy, Johnson & Li,
"Visualizing and Understanding Recurrent Networks" (2015), arXiv:1506.02078.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compat.charrnn import Checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.common.screen_text import ScreenText
from pycharrnn.sampling.inference import NumpyPredictor
from pycharrnn.sampling.sampler import tokens

MAX_CHARACTERS = 10_000  # more is a page that no browser likes


@dataclass(frozen=True)
class Reading:
    """A text as a model has read it.

    Attributes:
        characters: as the screen shows them, T of them.
        values: float32, shape (T, L, H), in [-1, 1]: tanh(c) of an lstm, else h, after each character was read.
    """

    characters: list[str]
    values: np.ndarray


def record(loaded: Checkpoint, text: bytes, say: Callable[[str], None] = print) -> Reading:
    """Read a text from a state of zeros.

    Errors: UserError for an empty text, or a character that the vocabulary lacks.
    """
    pieces = tokens(text, loaded.vocab)
    if not pieces:
        raise UserError("the text is empty: give one with -primetext TEXT or -primefile FILE.")
    if len(pieces) > MAX_CHARACTERS:
        say(f"the page shows the first {MAX_CHARACTERS} of {len(pieces)} characters")
        del pieces[MAX_CHARACTERS:]
    predictor, screen = NumpyPredictor(loaded.network), ScreenText()
    characters: list[str] = []
    values: list[np.ndarray] = []
    before = np.zeros((loaded.network.num_layers, loaded.network.rnn_size), np.float32)
    for piece in pieces:
        predictor.step(loaded.vocab[piece] - 1)
        now = predictor.activations()[:, 0, 0].astype(np.float32)
        for shown, _ in (done := screen.push(piece)):
            characters.append(shown)
        if done:
            values += [before] * (len(done) - 1) + [now]
        before = now
    for shown, _ in screen.end():
        characters.append(shown)
        values.append(before)
    return Reading(characters, np.stack(values))


def choose(values: np.ndarray, layer: int, units: str, count: int) -> list[tuple[int, int]]:
    """Which units to show, as (layer, unit) from 1.

    Named ones in the given order; else the `count` of the largest lag-1 autocovariance along the text, the largest
    first: a unit that swings far and holds its value for some characters counts for more than one that flickers with
    every letter, or one that hardly moves.

    Args:
        values: (T, L, H).
        layer: from 1; 0 = the last one for named units, all for a choice.
        units: numbers from 1 with commas between, or empty.

    Errors: UserError.
    """
    _, layers, size = values.shape
    if layer > layers:
        raise UserError(f"-layer {layer} is not there: the model has {layers}.")
    if units:
        return [(layer or layers, _unit(word, size)) for word in units.split(",")]
    moved = values.astype(np.float64) - values.mean(0, dtype=np.float64)
    scores = (moved[1:] * moved[:-1]).sum(0) / len(values)
    if layer:
        scores[np.arange(layers) != layer - 1] = -np.inf
    ranked = np.argsort(-scores, axis=None, kind="stable")[: min(count, size if layer else scores.size)]
    return [(int(k) // size + 1, int(k) % size + 1) for k in ranked]


def _unit(word: str, size: int) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", word) or not 1 <= int(word) <= size:
        raise UserError(f"-units has {word!r}: name units by their numbers, 1 to {size}, with commas between.")
    return int(word)
