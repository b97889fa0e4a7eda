"""Makes the nodes of one time step of an lstm, gru or rnn. Source: model/LSTM.lua, GRU.lua and RNN.lua of char-rnn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from compat.graph_nodes import add_input, new_node, split
from compat.t7_objects import Storage, Table, Tensor, TorchObject

if TYPE_CHECKING:
    from compat.t7_objects import Array

_BLOCK = 1 << 20  # numbers of the identity matrix that are made at a time


def lstm(make: NodeMaker, num_layers: int) -> tuple[list[TorchObject], list[TorchObject]]:
    """The input nodes (character, previous c and h of each layer) and the output nodes (c and h of each, scores)."""
    make.source = b"./model/LSTM.lua"
    inputs = [make.identity(8)]
    for _ in range(num_layers):
        inputs += [make.identity(10), make.identity(11)]  # previous c, previous h
    outputs: list[TorchObject] = []
    for layer in range(num_layers):
        previous_c, previous_h = inputs[2 * layer + 1], inputs[2 * layer + 2]
        x = make.onehot(22, inputs[0]) if layer == 0 else make.dropout_of(26, outputs[-1])
        i2h = make.linear(30, 4 * make.rnn_size, x, name=f"i2h_{layer + 1}")
        h2h = make.linear(31, 4 * make.rnn_size, previous_h, name=f"h2h_{layer + 1}")
        sums = make.node(32, b"nn.CAddTable", [i2h, h2h])
        gates = make.node(35, b"nn.SplitTable", [make.reshape(34, sums)], dimension=2)
        n1, n2, n3, n4 = split(gates, 4, make.place(35))
        in_gate = make.node(37, b"nn.Sigmoid", [n1])
        forget_gate = make.node(38, b"nn.Sigmoid", [n2])
        out_gate = make.node(39, b"nn.Sigmoid", [n3])
        candidate = make.node(41, b"nn.Tanh", [n4])
        kept = make.node(44, b"nn.CMulTable", [forget_gate, previous_c])
        written = make.node(45, b"nn.CMulTable", [in_gate, candidate])
        next_c = make.node(43, b"nn.CAddTable", [kept, written])
        next_h = make.node(48, b"nn.CMulTable", [out_gate, make.node(48, b"nn.Tanh", [next_c])])
        outputs += [next_c, next_h]
    top = make.dropout_of(56, outputs[-1])
    return inputs, [*outputs, make.decoder(57, 58, top, name="decoder")]


def gru(make: NodeMaker, num_layers: int) -> tuple[list[TorchObject], list[TorchObject]]:
    """As lstm, without c."""
    make.source = b"./model/GRU.lua"
    inputs = [make.identity(12)] + [make.identity(14) for _ in range(num_layers)]
    outputs: list[TorchObject] = []
    for layer in range(num_layers):
        previous_h = inputs[layer + 1]
        x = make.onehot(30, inputs[0]) if layer == 0 else make.dropout_of(34, outputs[-1])

        def gate(line: int, x: TorchObject = x, h: TorchObject = previous_h) -> TorchObject:
            sums = [make.linear(18, make.rnn_size, x), make.linear(19, make.rnn_size, h)]
            return make.node(line, b"nn.Sigmoid", [make.node(line, b"nn.CAddTable", sums)])

        update_gate, reset_gate = gate(39), gate(40)
        gated_h = make.node(42, b"nn.CMulTable", [reset_gate, previous_h])
        h2h = make.linear(43, make.rnn_size, gated_h)
        i2h = make.linear(44, make.rnn_size, x)
        candidate = make.node(45, b"nn.Tanh", [make.node(45, b"nn.CAddTable", [i2h, h2h])])
        written = make.node(47, b"nn.CMulTable", [update_gate, candidate])
        negated = make.node(48, b"nn.MulConstant", [update_gate], constant_scalar=-1, inplace=False)
        rest = make.node(48, b"nn.AddConstant", [negated], constant_scalar=1, inplace=False)
        kept = make.node(48, b"nn.CMulTable", [rest, previous_h])
        outputs.append(make.node(49, b"nn.CAddTable", [written, kept]))
    return inputs, [*outputs, make.decoder(56, 57, make.dropout_of(55, outputs[-1]))]


def rnn(make: NodeMaker, num_layers: int) -> tuple[list[TorchObject], list[TorchObject]]:
    """As lstm, without c."""
    make.source = b"./model/RNN.lua"
    inputs = [make.identity(7)] + [make.identity(9) for _ in range(num_layers)]
    outputs: list[TorchObject] = []
    for layer in range(num_layers):
        x = make.onehot(19, inputs[0]) if layer == 0 else make.dropout_of(23, outputs[-1])
        i2h = make.linear(28, make.rnn_size, x)
        h2h = make.linear(29, make.rnn_size, inputs[layer + 1])
        outputs.append(make.node(30, b"nn.Tanh", [make.node(30, b"nn.CAddTable", [i2h, h2h])]))
    return inputs, [*outputs, make.decoder(37, 38, make.dropout_of(36, outputs[-1]))]


class NodeMaker:
    """Makes nodes with one module each, and char-rnn's file and line number as nngraph's debug label.

    Args:
        dropout: probability of dropping; 0 makes no nn.Dropout.
        kind: b"torch.Double" or b"torch.Float".
        names: give the nodes the names of the source.
    """

    def __init__(self, vocab_size: int, rnn_size: int, dropout: float, kind: bytes, names: bool = True):
        self.vocab_size, self.rnn_size, self.dropout, self.kind = vocab_size, rnn_size, dropout, kind
        self.names = names
        self.source = b""
        self._widths: dict[int, int] = {}  # id(node) -> columns of its output

    def place(self, line: int) -> bytes:
        """The debug label of a line of the source."""
        return b"[%s]:%d" % (self.source, line)

    def node(
        self,
        line: int,
        typename: bytes,
        inputs: list[TorchObject],
        annotations: dict[bytes, bytes] | None = None,
        **fields: object,
    ) -> TorchObject:
        tables = typename in (b"nn.CAddTable", b"nn.CMulTable")  # their gradient is a table, an entry per input
        all_fields = Table({b"_type": self.kind + b"Tensor", b"output": empty_tensor(self.kind)})
        all_fields[b"gradInput"] = Table() if tables else empty_tensor(self.kind)
        all_fields.update({key.encode(): value for key, value in fields.items()})
        labels = Table({b"_debugLabel": self.place(line) + b"_", **(annotations or {})})
        node = new_node({b"module": TorchObject(typename, all_fields), b"annotations": labels})
        for source in inputs:
            add_input(node, source)
        return node

    def identity(self, line: int) -> TorchObject:
        return self.node(line, b"nn.Identity", [])

    def onehot(self, line: int, x: TorchObject) -> TorchObject:
        """Characters, numbers from 1, as rows of the identity matrix."""
        eye = Tensor(self.kind + b"Tensor", _IdentityMatrix(self.kind, self.vocab_size), (self.vocab_size,) * 2)
        node = self.node(line, b"OneHot", [x], outputSize=self.vocab_size, _eye=eye)
        self._widths[id(node)] = self.vocab_size
        return node

    def dropout_of(self, line: int, x: TorchObject) -> TorchObject:
        """nn.Dropout of `x`; `x` itself without dropout."""
        if not self.dropout:
            return x
        return self.node(
            line,
            b"nn.Dropout",
            [x],
            noise=empty_tensor(self.kind),
            p=self.dropout,
            v2=True,
            train=True,
            stochastic_inference=False,
        )

    def linear(self, line: int, rows: int, x: TorchObject, name: str | None = None) -> TorchObject:
        """An nn.Linear of x; nngraph.build sets its weights."""
        shape = (rows, self._widths.get(id(x), self.rnn_size))
        annotations = {b"name": name.encode()} if name and self.names else None
        return self.node(line, b"nn.Linear", [x], annotations, weight=shape, bias=shape[:1])

    def reshape(self, line: int, x: TorchObject) -> TorchObject:
        """The pre-activations of an lstm's gates, (B, 4H) -> (B, 4, H)."""
        size = np.array([4, self.rnn_size], "<i8")
        batch_size = np.array([1, 4, self.rnn_size], "<i8")  # the module sets the first when it runs
        return self.node(
            line,
            b"nn.Reshape",
            [x],
            size=Storage(b"torch.LongStorage", size),
            batchsize=Storage(b"torch.LongStorage", batch_size),
            nelement=4 * self.rnn_size,
        )

    def decoder(self, line: int, softmax_line: int, top: TorchObject, name: str | None = None) -> TorchObject:
        """The log-probabilities of the next character, from the last layer's hidden state."""
        scores = self.linear(line, self.vocab_size, top, name)
        return self.node(softmax_line, b"nn.LogSoftMax", [scores])


class _IdentityMatrix(Storage):
    """The identity matrix, computed while it is written: with many characters it is the largest part of a file."""

    def __init__(self, kind: bytes, size: int):
        self.typename, self.version, self._size = kind + b"Storage", 1, size

    def __len__(self) -> int:
        return self._size**2

    @property
    def data(self) -> Array:  # type: ignore[override]  # an attribute of Storage, which is never set here
        return np.concatenate(list(self.blocks()))

    def blocks(self) -> Iterator[Array]:
        rows = max(_BLOCK // self._size, 1)
        for start in range(0, self._size, rows):
            yield np.eye(min(rows, self._size - start), self._size, start).reshape(-1)


def empty_tensor(kind: bytes) -> Tensor:
    """A tensor without storage. `kind`: b"torch.Double" or b"torch.Float"."""
    return Tensor(kind + b"Tensor", None)
