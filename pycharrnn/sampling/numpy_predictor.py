"""The predictor in NumPy: on the CPU, in double precision, where the C kernel is not compiled.

The tests compare the kernel with it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.engine import indices
from pycharrnn.engine.linears import joined, linears_of
from pycharrnn.engine.operations import numpy_ops
from pycharrnn.engine.recurrence import CELL_CLASSES
from pycharrnn.sampling.predictor import LocalPredictor, steps_per_call

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from compat.graph_match import Network
    from pycharrnn.engine.recurrence import Cell


def log_softmax(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log-probabilities in nats of the scores in the last dimension."""
    highest = np.maximum.reduce(scores, -1, keepdims=True)  # as max(), without its overhead
    log_probs: npt.NDArray[np.float64] = scores - (
        highest + np.log(np.add.reduce(np.exp(scores - highest), -1, keepdims=True))
    )
    return log_probs


@dataclass(frozen=True)
class _Layer:
    """The buffers of a layer of n gates, and its weights in the memory layout of the products that read them."""

    cell: Cell[npt.NDArray[Any]]
    input_weight: npt.NDArray[np.float64]  # (inputs, n*H)
    bias: npt.NDArray[np.float64]  # (n*H,), the sum of both biases
    h2h: npt.NDArray[np.float64]  # (n*H, H)


def _make_cell(cell_class: type[Cell[Any]], steps: int, streams: int, rnn_size: int) -> Cell[npt.NDArray[Any]]:
    return cell_class(lambda *shape: np.zeros(shape), steps, streams, rnn_size)


def _make_layer(network: Network, layer: int, steps: int, streams: int) -> _Layer:
    cell_class = CELL_CLASSES[network.model]
    cell = _make_cell(cell_class, steps, streams, network.rnn_size)
    weight, bias = _joined(network, cell_class.facts.input_linears, layer)
    h2h, h_bias = _joined(network, cell_class.facts.recurrent_linears, layer)
    # The products read both weights transposed.
    return _Layer(cell, np.ascontiguousarray(weight.T), bias + h_bias, np.asfortranarray(h2h))


def _joined(
    network: Network, names: tuple[str, ...], layer: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    weight, bias = joined(linears_of(network.weights, names, layer), np.concatenate)
    return np.asarray(weight, np.float64), np.asarray(bias, np.float64)


class NumpyPredictor(LocalPredictor):
    """Runs a network with B streams and T steps. `log_softmax`: logits -> log-probabilities, (T*B, V).

    Errors: ValueError for streams or steps below 1.
    """

    def __init__(
        self,
        network: Network,
        streams: int = 1,
        steps: int = 1,
        log_softmax: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] = log_softmax,
    ) -> None:
        if streams < 1 or steps < 1:
            raise ValueError(f"streams and steps must be at least 1, not {streams} and {steps}")
        self._steps, self.num_streams, self.vocab_size = steps, streams, network.vocab_size
        self._end_id = -1 if network.end_id is None else network.end_id
        self._log_softmax = log_softmax
        self._layers = [_make_layer(network, layer, steps, streams) for layer in range(1, network.num_layers + 1)]
        self._by_character = self._layers[0].input_weight + self._layers[0].bias  # a one-hot input picks a row
        decoder_weight, decoder_bias = (
            np.asarray(network.weights[f"decoder.{part}"], np.float64) for part in ("weight", "bias")
        )
        self._decoder = np.ascontiguousarray(decoder_weight.T), decoder_bias
        self.steps_per_call = steps_per_call(sum(weight.size for weight in network.weights.values()))

    def read(self, token_ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """See Predictor.read."""
        token_ids = indices.check_indices("the characters", token_ids, (self._steps, self.num_streams), self.vocab_size)
        begins = token_ids == self._end_id
        keep = (~begins)[:, :, None].astype(np.float64) if begins.any() else None
        x: npt.NDArray[np.float64] | None = None
        for layer in self._layers:
            cell = layer.cell
            for state in cell.states:
                state[0] = state[-1]
            if x is None:
                # mode="raise" would copy; the ids have been checked.
                np.take(self._by_character, token_ids, 0, out=cell.gates, mode="clip")
            else:
                gates = cell.gates.reshape(len(x), -1)
                np.matmul(x, layer.input_weight, out=gates)
                gates += layer.bias
            cell.forward(numpy_ops, layer.h2h, keep)
            x = cell.h[1:].reshape(-1, cell.h.shape[2])
        assert x is not None
        weight, bias = self._decoder
        scores = x @ weight
        scores += bias
        return self._log_softmax(scores).reshape(*token_ids.shape, -1)

    def select_streams(self, sources: npt.NDArray[np.integer[Any]]) -> None:
        """See Predictor.select_streams."""
        sources = indices.check_indices("the streams", sources, (self.num_streams,), self.num_streams)
        for layer in self._layers:
            for state in layer.cell.states:
                state[-1] = state[-1][sources]

    def activations(self) -> npt.NDArray[np.float64]:
        """See LocalPredictor.activations."""
        cells = [layer.cell for layer in self._layers]
        return np.stack([getattr(cell, "tanh_c", cell.h[1:]) for cell in cells])

    @property
    def nbytes(self) -> int:
        """See LocalPredictor.nbytes."""
        of_layers = (array for layer in self._layers for array in (layer.input_weight, layer.bias, layer.h2h))
        return sum(array.nbytes for array in (*of_layers, self._by_character, *self._decoder))

    def fresh(self, *, streams: int = 1, steps: int = 1) -> NumpyPredictor:
        """See LocalPredictor.fresh."""
        other = copy.copy(self)
        other._steps, other.num_streams = steps, streams
        other._layers = [
            replace(layer, cell=_make_cell(type(layer.cell), steps, streams, layer.cell.h.shape[2]))
            for layer in self._layers
        ]
        return other

    def with_network(self, network: Network) -> NumpyPredictor:
        """See LocalPredictor.with_network."""
        other = NumpyPredictor(network, self.num_streams, self._steps, self._log_softmax)
        for layer, of_other in zip(self._layers, other._layers, strict=True):
            for state, to in zip(layer.cell.states, of_other.cell.states, strict=True):
                to[-1] = state[-1]
        return other
