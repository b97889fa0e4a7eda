"""A trained network that reads characters and says what may come next, for sampling and scoring.

On the CPU it runs in NumPy, in double precision, so that it starts at once and gives char-rnn's very numbers; on a
GPU it runs in PyTorch. Any number of texts, streams, go side by side, each with a hidden state of its own.
"""

from __future__ import annotations

import copy
from typing import Protocol

import numpy as np

from compat.charrnn import Checkpoint
from compat.graph_match import Network
from pycharrnn.engine.recurrence import CELLS, numpy_ops


class Predictor(Protocol):
    """A model with B hidden states, zeros at first, that carry on from call to call."""

    vocab_size: int

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Read T characters in each stream; log-probabilities after each, in nats, float64, shape (T, B, V).

        Args:
            indices: whole numbers (T, B), characters numbered from 0; T and B as the predictor was made for.

        Errors: TypeError, ValueError for an array of another type or shape; IndexError for a character that the
            vocabulary lacks.
        """

    def step(self, index: int) -> np.ndarray:
        """Read one character in the only stream; log-probabilities of the next one, shape (V,). Errors: as read's."""

    def choose(self, streams: np.ndarray) -> None:
        """Let stream k go on from where streams[k] is now, (B,). Errors: TypeError, ValueError, IndexError."""


def make_predictor(loaded: Checkpoint, where: str = "cpu", streams: int = 1, steps: int = 1) -> Predictor:
    """A predictor for a loaded checkpoint on the device that PyTorch calls `where`."""
    if where == "cpu":
        return NumpyPredictor(loaded.network, streams, steps)
    from pycharrnn.engine.model import CharRNN  # PyTorch takes a second to come, and the CPU does without

    return TorchPredictor(CharRNN.from_checkpoint(loaded, device=where), streams, steps)


def _numbers(name: str, values: np.ndarray, shape: tuple[int, ...], end: int) -> np.ndarray:
    """`values`, of shape `shape`, as int64. Errors: TypeError, ValueError; IndexError unless all lie in [0, end)."""
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name} must be whole numbers, not {values.dtype}")
    if values.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, not {values.shape}")
    if values.size == 1:  # sampling reads one at a time, for which NumPy's min and max would take 2 us
        low = high = values.item()
    else:
        low, high = int(values.min()), int(values.max())
    if low < 0 or high >= end:
        raise IndexError(f"{name} hold {low if low < 0 else high}, but there are only 0 to {end - 1}")
    return values.astype(np.int64, copy=False)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax over the last axis, in nats."""
    highest = np.maximum.reduce(scores, -1, keepdims=True)  # as max(), without its overhead
    return scores - (highest + np.log(np.add.reduce(np.exp(scores - highest), -1, keepdims=True)))


class NumpyPredictor:
    """Runs a network on the CPU in double precision, without PyTorch.

    Args:
        streams: texts side by side, B. steps: characters that `read` takes at once, T.
        log_softmax: what makes log-probabilities of the decoder's output (..., V).
    """

    def __init__(self, network: Network, streams: int = 1, steps: int = 1, log_softmax=log_softmax):
        if streams < 1 or steps < 1:
            raise ValueError(f"streams and steps must be at least 1, not {streams} and {steps}")
        self._shape = steps, streams
        cell_class = CELLS[network.model]
        weights = {name: np.asarray(w, np.float64) for name, w in network.weights.items()}

        def packed(names: tuple[str, ...], layer: int):
            w, b = ([weights[f"{name}_{layer}.{part}"] for name in names] for part in ("weight", "bias"))
            return np.concatenate(w), np.concatenate(b)

        self.vocab_size = network.vocab_size
        self._log_softmax = log_softmax
        self._layers = []
        for layer in range(1, network.num_layers + 1):
            cell = cell_class(lambda *shape: np.zeros(shape), steps, streams, network.rnn_size)
            weight, bias = packed(cell_class.input_linears, layer)
            h2h, h_bias = packed(cell_class.recurrent_linears, layer)
            # The products read both weights transposed, so that is how they lie in memory.
            self._layers.append((cell, np.ascontiguousarray(weight.T), bias + h_bias, np.asfortranarray(h2h)))
        first_weight, first_bias = self._layers[0][1:3]
        self._by_character = first_weight + first_bias  # a one-hot input picks a row
        self._decoder = np.ascontiguousarray(weights["decoder.weight"].T), weights["decoder.bias"]

    def step(self, index: int) -> np.ndarray:
        """See Predictor.step."""
        return self.read(np.array([[index]]))[0, 0]

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See Predictor.read."""
        indices = _numbers("the characters", indices, self._shape, self.vocab_size)
        x = None
        for cell, weight, bias, h2h in self._layers:
            for state in cell.states:
                state[0] = state[-1]
            if x is None:
                np.take(
                    self._by_character, indices, 0, out=cell.gates, mode="clip"
                )  # "raise", not needed here, would copy
            else:
                gates = cell.gates.reshape(len(x), -1)
                np.matmul(x, weight, out=gates)
                gates += bias
            cell.forward(numpy_ops, h2h)
            x = cell.h[1:].reshape(-1, cell.h.shape[2])
        weight, bias = self._decoder
        scores = x @ weight
        scores += bias
        return self._log_softmax(scores).reshape(*indices.shape, -1)

    def choose(self, streams: np.ndarray) -> None:
        """See Predictor.choose."""
        streams = _numbers("the streams", streams, self._shape[1:], self._shape[1])
        for cell, *_ in self._layers:
            for state in cell.states:
                state[-1] = state[-1][streams]

    def activations(self) -> np.ndarray:
        """What the units held after each character of the last `read`, in [-1, 1]: tanh(c) of an lstm, else h.

        Shape (L, T, B, H).
        """
        cells = [cell for cell, *_ in self._layers]
        return np.stack([cell.tanh_c if hasattr(cell, "tanh_c") else cell.h[1:] for cell in cells])

    def fresh(self, steps: int = 1) -> NumpyPredictor:
        """A predictor of one stream with the same weights, shared, and a state of zeros; `steps` as above."""
        other = copy.copy(self)
        other._shape = steps, 1
        other._layers = [
            (type(cell)(lambda *shape: np.zeros(shape), steps, 1, cell.h.shape[2]), *weights)
            for cell, *weights in self._layers
        ]
        return other


class TorchPredictor:
    """Runs a CharRNN on its device, in its precision. Arguments as for NumpyPredictor."""

    def __init__(self, model, streams: int = 1, steps: int = 1):
        self.vocab_size = model.vocab_size
        self._device = model.flat.device
        self._shape = steps, streams
        self._bptt = model.bptt(steps, streams)
        for state in self._bptt.states(-1):
            state.zero_()

    def step(self, index: int) -> np.ndarray:
        """See Predictor.step."""
        return self.read(np.array([[index]]))[0, 0]

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See Predictor.read."""
        import torch

        indices = _numbers("the characters", indices, self._shape, self.vocab_size)
        for first, last in zip(self._bptt.states(0), self._bptt.states(-1), strict=True):
            first.copy_(last)
        log_probs = self._bptt.forward(torch.tensor(indices, device=self._device))
        return log_probs.cpu().double().numpy().reshape(*indices.shape, -1)

    def choose(self, streams: np.ndarray) -> None:
        """See Predictor.choose."""
        streams = _numbers("the streams", streams, self._shape[1:], self._shape[1])
        for state in self._bptt.states(-1):
            state.copy_(state[streams.tolist()])
