"""Converts weights of an lstm or rnn to the names and gate order of torch.nn's state_dict, and back.

A gru's weights keep char-rnn's names: its reset gate acts before the product, that of torch.nn after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from compat.t7_objects import Array
    from pycharrnn.checkpoints.metadata import Shapes

# model -> its gates in torch.nn's order, as positions in char-rnn's, and back: an lstm's are i, f, g, o and i, f, o, g.
GATES = {"lstm": [0, 1, 3, 2], "rnn": [0]}
IN_TORCH_NN = tuple(GATES)  # the models whose cells torch.nn has


def of(model: str, name: str) -> str:
    """torch.nn's name of a weight: ("lstm", "h2h_2.bias") -> "rnn.bias_hh_l1" """
    if model not in IN_TORCH_NN or name.startswith("decoder."):
        return name
    linear, kind = name.split(".")
    product, layer = linear.split("_")
    return f"rnn.{kind}_{ {'i2h': 'ih', 'h2h': 'hh'}[product] }_l{int(layer) - 1}"


def to_torch(model: str, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Weights named as in nngraph.parameter_shapes, with torch.nn's names and order of gates."""
    return {of(model, name): _other_gates(model, name, w) for name, w in weights.items()}


def from_torch(model: str, shapes: Shapes, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The inverse of to_torch, for weights of these shapes."""
    return {name: _other_gates(model, name, weights[of(model, name)]) for name in shapes}


def _other_gates(model: str, name: str, weights: Array) -> Array:
    if model not in IN_TORCH_NN or name.startswith("decoder."):
        return weights
    parts = np.split(weights, len(GATES[model]))
    return np.concatenate([parts[k] for k in GATES[model]])
