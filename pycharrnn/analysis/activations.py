"""The activations of a model's hidden units along a text, for `activations`.

Source: Karpathy, "The Unreasonable Effectiveness of Recurrent Neural Networks" (2015), and Karpathy, Johnson & Li,
"Visualizing and Understanding Recurrent Networks" (2015), arXiv:1506.02078.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compat.vocabulary import ids_of
from pycharrnn.analysis import likelihood
from pycharrnn.common.display import plural
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.screen_text import ScreenText
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.sampling.primetext import item_start, primetext_characters

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from compat.graph_match import Network

MAX_CHARACTERS = 10_000  # on a page: more slow browsers down


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class Reading:
    """The activations along a text of T displayed characters, each one or several characters of the model.

    Attributes:
        characters: the displayed ones, T.
        values: float32, (T, L, H), in [-1, 1]: tanh(c) of an lstm, else h, after each character.
    """

    characters: list[str]
    values: npt.NDArray[np.float32]

    def __repr__(self) -> str:
        characters, layers, units = self.values.shape
        return f"<Reading characters {characters}, layers {layers}, units {units}>"


def record(
    loaded: Checkpoint, text: bytes, limit: int = 0, say: PrintLine = print, option: str = "primetext"
) -> Reading:
    """Read a text from a hidden state of zeros, and record the activations. In a model of items it begins an item.

    Args:
        limit: read only the first characters of a longer text, and tell `say`. 0 = all.
        option: name of the option that gave the text, for messages.

    Errors: UserError for an empty text, or a character that the vocabulary lacks.
    """
    pieces = primetext_characters(text, loaded.vocab, option)
    if not pieces:
        raise UserError(f"the text is empty: give one with {flag('primetext')} TEXT or {flag('primefile')} FILE.")
    if 0 < limit < len(pieces):
        say(f"the page shows the first {limit} of {len(pieces)} characters")
        del pieces[limit:]
    screen = ScreenText()
    characters: list[str] = []
    ends: list[int] = []  # of each displayed character, by its last piece
    for shown in (*map(screen.push, pieces), screen.end()):
        for character, count in shown:
            characters.append(character)
            ends.append((ends[-1] if ends else -1) + count)
    before = item_start(loaded)
    after_each = _after_each(loaded.network, np.array(ids_of([*before, *pieces], loaded.vocab)))
    return Reading(characters, after_each[len(before) :][ends])


def _after_each(network: Network, token_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The activations after each of T characters, (T, L, H)."""
    steps = likelihood.steps_at_once(network)
    predictor = on_cpu(network, 1, steps)
    values = np.empty((len(token_ids), network.num_layers, network.rnn_size), np.float32)
    for start in range(0, len(token_ids), steps):
        block = token_ids[start : start + steps]
        predictor.read(np.pad(block, (0, steps - len(block)))[:, None])
        values[start : start + steps] = predictor.activations()[:, : len(block), 0].swapaxes(0, 1)
    return values


def choose_units(values: npt.NDArray[np.floating], layer: int, units: str, count: int) -> list[tuple[int, int]]:
    """The units to show, as (layer, unit), both from 1.

    Without `units`, these are the `count` units with the largest lag-1 autocovariance along the text: units whose value
    changes a lot and then lasts for some characters.

    Args:
        values: (T, L, H).
        layer: from 1; 0 = the last one with `units`, else all.
        units: "3,17", or ""; each is shown once.

    Errors: UserError for a layer or a unit that the model lacks.
    """
    _, layers, size = values.shape
    if layer > layers:
        raise UserError(f"{flag('layer', layer)} is too large: the model has {layers} {plural(layers, 'layer')}.")
    if units:
        return [(layer or layers, unit) for unit in dict.fromkeys(_unit(word, size) for word in units.split(","))]
    deviations = values.astype(np.float64) - values.mean(0, dtype=np.float64)
    scores = (deviations[1:] * deviations[:-1]).sum(0) / len(values)
    if layer:
        scores[np.arange(layers) != layer - 1] = -np.inf
    ranked = np.argsort(-scores, axis=None, kind="stable")[: min(count, size if layer else scores.size)]
    return [(int(k) // size + 1, int(k) % size + 1) for k in ranked]


def _unit(word: str, size: int) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", word) or not 1 <= int(word) <= size:
        raise UserError(f"{flag('units')} has {word!r}: give numbers from 1 to {size}, separated by commas.")
    return int(word)
