"""Converts weights between char-rnn's layout and that of ONNX's LSTM, GRU and RNN.

For layer k from 1: "layer_k.W" (1, G, I) for the input, "layer_k.R" (1, G, H) for the hidden state, "layer_k.B" (1, 2G)
for both biases; "decoder.weight" (H, V) and "decoder.bias" (V). The G rows are the gates in ONNX's order. ONNX's gru is
h' = (1-z)*candidate + z*h, char-rnn's z*candidate + (1-z)*h: the weights of z change sign, since 1 - sigmoid(x) =
sigmoid(-x). linear_before_reset is 0. Source: https://github.com/onnx/onnx/blob/main/docs/Operators.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compat.cells import CELLS

if TYPE_CHECKING:
    from compat.t7_objects import Array
    from pycharrnn.checkpoints.metadata import Shapes

_GATES = {  # model -> its gates in ONNX's order
    "lstm": ("in", "out", "forget", "candidate"),  # i, o, f, c
    "gru": ("update", "reset", "candidate"),  # z, r, h
    "rnn": ("candidate",),
}
_NEGATED = {"lstm": (), "gru": ("update",), "rnn": ()}  # model -> gates whose weights change sign


def shapes(model: str, vocab_size: int, rnn_size: int, num_layers: int) -> Shapes:
    """Name -> shape of all tensors."""
    rows = len(CELLS[model].gates) * rnn_size
    found: Shapes = {}
    for layer in range(1, num_layers + 1):
        found[f"layer_{layer}.W"] = (1, rows, vocab_size if layer == 1 else rnn_size)
        found[f"layer_{layer}.R"] = (1, rows, rnn_size)
        found[f"layer_{layer}.B"] = (1, 2 * rows)
    return found | {"decoder.weight": (rnn_size, vocab_size), "decoder.bias": (vocab_size,)}


def to_onnx(model: str, num_layers: int, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Weights named as in nngraph.parameter_shapes, as ONNX's tensors of `shapes`."""
    found: dict[str, Array] = {}
    for layer in range(1, num_layers + 1):
        biases = []
        for linears, name in ((CELLS[model].input_linears, "W"), (CELLS[model].recurrent_linears, "R")):
            of_gates = _of_gates(model, layer, linears)
            weight, bias = (
                np.concatenate([sign * _rows(weights[f"{linear}.{kind}"], at) for linear, at, sign in of_gates])
                for kind in ("weight", "bias")
            )
            found[f"layer_{layer}.{name}"] = weight[None]
            biases.append(bias)
        found[f"layer_{layer}.B"] = np.concatenate(biases)[None]
    found["decoder.weight"] = np.ascontiguousarray(weights["decoder.weight"].T)
    return found | {"decoder.bias": weights["decoder.bias"]}


def from_onnx(model: str, named: Shapes, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The inverse of to_onnx, for weights of the shapes `named`."""
    found = {name: np.empty(shape, tensors["decoder.bias"].dtype) for name, shape in named.items()}
    found["decoder.weight"][:], found["decoder.bias"][:] = tensors["decoder.weight"].T, tensors["decoder.bias"]
    for layer in range(1, 1 + sum(name.endswith(".W") for name in tensors)):
        biases = np.split(tensors[f"layer_{layer}.B"][0], 2)
        kinds = (CELLS[model].input_linears, "W", biases[0]), (CELLS[model].recurrent_linears, "R", biases[1])
        for linears, name, bias in kinds:
            of_gates = _of_gates(model, layer, linears)
            for kind, rows in (("weight", tensors[f"layer_{layer}.{name}"][0]), ("bias", bias)):
                for (linear, at, sign), gate in zip(of_gates, np.split(rows, len(of_gates)), strict=True):
                    _rows(found[f"{linear}.{kind}"], at)[:] = sign * gate
    return found


def _of_gates(model: str, layer: int, linears: Sequence[str]) -> list[tuple[str, tuple[int, int], int]]:
    """(nn.Linear, (part of its rows, number of parts), sign) of each gate, in ONNX's order."""
    found, parts = [], CELLS[model].gates_per_linear
    for gate in _GATES[model]:
        linear, part = divmod(CELLS[model].gates.index(gate), parts)
        found.append((f"{linears[linear]}_{layer}", (part, parts), -1 if gate in _NEGATED[model] else 1))
    return found


def _rows(weights: Array, at: tuple[int, int]) -> Array:
    part, parts = at
    size = len(weights) // parts
    return weights[part * size : (part + 1) * size]
