"""Builds the module graph of one time step of an lstm, gru or rnn, as Torch7 objects that the Lua programs can run.

compat.cell_graphs makes the nodes. compat.graph_nodes joins them and adds the graphs from the output (`bg`) and to it
(`fg`), in topological order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from compat import cell_graphs
from compat.cells import CELLS
from compat.graph_nodes import gmodule
from compat.t7_element_types import element_dtype
from compat.t7_objects import Storage, Table, Tensor, TorchObject

if TYPE_CHECKING:
    from compat.t7_objects import Array


def parameter_shapes(model: str, vocab_size: int, rnn_size: int, num_layers: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of each weight and bias, in the order of the flat parameter vector.

    Weights are (out, in), row-major. The 4H rows of an lstm are the gates in, forget, out and the candidate.

    Example:
        >>> parameter_shapes("rnn", 65, 128, 1)["i2h_1.weight"]
        (128, 65)
    """
    facts = CELLS[model]
    rows = facts.gates_per_linear * rnn_size
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(1, num_layers + 1):
        for linear in facts.linears:
            columns = vocab_size if layer == 1 and linear in facts.input_linears else rnn_size
            shapes[f"{linear}_{layer}.weight"] = (rows, columns)
            shapes[f"{linear}_{layer}.bias"] = (rows,)
    shapes["decoder.weight"] = (vocab_size, rnn_size)
    shapes["decoder.bias"] = (vocab_size,)
    return shapes


def build(
    model: str,
    vocab_size: int,
    rnn_size: int,
    num_layers: int,
    dropout: float,
    parameters: Array,
    gradients: Array,
    kind: bytes = b"torch.Double",
    names_gates: bool = True,
) -> TorchObject:
    """The nn.gModule of one time step; its weights and gradients are views of two flat storages.

    Args:
        dropout: probability of dropping; 0 builds a graph without nn.Dropout.
        parameters, gradients: shape (P,), in the order of parameter_shapes.
        kind: b"torch.Double" or b"torch.Float".
        names_gates: name the nn.Linear nodes of an lstm, as LSTM.lua does since 20 September 2015.

    Errors: ValueError for vectors of another length.
    """
    make = cell_graphs.NodeMaker(vocab_size, rnn_size, dropout, kind, names_gates)
    cell = {"lstm": cell_graphs.lstm, "gru": cell_graphs.gru, "rnn": cell_graphs.rnn}[model]
    inputs, outputs = cell(make, num_layers)
    module = gmodule(inputs, outputs, kind)
    _share_flat_storages(module, parameters, gradients, kind)
    return module


def criterion(kind: bytes = b"torch.Double") -> TorchObject:
    """The nn.ClassNLLCriterion of a checkpoint before its first use (for float, after conversion)."""
    target_kind = b"torch.Long" if kind == b"torch.Double" else kind
    return TorchObject(
        b"nn.ClassNLLCriterion",
        Table(
            {
                b"output": 0,
                b"output_tensor": Tensor.of_array(np.zeros(1), kind),
                b"total_weight_tensor": Tensor.of_array(np.ones(1), kind),
                b"target": Tensor.of_array(np.zeros(1), target_kind),
                b"gradInput": cell_graphs.empty_tensor(kind),
                b"sizeAverage": True,
                b"ignoreIndex": -100,
            }
        ),
    )


def _share_flat_storages(module: TorchObject, parameters: Array, gradients: Array, kind: bytes) -> None:
    """Give each nn.Linear its part of the flat vectors. Errors: ValueError for vectors of another length."""
    storages = {
        prefix: Storage(kind + b"Storage", np.ascontiguousarray(flat, element_dtype(kind + b"Tensor")))
        for prefix, flat in (("", parameters), ("grad", gradients))
    }
    offset = 0
    for linear in module[b"modules"].values():
        if linear.typename != b"nn.Linear":
            continue
        for name in ("weight", "bias"):
            shape = linear[name.encode()]
            for prefix, storage in storages.items():
                key = (prefix + name.title() if prefix else name).encode()
                linear.fields[key] = Tensor(kind + b"Tensor", storage, shape, offset=offset)
            offset += math.prod(shape)
    if offset != len(parameters) or offset != len(gradients):
        raise ValueError(f"the graph has {offset} parameters, the vectors {len(parameters)} and {len(gradients)}")
