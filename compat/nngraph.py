"""The graph of modules that char-rnn builds for one time step of an lstm, gru or rnn, as Torch7 objects.

The Lua programs run a checkpoint by walking the graph inside it, so a checkpoint must hold all of it: the nodes as
they were made (each a module and its inputs), the graph of them from the output (`bg`), its reverse (`fg`), and both
in topological order. Node numbers, edge order and parameter order all follow from the order of the calls below.

Source: model/LSTM.lua, GRU.lua and RNN.lua of char-rnn; gmodule.lua and node.lua of nngraph; init.lua and Node.lua
of the graph package.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compat.t7_objects import Storage, Table, Tensor, TorchObject, element_dtype

MODELS = ("lstm", "gru", "rnn")

# The nn.Linear modules of a layer in flat order, which is the order of the graph's forwardnodes.
_LAYER_LINEARS = {
    "lstm": ("i2h", "h2h"),
    "gru": ("update_i2h", "update_h2h", "candidate_i2h", "reset_i2h", "reset_h2h", "candidate_h2h"),
    "rnn": ("i2h", "h2h"),
}
STATES_PER_LAYER = {"lstm": 2, "gru": 1, "rnn": 1}
_BLOCK = 1 << 20  # numbers of the identity matrix that are made at a time
_GATES_PER_LINEAR = {"lstm": 4, "gru": 1, "rnn": 1}


def parameter_shapes(model: str, vocab_size: int, rnn_size: int, num_layers: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every weight and bias, in the order in which they lie in the flat parameter vector.

    Weights are (out, in), row-major. In an lstm the 4H rows are the gates in, forget, out and the candidate.

    Example:
        >>> parameter_shapes("rnn", 65, 128, 1)["i2h_1.weight"]
        (128, 65)
    """
    rows = _GATES_PER_LINEAR[model] * rnn_size
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(1, num_layers + 1):
        for linear in _LAYER_LINEARS[model]:
            columns = vocab_size if layer == 1 and linear.endswith("i2h") else rnn_size
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
    parameters: np.ndarray,
    gradients: np.ndarray,
    kind: bytes = b"torch.Double",
) -> TorchObject:
    """The nn.gModule of one time step, its weights and gradients being views of two flat storages.

    Args:
        model: "lstm", "gru" or "rnn".
        dropout: probability of dropping, 0 for no nn.Dropout in the graph.
        parameters, gradients: shape (P,), in the order of parameter_shapes.
        kind: b"torch.Double" or b"torch.Float", the precision of all tensors.
    """
    step = _Step(vocab_size, rnn_size, dropout, kind)
    inputs, outputs = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}[model](step, num_layers)
    module = _gmodule(inputs, outputs, kind)
    _share_flat_storages(module, parameters, gradients, kind)
    return module


def criterion(kind: bytes = b"torch.Double") -> TorchObject:
    """The nn.ClassNLLCriterion of a checkpoint, as it is before its first use (and, in float, after conversion)."""
    target_kind = b"torch.Long" if kind == b"torch.Double" else kind
    return TorchObject(
        b"nn.ClassNLLCriterion",
        Table(
            {
                b"output": 0,
                b"output_tensor": Tensor.of_array(np.zeros(1), kind),
                b"total_weight_tensor": Tensor.of_array(np.ones(1), kind),
                b"target": Tensor.of_array(np.zeros(1), target_kind),
                b"gradInput": _empty(kind),
                b"sizeAverage": True,
                b"ignoreIndex": -100,
            }
        ),
    )


# -- the three models ------------------------------------------------------------------------------------------------


def _lstm(step: _Step, num_layers: int):
    step.source = b"./model/LSTM.lua"
    inputs = [step.identity(8)]
    for _ in range(num_layers):
        inputs += [step.identity(10), step.identity(11)]  # previous c, previous h
    outputs: list[TorchObject] = []
    for layer in range(num_layers):
        previous_c, previous_h = inputs[2 * layer + 1], inputs[2 * layer + 2]
        x = step.onehot(22, inputs[0]) if layer == 0 else step.dropped(26, outputs[-1])
        i2h = step.linear(30, 4 * step.rnn_size, x, name=f"i2h_{layer + 1}")
        h2h = step.linear(31, 4 * step.rnn_size, previous_h, name=f"h2h_{layer + 1}")
        sums = step.module(32, b"nn.CAddTable", [i2h, h2h])
        gates = step.module(35, b"nn.SplitTable", [step.reshape(34, sums)], dimension=2)
        n1, n2, n3, n4 = _split(gates, 4, step.place(35))
        in_gate = step.module(37, b"nn.Sigmoid", [n1])
        forget_gate = step.module(38, b"nn.Sigmoid", [n2])
        out_gate = step.module(39, b"nn.Sigmoid", [n3])
        candidate = step.module(41, b"nn.Tanh", [n4])
        kept = step.module(44, b"nn.CMulTable", [forget_gate, previous_c])
        written = step.module(45, b"nn.CMulTable", [in_gate, candidate])
        next_c = step.module(43, b"nn.CAddTable", [kept, written])
        next_h = step.module(48, b"nn.CMulTable", [out_gate, step.module(48, b"nn.Tanh", [next_c])])
        outputs += [next_c, next_h]
    top = step.dropped(56, outputs[-1])
    return inputs, [*outputs, step.decoder(57, 58, top, name="decoder")]


def _gru(step: _Step, num_layers: int):
    step.source = b"./model/GRU.lua"
    inputs = [step.identity(12)] + [step.identity(14) for _ in range(num_layers)]
    outputs: list[TorchObject] = []
    for layer in range(num_layers):
        previous_h = inputs[layer + 1]
        x = step.onehot(30, inputs[0]) if layer == 0 else step.dropped(34, outputs[-1])

        def gate(line: int, x=x, h=previous_h) -> TorchObject:
            sums = [step.linear(18, step.rnn_size, x), step.linear(19, step.rnn_size, h)]
            return step.module(line, b"nn.Sigmoid", [step.module(line, b"nn.CAddTable", sums)])

        update_gate, reset_gate = gate(39), gate(40)
        gated_h = step.module(42, b"nn.CMulTable", [reset_gate, previous_h])
        h2h = step.linear(43, step.rnn_size, gated_h)
        i2h = step.linear(44, step.rnn_size, x)
        candidate = step.module(45, b"nn.Tanh", [step.module(45, b"nn.CAddTable", [i2h, h2h])])
        written = step.module(47, b"nn.CMulTable", [update_gate, candidate])
        negated = step.module(48, b"nn.MulConstant", [update_gate], constant_scalar=-1, inplace=False)
        rest = step.module(48, b"nn.AddConstant", [negated], constant_scalar=1, inplace=False)
        kept = step.module(48, b"nn.CMulTable", [rest, previous_h])
        outputs.append(step.module(49, b"nn.CAddTable", [written, kept]))
    return inputs, [*outputs, step.decoder(56, 57, step.dropped(55, outputs[-1]))]


def _rnn(step: _Step, num_layers: int):
    step.source = b"./model/RNN.lua"
    inputs = [step.identity(7)] + [step.identity(9) for _ in range(num_layers)]
    outputs: list[TorchObject] = []
    for layer in range(num_layers):
        x = step.onehot(19, inputs[0]) if layer == 0 else step.dropped(23, outputs[-1])
        i2h = step.linear(28, step.rnn_size, x)
        h2h = step.linear(29, step.rnn_size, inputs[layer + 1])
        outputs.append(step.module(30, b"nn.Tanh", [step.module(30, b"nn.CAddTable", [i2h, h2h])]))
    return inputs, [*outputs, step.decoder(37, 38, step.dropped(36, outputs[-1]))]


class _Step:
    """Makes nodes. Each carries the line of char-rnn that made it, as nngraph's debug label does."""

    def __init__(self, vocab_size: int, rnn_size: int, dropout: float, kind: bytes):
        self.vocab_size, self.rnn_size, self.dropout, self.kind = vocab_size, rnn_size, dropout, kind
        self.source = b""
        self._widths: dict[int, int] = {}  # id(node) -> number of columns of what it puts out

    def place(self, line: int) -> bytes:
        return b"[%s]:%d" % (self.source, line)

    def module(self, line: int, typename: bytes, inputs: list[TorchObject], annotations=None, **fields) -> TorchObject:
        """A node with a fresh module of class `typename` applied to `inputs`."""
        tables = typename in (b"nn.CAddTable", b"nn.CMulTable")  # their gradient is a table, one entry an input
        all_fields = Table({b"_type": self.kind + b"Tensor", b"output": _empty(self.kind)})
        all_fields[b"gradInput"] = Table() if tables else _empty(self.kind)
        all_fields.update({key.encode(): value for key, value in fields.items()})
        labels = Table({b"_debugLabel": self.place(line) + b"_", **(annotations or {})})
        node = _node({b"module": TorchObject(typename, all_fields), b"annotations": labels})
        for source in inputs:
            _feed(node, source)
        return node

    def identity(self, line: int) -> TorchObject:
        return self.module(line, b"nn.Identity", [])

    def onehot(self, line: int, x: TorchObject) -> TorchObject:
        eye = Tensor(self.kind + b"Tensor", _Identity(self.kind, self.vocab_size), (self.vocab_size,) * 2)
        node = self.module(line, b"OneHot", [x], outputSize=self.vocab_size, _eye=eye)
        self._widths[id(node)] = self.vocab_size
        return node

    def dropped(self, line: int, x: TorchObject) -> TorchObject:
        if not self.dropout:
            return x
        options = {"p": self.dropout, "v2": True, "train": True, "stochastic_inference": False}
        return self.module(line, b"nn.Dropout", [x], noise=_empty(self.kind), **options)

    def linear(self, line: int, rows: int, x: TorchObject, name: str | None = None) -> TorchObject:
        """Weights are set by _share_flat_storages, once their order is known."""
        shape = (rows, self._widths.get(id(x), self.rnn_size))
        annotations = {b"name": name.encode()} if name else None
        return self.module(line, b"nn.Linear", [x], annotations, weight=shape, bias=shape[:1])

    def reshape(self, line: int, x: TorchObject) -> TorchObject:
        size = np.array([4, self.rnn_size], "<i8")
        batch_size = np.array([1, 4, self.rnn_size], "<i8")  # the first is set when the module runs
        return self.module(
            line,
            b"nn.Reshape",
            [x],
            size=Storage(b"torch.LongStorage", size),
            batchsize=Storage(b"torch.LongStorage", batch_size),
            nelement=4 * self.rnn_size,
        )

    def decoder(self, line: int, softmax_line: int, top: TorchObject, name: str | None = None) -> TorchObject:
        scores = self.linear(line, self.vocab_size, top, name)
        return self.module(softmax_line, b"nn.LogSoftMax", [scores])


class _Identity(Storage):
    """The identity matrix, row by row, made while it is written: no part of a model with many characters is larger."""

    def __init__(self, kind: bytes, size: int):
        self.typename, self.version, self._size = kind + b"Storage", 1, size

    def __len__(self) -> int:
        return self._size**2

    @property
    def data(self) -> np.ndarray:
        return np.concatenate(list(self.blocks()))

    def blocks(self) -> Iterator[np.ndarray]:
        rows = max(_BLOCK // self._size, 1)
        for start in range(0, self._size, rows):
            yield np.eye(min(rows, self._size - start), self._size, start).reshape(-1)


def _empty(kind: bytes) -> Tensor:
    return Tensor(kind + b"Tensor", None)


# -- nodes -----------------------------------------------------------------------------------------------------------


def _node(data: dict) -> TorchObject:
    """An nngraph.Node. Several nodes can share one data table; a dict makes a new one."""
    if not isinstance(data, Table):
        data = Table(data)
        data.setdefault(b"annotations", Table({b"_debugLabel": b"[[C]]:-1_"}))
        data[b"mapindex"], data[b"reverseMap"] = Table(), Table()
    fields = {b"data": data, b"id": 0, b"children": Table(), b"visited": False, b"marked": False}
    return TorchObject(b"nngraph.Node", Table(fields))


def _add_child(node: TorchObject, child: TorchObject) -> None:
    _append(node[b"children"], child)


def _append(table: Table, value) -> None:
    """Lua's way to keep a list and find places in it: table[n] = value, table[value] = n."""
    if value not in table:
        n = len(table) // 2 + 1
        table[n] = value
        table[value] = n


def _feed(node: TorchObject, source: TorchObject) -> None:
    """Make `source` the next input of `node`."""
    _add_child(node, source)
    _append(node[b"data"][b"mapindex"], source[b"data"])
    source[b"data"][b"reverseMap"][node] = True


def _split(node: TorchObject, n: int, place: bytes) -> list[TorchObject]:
    """Nodes for each of the n parts of the table that `node` puts out."""
    label = node[b"data"][b"annotations"][b"_debugLabel"]
    middle_label = Table({b"_debugLabel": label + b" split at " + place + b"-mnode"})
    middle = _node({b"nSplitOutputs": n, b"annotations": middle_label})
    _feed(middle, node)
    parts = []
    for i in range(1, n + 1):
        part_label = Table({b"_debugLabel": label + b"-%d" % i})
        part = _node({b"selectindex": i, b"input": Table(), b"annotations": part_label})
        _feed(part, middle)
        parts.append(part)
    return parts


# -- graphs ----------------------------------------------------------------------------------------------------------


class _Graph:
    """A graph.Graph: edges and nodes in the order in which they were added."""

    def __init__(self):
        self.nodes, self.edges = Table(), Table()
        self.pairs: list[tuple[TorchObject, TorchObject]] = []

    def add(self, start: TorchObject, end: TorchObject) -> None:
        edge = TorchObject(b"graph.Edge", Table({b"from": start, b"to": end}))
        _append(self.edges, edge)
        _append(self.nodes, start)
        _append(self.nodes, end)
        _add_child(start, end)
        start.fields[b"id"], end.fields[b"id"] = self.nodes[start], self.nodes[end]
        self.pairs.append((start, end))

    def reversed(self) -> _Graph:
        """Every edge turned round, between new nodes that share the data of the old."""
        twins: dict[TorchObject, TorchObject] = {}
        out = _Graph()
        for start, end in self.pairs:
            for node in (start, end):
                if node not in twins:
                    twins[node] = _node(node[b"data"])
            out.add(twins[end], twins[start])
        return out

    def sorted_nodes(self) -> Table:
        """Topological order: the nodes as a depth-first walk against the edges leaves them, last node first."""
        before: dict[TorchObject, list[TorchObject]] = {}
        for start, end in self.pairs:
            before.setdefault(end, []).append(start)
        (sink,) = {end for _, end in self.pairs} - {start for start, _ in self.pairs}
        done, order, path = {sink}, [], [(sink, iter(before[sink]))]
        while path:
            node, rest = path[-1]
            following = next((n for n in rest if n not in done), None)
            if following is None:
                order.append(node)
                path.pop()
            else:
                done.add(following)
                path.append((following, iter(before.get(following, ()))))
        return Table.of_list(order)

    def as_object(self) -> TorchObject:
        return TorchObject(b"graph.Graph", Table({b"nodes": self.nodes, b"edges": self.edges}))


def _graph_below(root: TorchObject) -> _Graph:
    """All edges from node to child, breadth first from `root`."""
    graph, queue, met = _Graph(), [root], {root}
    for node in queue:
        for child in node[b"children"].as_list():
            graph.add(node, child)
            if child not in met:
                met.add(child)
                queue.append(child)
    return graph


def _gmodule(inputs: list[TorchObject], outputs: list[TorchObject], kind: bytes) -> TorchObject:
    """nn.gModule(inputs, outputs)."""
    outnode, innode = _node({b"input": Table()}), _node({b"input": Table()})
    for node in outputs:
        _feed(outnode, node)
    for node, part in zip(inputs, _split(innode, len(inputs), b"[./nngraph/gmodule.lua]:96"), strict=True):
        _feed(node, part)
    backward = _graph_below(outnode)
    forward = backward.reversed()
    forward_nodes = forward.sorted_nodes()
    modules = []
    for node in forward_nodes.values():
        node[b"data"][b"forwardNodeId"] = node[b"id"]
        if b"module" in node[b"data"]:
            modules.append(node[b"data"][b"module"])
    fields = {
        b"_type": kind + b"Tensor",
        b"modules": Table.of_list(modules),
        b"bg": backward.as_object(),
        b"fg": forward.as_object(),
        b"innode": forward_nodes[1],
        b"outnode": outnode,
        b"forwardnodes": forward_nodes,
        b"backwardnodes": backward.sorted_nodes(),
        b"output": outnode[b"data"][b"input"],
        b"nInputs": len(inputs),
        b"verbose": False,
    }
    return TorchObject(b"nn.gModule", Table(fields))


def _share_flat_storages(module: TorchObject, parameters: np.ndarray, gradients: np.ndarray, kind: bytes) -> None:
    """Give every nn.Linear its part of the two flat vectors, in the order of the modules."""
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
            offset += int(np.prod(shape))
    if offset != len(parameters) or offset != len(gradients):
        raise ValueError(f"the graph has {offset} parameters, the vectors {len(parameters)} and {len(gradients)}")
