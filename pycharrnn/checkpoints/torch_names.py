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

IN_TORCH_NN = ("lstm", "rnn")  # the models whose cells torch.nn has
GATES = [0, 1, 3, 2]  # torch.nn's i, f, g, o from char-rnn's i, f, o, g, and back


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
    if model != "lstm" or name.startswith("decoder."):
        return weights
    return np.concatenate([np.split(weights, 4)[k] for k in GATES])
