"""Finds which char-rnn network an nn.gModule computes, and its weights, by following the graph.

The forget gate is the sigmoid that multiplies the previous cell state, whatever the place or name of its module. So all
versions of char-rnn are read alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from compat.cells import CELLS
from compat.graph_expressions import CheckpointError, Expression, Expressions, describe, node_inputs
from compat.graph_formulas import factors_of, gate_part, is_candidate, is_gate, is_input, is_one_minus_gate, product_of
from compat.t7_objects import Table, TorchObject
from compat.weights import WeightReader

if TYPE_CHECKING:
    from compat.graph_formulas import Test
    from compat.t7_objects import Array

_MOST_OUTPUTS = 1 << 20  # of a graph: the states of its layers


@dataclass(frozen=True)
class Network:
    """A char-rnn model with its weights; `follow` returns views of the checkpoint's storages.

    Attributes:
        weights: name -> array, as nngraph.parameter_shapes.
        tensor_type: class of the weights in the file: "torch.CudaTensor".
        end_id: token id of the end of an item, before which the states are zero; None for a model of a text.
            charrnn.Checkpoint sets it.
    """

    model: str
    rnn_size: int
    num_layers: int
    vocab_size: int
    dropout: float
    weights: dict[str, Array]
    tensor_type: str = "torch.DoubleTensor"
    end_id: int | None = None

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum(w.size for w in self.weights.values())

    def is_finite(self) -> bool:
        return all(bool(np.isfinite(w).all()) for w in self.weights.values())


def follow(protos: Table) -> Network:
    """The network that the modules of a checkpoint compute. Errors: CheckpointError.

    `protos` has the nn.gModule `rnn`; until June 2015 also `embed`, which makes one-hot vectors, and `softmax`.
    """
    module = protos.get(b"rnn")
    if not isinstance(module, TorchObject) or module.typename != b"nn.gModule":
        raise CheckpointError(f"its model is {describe(module)}, not the nn.gModule that char-rnn builds")
    outnode = module.get(b"outnode")
    if not isinstance(outnode, TorchObject) or not isinstance(outnode.get(b"data"), Table):
        raise CheckpointError("its nn.gModule has no output node")
    expressions = Expressions()
    if b"embed" in protos:
        expressions.embed(protos[b"embed"])
    outputs = [expressions.of(data) for data in node_inputs(outnode[b"data"], _MOST_OUTPUTS)]
    if b"softmax" in protos and outputs:
        outputs.append(expressions.apply_all(protos[b"softmax"], outputs[-1]))
    return _Matcher(expressions).network(outputs)


class _Matcher:
    """Compares expressions with the formulas of the three cells, and collects the weights."""

    def __init__(self, expressions: Expressions):
        self.linears = expressions.linears
        self.dropout = 0.0
        self._weights: dict[str, Array] = {}
        self._reader = WeightReader()

    def network(self, outputs: list[Expression]) -> Network:
        if len(outputs) < 2:
            raise CheckpointError(f"it has {len(outputs)} outputs; char-rnn's has the states and the log-probabilities")
        # Until June 2015 dropout applied to the hidden state itself; without dropout, as in sampling, that is the same.
        *states, scores = [self._without_dropout(output) for output in outputs]
        model = self._model(states)
        per_layer = len(CELLS[model].states)
        if len(states) % per_layer:
            raise CheckpointError(f"{CELLS[model].in_words} with {len(states)} states")
        match_layer = {"lstm": self._lstm, "gru": self._gru, "rnn": self._rnn}[model]
        below = None
        for layer in range(1, len(states) // per_layer + 1):
            layer_states = states[(layer - 1) * per_layer : layer * per_layer]
            previous = [1 + (layer - 1) * per_layer + k for k in range(1, per_layer + 1)]  # inputs of the graph
            match_layer(layer, layer_states, previous, _LayerInput(self, below))
            below = layer_states[-1]
        if scores[0] != "logsoftmax" or scores[1][0] != "linear":
            raise CheckpointError("its last output is not the log-softmax of an nn.Linear")
        _, decoder, top = scores[1]
        if self._without_dropout(top) is not below:
            raise CheckpointError("its decoder does not read the hidden state of the last layer")
        self._store("decoder", decoder)
        vocab_size, rnn_size = self._weights["decoder.weight"].shape
        layers = len(states) // per_layer
        return Network(model, rnn_size, layers, vocab_size, self.dropout, self._weights, self._tensor_type)

    def _model(self, states: list[Expression]) -> str:
        """The model, by its first state: rnn tanh(...), gru z*candidate + (1-z)*h, lstm f*c + i*g."""
        first = states[0]
        if first[0] == "tanh":
            return "rnn"
        if first[0] == "add" and len(first) == 3 and all(term[0] == "mul" for term in first[1:]):
            factors = [factor[0] for term in first[1:] for factor in term[1:]]
            return "gru" if "addconstant" in factors else "lstm"
        raise CheckpointError(f"its first state comes from '{first[0]}', unlike in an lstm, gru or rnn")

    def _without_dropout(self, expression: Expression) -> Expression:
        """The input of an nn.Dropout, or `expression` itself; records the probability."""
        if expression[0] != "dropout":
            return expression
        _, p, x = expression
        self.dropout = float(p)
        dropped: Expression = x
        return dropped

    def _sum_of_products(self, expression: Expression, x: _LayerInput, is_state: Test, what: str) -> tuple[int, int]:
        """The two nn.Linear that `expression` adds, (of the layer's input, of the state). Errors: CheckpointError."""
        if expression[0] != "add" or len(expression) != 3:
            raise CheckpointError(f"its {what} is not the sum of two nn.Linear")
        for a, b in permutations(expression[1:]):
            a, b = product_of(a, what), product_of(b, what)
            if x.matches(a[2]) and is_state(b[2]):
                return a[1], b[1]
        raise CheckpointError(f"its {what} is not made of the layer's input and its previous hidden state")

    def _store(self, name: str, linear: int, gates: list[int] | None = None) -> None:
        """Read the weights of an nn.Linear; `gates` is the order of the quarters of its rows."""
        module = self.linears[linear]
        weight = self._reader.read(module, b"weight", (None, None))
        bias = self._reader.read(module, b"bias", weight.shape[:1])
        self._tensor_type = module[b"weight"].typename.decode()
        for part, array in (("weight", weight), ("bias", bias)):
            self._weights[f"{name}.{part}"] = array if gates in (None, [0, 1, 2, 3]) else _rearranged(array, gates)

    # -- the cells -------------------------------------------------------------------------------------------------

    def _rnn(self, layer: int, states: list[Expression], previous: list[int], x: _LayerInput) -> None:
        """h' = tanh(i2h(x) + h2h(h))"""
        (h,) = states
        if h[0] != "tanh":
            raise CheckpointError(f"the state of layer {layer} comes from '{h[0]}', unlike in an rnn")
        i2h, h2h = self._sum_of_products(h[1], x, lambda e: is_input(e, previous[0]), f"layer {layer}")
        self._store(f"i2h_{layer}", i2h)
        self._store(f"h2h_{layer}", h2h)

    def _gru(self, layer: int, states: list[Expression], previous: list[int], x: _LayerInput) -> None:
        """h' = z*candidate + (1 + -1*z)*h, candidate = tanh(i2h(x) + h2h(r*h))"""
        where = f"layer {layer}"

        def is_h(e: Expression) -> bool:
            return is_input(e, previous[0])

        if states[0][0] != "add" or len(states[0]) != 3:
            raise CheckpointError(f"the state of {where} is not a sum of two, unlike in a gru")
        for written, kept in permutations(states[0][1:]):
            new = factors_of(written, is_gate, is_candidate)
            old = factors_of(kept, is_one_minus_gate, is_h)
            if new and old and old[0][2][2] is new[0]:  # both have the same update gate z
                break
        else:
            raise CheckpointError(f"the state of {where} is not z*candidate + (1-z)*h, unlike in a gru")
        update, candidate = new
        z_i2h, z_h2h = self._sum_of_products(update[1], x, is_h, f"update gate of {where}")
        self._store(f"update_i2h_{layer}", z_i2h)
        self._store(f"update_h2h_{layer}", z_h2h)
        reset: list[Expression] = []

        def is_reset_state(e: Expression) -> bool:
            factors = factors_of(e, is_gate, is_h)
            if factors:
                reset.append(factors[0])
            return factors is not None

        i2h, h2h = self._sum_of_products(candidate[1], x, is_reset_state, f"candidate of {where}")
        self._store(f"candidate_i2h_{layer}", i2h)
        r_i2h, r_h2h = self._sum_of_products(reset[-1][1], x, is_h, f"reset gate of {where}")
        self._store(f"reset_i2h_{layer}", r_i2h)
        self._store(f"reset_h2h_{layer}", r_h2h)
        self._store(f"candidate_h2h_{layer}", h2h)

    def _lstm(self, layer: int, states: list[Expression], previous: list[int], x: _LayerInput) -> None:
        """c' = f*c + i*g, h' = o*tanh(c'); the gates are parts of i2h(x) + h2h(h)"""
        where = f"layer {layer}"
        next_c, next_h = states

        def is_c(e: Expression) -> bool:
            return is_input(e, previous[0])

        def is_h(e: Expression) -> bool:
            return is_input(e, previous[1])

        if next_c[0] != "add" or len(next_c) != 3:
            raise CheckpointError(f"the cell state of {where} is not a sum of two, unlike in an lstm")
        for kept, written in permutations(next_c[1:]):
            old = factors_of(kept, is_gate, is_c)
            new = factors_of(written, is_gate, is_candidate)
            if old and new:
                break
        else:
            raise CheckpointError(f"the cell state of {where} is not f*c + i*g, unlike in an lstm")
        out = factors_of(next_h, is_gate, lambda e: e[0] == "tanh" and e[1] is next_c)
        if not out:
            raise CheckpointError(f"the hidden state of {where} is not o*tanh(c), unlike in an lstm")
        parts = [gate_part(gate[1], where) for gate in (new[0], old[0], out[0], new[1])]  # i, f, o, g
        if any(sums is not parts[0][0] for sums, _, _ in parts) or len({size for _, _, size in parts}) != 1:
            raise CheckpointError(f"the gates of {where} are not parts of one sum")
        i2h, h2h = self._sum_of_products(parts[0][0], x, is_h, f"gates of {where}")
        size = parts[0][2]
        if size < 1 or sorted(start for _, start, _ in parts) != [0, size, 2 * size, 3 * size]:
            raise CheckpointError(f"the gates of {where} are not the quarters of their sum")
        gates = [start // size for _, start, _ in parts]
        for name, linear in ((f"i2h_{layer}", i2h), (f"h2h_{layer}", h2h)):
            self._store(name, linear, gates)
            if len(self._weights[f"{name}.bias"]) != 4 * size:
                raise CheckpointError(f"the gates of {where} are not the quarters of their sum")


def _rearranged(array: Array, quarters: list[int]) -> Array:
    size = len(array) // 4
    return np.concatenate([array[k * size : (k + 1) * size] for k in quarters])


class _LayerInput:
    """The input of a layer: the one-hot character or the hidden state below, with or without dropout."""

    def __init__(self, matcher: _Matcher, below: Expression | None):
        self.matcher, self.below = matcher, below

    def matches(self, expression: Expression) -> bool:
        if self.below is None:
            return expression[0] == "onehot" and is_input(expression[2], 1)
        if expression[0] == "dropout" and expression[2] is self.below:
            self.matcher.dropout = float(expression[1])
            return True
        return expression is self.below
