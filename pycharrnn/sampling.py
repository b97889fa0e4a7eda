"""Sampling: one character after another. Source: sample.lua.

On the CPU a model runs in NumPy, in double precision, so that sampling starts at once and draws char-rnn's very bytes;
on a GPU it runs in PyTorch. Either way the draws are made from double-precision log-probabilities.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from compat.graph_match import Network
from compat.lua_random import LuaRandom, multinomial
from pycharrnn.options import SampleOptions, UserError
from pycharrnn.recurrence import CELLS, numpy_ops

_DRAWS_AT_A_TIME = 1024


class Stepper(Protocol):
    """A model with its hidden state, zeros at first."""

    vocab_size: int

    def step(self, index: int) -> np.ndarray:
        """Read character `index` (from 0); log-probabilities of the next one in nats, float64, shape (V,)."""


class NumpyStepper:
    """Runs a network on the CPU in double precision, without PyTorch."""

    def __init__(self, network: Network):
        cell_class = CELLS[network.model]
        weights = {name: np.asarray(w, np.float64) for name, w in network.weights.items()}

        def packed(names: tuple[str, ...], layer: int):
            w, b = ([weights[f"{name}_{layer}.{part}"] for name in names] for part in ("weight", "bias"))
            return np.concatenate(w), np.concatenate(b)

        self.vocab_size = network.vocab_size
        self._layers = []
        for layer in range(1, network.num_layers + 1):
            cell = cell_class(lambda *shape: np.zeros(shape), 1, 1, network.rnn_size)
            weight, bias = packed(cell_class.input_linears, layer)
            h2h, h_bias = packed(cell_class.recurrent_linears, layer)
            self._layers.append((cell, weight.T, bias + h_bias, h2h))
        first_weight, first_bias = self._layers[0][1:3]
        self._by_character = np.ascontiguousarray(first_weight) + first_bias  # a one-hot input picks a row
        self._decoder = weights["decoder.weight"].T, weights["decoder.bias"]

    def step(self, index: int) -> np.ndarray:
        """See Stepper.step."""
        x = None
        for cell, weight, bias, h2h in self._layers:
            for state in cell.states:
                state[0] = state[1]
            cell.gates[0] = self._by_character[index] if x is None else x @ weight + bias
            cell.forward(numpy_ops, h2h)
            x = cell.h[1]
        weight, bias = self._decoder
        scores = (x @ weight + bias)[0]
        highest = scores.max()
        return scores - (highest + np.log(np.exp(scores - highest).sum()))

    def activations(self) -> np.ndarray:
        """What the units hold after the last step, in [-1, 1]: tanh(c) of an lstm, else h. Shape (L, H)."""
        cells = [layer[0] for layer in self._layers]
        return np.stack([cell.tanh_c[0, 0] if hasattr(cell, "tanh_c") else cell.h[1, 0] for cell in cells])

    def fresh(self) -> NumpyStepper:
        """Another reader with the same weights, shared, and a state of zeros."""
        other = copy.copy(self)
        other._layers = [
            (type(cell)(lambda *shape: np.zeros(shape), 1, 1, cell.h.shape[2]), *weights)
            for cell, *weights in self._layers
        ]
        return other


class TorchStepper:
    """Runs a CharRNN on its device, in its precision."""

    def __init__(self, model):
        self.vocab_size = model.vocab_size
        self._device = model.flat.device
        self._bptt = model.bptt(1, 1)
        for state in self._bptt.states(-1):
            state.zero_()

    def step(self, index: int) -> np.ndarray:
        """See Stepper.step."""
        import torch

        for first, last in zip(self._bptt.states(0), self._bptt.states(-1), strict=True):
            first.copy_(last)
        log_probs = self._bptt.forward(torch.tensor([[index]], device=self._device))
        return log_probs[0].cpu().double().numpy()


@dataclass(frozen=True, slots=True)
class Drawn:
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


def draw(stepper: Stepper, vocab: dict[bytes, int], opt: SampleOptions, primetext: bytes) -> Iterator[Drawn]:
    """The characters of `primetext`, then `opt.length` drawn ones; what sample.lua prints before its final newline.

    Args:
        vocab: character (one byte, or several) -> number from 1.

    Errors: UserError for a character of primetext that the vocabulary lacks, or a model that predicts NaN.
    """
    prime = tokens(primetext, vocab)
    characters = [character for character, _ in sorted(vocab.items(), key=lambda entry: entry[1])]
    scores = np.full(len(characters), 1 / len(characters))  # before any character: all alike
    for character in prime:
        index = vocab[character] - 1
        yield Drawn(character, index, _softmax(scores, 1), True)
        scores = stepper.step(index)
    draws = _draws(opt.seed)
    for left in range(opt.length, 0, -1):
        probabilities = _probabilities(scores, opt)
        index = int(scores.argmax()) if opt.sample == 0 else _pick(probabilities, next(draws), opt)
        yield Drawn(characters[index], index, probabilities, False)
        if left > 1:
            scores = stepper.step(index)


def _draws(seed: int) -> Iterator[float]:
    random = LuaRandom(seed)
    while True:
        yield from random.random(_DRAWS_AT_A_TIME).tolist()


def _softmax(scores: np.ndarray, temperature: float) -> np.ndarray:
    """exp(scores / temperature), summing to 1."""
    with np.errstate(over="ignore", invalid="ignore"):  # _pick looks at what comes of it
        probabilities = np.exp(scores / temperature)
        probabilities /= probabilities.sum()
    return probabilities


def _probabilities(scores: np.ndarray, opt: SampleOptions) -> np.ndarray:
    """What to draw from: 0 for what -topk and -topp leave out. Shape (V,)."""
    probabilities = _softmax(scores, opt.temperature)
    if opt.topk or opt.topp < 1:
        by_rank = np.argsort(-probabilities, kind="stable")
        # -topp keeps the likeliest characters up to and with the one at which they reach the share P together.
        before = np.cumsum(probabilities[by_rank]) - probabilities[by_rank]
        left_out = before >= opt.topp
        if opt.topk:
            left_out[opt.topk :] = True
        left_out[0] = False
        probabilities[by_rank[left_out]] = 0
        probabilities /= probabilities.sum()
    return probabilities


def _pick(probabilities: np.ndarray, u: float, opt: SampleOptions) -> int:
    """The index that the random number u draws."""
    try:
        return multinomial(probabilities.astype(np.float32), u)
    except ValueError:
        raise UserError(
            f"the model's probabilities at -temperature {opt.temperature:g} are no numbers: try a -temperature nearer"
            " to 1; if that does not help, the checkpoint holds a model whose training failed."
        ) from None


def tokens(primetext: bytes, vocab: dict[bytes, int]) -> list[bytes]:
    """`primetext` cut into characters of `vocab`, the longest that fits first.

    Errors: UserError naming the first character (a whole one, where the text is UTF-8) that `vocab` lacks.
    """
    longest = max(map(len, vocab))
    found, position = [], 0
    while position < len(primetext):
        for length in range(longest, 0, -1):
            character = primetext[position : position + length]
            if character in vocab:
                break
        else:
            raise UserError(_unknown(primetext, position))
        found.append(character)
        position += len(character)
    return found


def _unknown(primetext: bytes, position: int) -> str:
    start = position
    while start > 0 and primetext[start] & 0xC0 == 0x80:
        start -= 1
    shown = repr(primetext[start : start + 4].decode("utf-8", "replace")[:1])
    byte = primetext[position]
    return f"-primetext has the character {shown} (byte 0x{byte:02x}), which the model has never seen: leave it out."
