"""A model as an ONNX graph: OneHot, then LSTM, GRU or RNN for each layer, then MatMul, Add and LogSoftmax.

Inputs: `indices` (T, B), token ids, and the states `h` (L, B, H) and, for an lstm, `c`. Outputs: `log_probs` (T, B, V)
in nats, and the next states `next_h` and `next_c`. T and B are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from compat.cells import CELLS
from pycharrnn.common import extras

if TYPE_CHECKING:
    from compat.graph_match import Network
    from compat.t7_objects import Array

# onnxruntime has read these since 2021.
_OPSET, _IR_VERSION = 14, 7
# model -> ONNX's operator, and its attributes besides the size
_OPERATORS = {"lstm": ("LSTM", {}), "gru": ("GRU", {"linear_before_reset": 0}), "rnn": ("RNN", {})}


def onnx_package() -> ModuleType:
    """The package onnx. Errors: UserError if it is not installed."""
    try:
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise extras.missing("an .onnx file", "onnx") from None
    return onnx


def model_bytes(network: Network, tensors: Mapping[str, Array], computed: type, words: Mapping[str, str]) -> bytes:
    """The content of an .onnx file, with `words` as metadata_props. Errors: UserError without the extra.

    The graph casts `tensors`, as of onnx_names.to_onnx, to `computed`, np.float32 or np.float64.
    """
    onnx = onnx_package()
    graph = _Graph(onnx, computed)
    graph.build(network, {name: graph.weights(name, w) for name, w in tensors.items()})
    made = onnx.helper.make_graph(graph.nodes, "char-rnn", graph.inputs, graph.outputs, graph.initializers)
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(made, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="pycharrnn")
    onnx.helper.set_model_props(model, dict(words))
    content: bytes = model.SerializeToString()
    return content


class _Graph:
    def __init__(self, onnx: ModuleType, computed: type):
        self._onnx, self._type = onnx, np.dtype(computed)
        self._onnx_type = onnx.helper.np_dtype_to_tensor_dtype(self._type)
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.initializers: list[Any] = []

    def constant(self, name: str, value: Array) -> str:
        """Add a tensor; returns its name."""
        self.initializers.append(self._onnx.numpy_helper.from_array(value, name))
        return name

    def weights(self, name: str, value: Array) -> str:
        """As constant, cast to the dtype of the graph."""
        self.constant(name, value)
        return name if value.dtype == self._type else self._node("Cast", [name], f"{name}.cast", to=self._onnx_type)

    def build(self, n: Network, weights: Mapping[str, str]) -> None:
        operator, attributes = _OPERATORS[n.model]
        states = CELLS[n.model].states[::-1]  # ONNX's order: h, c
        self._declare(self.inputs, "indices", ["T", "B"], self._onnx.TensorProto.INT64)
        self._declare(self.outputs, "log_probs", ["T", "B", n.vocab_size], self._onnx_type)
        one = self.constant("one", np.array([1], np.int64))
        each = self.constant("one_each", np.ones(n.num_layers, np.int64))
        first, last = {}, {}
        for state in states:
            self._declare(self.inputs, state, [n.num_layers, "B", n.rnn_size], self._onnx_type)
            self._declare(self.outputs, f"next_{state}", [n.num_layers, "B", n.rnn_size], self._onnx_type)
            first[state] = [f"{state}_{layer}" for layer in range(1, n.num_layers + 1)]
            last[state] = [f"next_{name}" for name in first[state]]
            self._node("Split", [state, each], *first[state], axis=0)
        depth = self.constant("vocab_size", np.array(n.vocab_size, np.int64))
        off_on = self.constant("off_on", np.array([0, 1], self._type))
        # ONNX's layers take vectors. In onnxruntime, OneHot took half the time of a Gather from an identity matrix with
        # 100 characters, and two to three times as long with 5,000.
        x = self._node("OneHot", ["indices", depth, off_on], "one_hot")
        for k in range(n.num_layers):
            name = f"layer_{k + 1}"
            inputs = [x, *(weights[f"{name}.{part}"] for part in "WRB"), "", *(first[state][k] for state in states)]
            made = [f"{name}.all_h", *(last[state][k] for state in states)]
            self._node(operator, inputs, *made, hidden_size=n.rnn_size, **attributes)
            x = self._node("Squeeze", [f"{name}.all_h", one], f"{name}.hidden")  # the axis of directions
        product = self._node("MatMul", [x, weights["decoder.weight"]], "product")
        logits = self._node("Add", [product, weights["decoder.bias"]], "logits")
        self._node("LogSoftmax", [logits], "log_probs", axis=-1)
        for state in states:
            self._node("Concat", last[state], f"next_{state}", axis=0)

    def _node(self, operator: str, inputs: list[str], *outputs: str, **attributes: int) -> str:
        """Add a node; returns the name of its first output."""
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def _declare(self, where: list[Any], name: str, shape: list[str | int], kind: int) -> None:
        where.append(self._onnx.helper.make_tensor_value_info(name, kind, shape))
