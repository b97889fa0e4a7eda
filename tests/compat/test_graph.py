"""A graph that computes something else than char-rnn's is refused, however alike it looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import GOLDEN

from compat import CheckpointError, Storage, Table, Tensor, TorchObject, charrnn, load_t7
from compat.graph_expressions import Expressions, describe, node_inputs
from compat.graph_formulas import is_input
from compat.nngraph import parameter_shapes

LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
GRU = GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7"
RNN = GOLDEN / "rnn3" / "lm_rnn3_epoch1.00_3.0075.t7"
MAY = GOLDEN / "legacy_2015-05-28_lstm" / "lm_old_epoch1.00_3.2785.t7"  # of 2015


class Graph:
    """The data tables of the nodes of a recorded checkpoint, to be joined in another way."""

    def __init__(self, path):
        self.table = load_t7(path)
        rnn = self.table[b"protos"][b"rnn"]
        self.outputs = rnn[b"outnode"][b"data"]
        self.nodes = [node[b"data"] for node in rnn[b"forwardnodes"].values()]

    def of(self, typename: bytes) -> list[Table]:
        """The nodes with a module of this class, in the order in which the graph computes them."""
        return [data for data in self.nodes if data.get(b"module") and data[b"module"].typename == typename]

    def read(self) -> charrnn.Network:
        return charrnn.from_table(self.table).network


def join(node: Table, *inputs: Table) -> None:
    node[b"mapindex"] = Table(entry for k, data in enumerate(inputs, 1) for entry in ((k, data), (data, k)))


def inputs(node: Table) -> list[Table]:
    return node[b"mapindex"].as_list()


def test_the_recorded_graphs_are_read():
    for path in (LSTM, GRU, RNN):
        assert Graph(path).read().vocab_size == 73


@pytest.mark.parametrize("path", [LSTM, GRU, RNN, MAY], ids=lambda path: path.parent.name)
def test_weights_are_where_the_docs_say(path):
    """docs/t7.md, for readers that follow no graph."""
    graph = Graph(path)
    linears = [data[b"module"] for data in graph.of(b"nn.Linear")]
    if path is MAY:
        nodes = graph.table[b"protos"][b"softmax"]
        linears += [module for module in nodes[b"modules"].as_list() if module.typename == b"nn.Linear"]
    found = [module[part].numpy() for module in linears for part in (b"weight", b"bias")]
    expected = graph.read().weights
    layer = ["update_i2h", "update_h2h", "candidate_i2h", "reset_i2h", "reset_h2h", "candidate_h2h"]
    layer = layer if path is GRU else ["i2h", "h2h"]
    names = [f"{part}_{k}" for k in range(1, graph.read().num_layers + 1) for part in layer]
    assert list(expected)[::2] == [f"{name}.weight" for name in (*names, "decoder")]
    for weight, want in zip(found, expected.values(), strict=True):
        np.testing.assert_array_equal(weight, want)


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers, units, characters", [(1, 1, 2), (2, 1, 3), (3, 2, 1)])
def test_the_smallest_networks(tmp_path, model, layers, units, characters):
    shapes = parameter_shapes(model, characters, units, layers)
    weights = {name: np.arange(1.0, 1 + math.prod(shape)).reshape(shape) for name, shape in shapes.items()}
    network = charrnn.Network(model, units, layers, characters, 0.0, weights)
    charrnn.save(tmp_path / "c.t7", charrnn.Checkpoint(network, {bytes([97 + k]): k + 1 for k in range(characters)}))
    found = Graph(tmp_path / "c.t7").read()
    assert (found.model, found.rnn_size, found.num_layers, found.vocab_size) == (model, units, layers, characters)
    for name, weight in weights.items():
        np.testing.assert_array_equal(found.weights[name], weight)


def test_a_gru_mixes_with_one_gate():
    """In z*candidate + (1-y)*h, y must be z."""
    graph = Graph(GRU)
    update = inputs(graph.of(b"nn.MulConstant")[0])[0]
    reset = next(data for data in graph.of(b"nn.Sigmoid") if data is not update)
    join(graph.of(b"nn.MulConstant")[0], reset)
    with pytest.raises(CheckpointError, match=r"is not z\*candidate \+ \(1-z\)\*h"):
        graph.read()


def test_an_lstm_puts_out_its_own_cell():
    """In h = o*tanh(c), c must be the cell state of the same layer."""
    graph = Graph(LSTM)
    c1, _, c2, _, _ = inputs(graph.outputs)
    tanh = next(data for data in graph.of(b"nn.Tanh") if inputs(data)[0] is c2)
    join(tanh, c1)
    with pytest.raises(CheckpointError, match=r"hidden state of layer 2 is not o\*tanh\(c\)"):
        graph.read()


@pytest.mark.parametrize("path", [LSTM, GRU, RNN], ids=["lstm", "gru", "rnn"])
def test_the_decoder_reads_the_last_layer(path):
    graph = Graph(path)
    *states, scores = inputs(graph.outputs)
    below = states[1] if path == LSTM else states[0]
    join(inputs(scores)[0], below)
    with pytest.raises(CheckpointError, match="its decoder does not read the hidden state of the last layer"):
        graph.read()


def test_terms_and_factors_may_change_places():
    for path in (LSTM, GRU, RNN):
        graph, want = Graph(path), Graph(path).read()
        for data in graph.of(b"nn.CAddTable") + graph.of(b"nn.CMulTable"):
            join(data, *reversed(inputs(data)))
        found = graph.read()
        assert list(found.weights) == list(want.weights)
        for name, weight in want.weights.items():
            np.testing.assert_array_equal(found.weights[name], weight)


# -- one node after another --------------------------------------------------------------------------------------------


def node(typename: bytes, *sources: Table, **fields) -> Table:
    """The data table of a node with a module of this class, applied to others."""
    data = Table({b"module": TorchObject(typename, Table((key.encode(), value) for key, value in fields.items()))})
    join(data, *sources)
    return data


X = Table()  # the data table of the graph's input


def test_expressions_of_modules():
    of = lambda data: Expressions().of(data)  # noqa: E731
    x = ("input",)
    assert of(node(b"nn.Identity", X)) == x
    assert of(node(b"nn.CAddTable", X, node(b"nn.Tanh", X))) == ("add", x, ("tanh", x))
    assert of(node(b"nn.Dropout", X, p=0, v2=True)) == ("dropout", 0.0, x)
    assert of(node(b"nn.MulConstant", X, constant_scalar=-1)) == ("mulconstant", -1, x)
    size = Storage(b"torch.LongStorage", np.array([4, 16]))
    assert of(node(b"nn.Reshape", X, size=size)) == ("reshape", (4, 16), x)
    part = Table({b"selectindex": 2})
    join(part, X)
    assert of(part) == ("select", 2, x)


def test_an_embedding_makes_the_first_input_one_hot():
    """Until June 2015 the one-hot vector was made outside the graph."""
    expressions = Expressions()
    expressions.embed(TorchObject(b"OneHot", Table({b"outputSize": 7})))
    x, split = ("input",), node(b"nn.SplitTable", X, dimension=2)
    parts = [Table({b"selectindex": k}) for k in (1, 2, 1)]
    for data, source in zip(parts, (X, X, split), strict=True):
        join(data, source)
    assert [expressions.of(data) for data in parts] == [
        ("onehot", 7, ("select", 1, x)),
        ("select", 2, x),
        ("select", 1, ("splittable", 2, x)),
    ]
    softmax = TorchObject(b"nn.Sequential", Table({b"modules": Table.of_list([TorchObject(b"nn.Tanh", Table())] * 2)}))
    assert expressions.apply_all(softmax, x) == ("tanh", ("tanh", x))
    with pytest.raises(CheckpointError, match="its embedding is an nn.Linear, not the OneHot of char-rnn"):
        expressions.embed(TorchObject(b"nn.Linear", Table()))
    with pytest.raises(CheckpointError, match="its softmax is nil, not the nn.Sequential of char-rnn"):
        expressions.apply_all(None, x)


def test_parts_of_parts():
    narrow = lambda x, index, length, dimension=2: node(  # noqa: E731
        b"nn.Narrow", x, dimension=dimension, index=index, length=length
    )
    of = lambda data: Expressions().of(data)  # noqa: E731
    x = ("input",)
    whole = narrow(X, 9, 8)
    assert of(whole) == ("narrow", 2, 9, 8, x)
    assert of(narrow(whole, 1, 8)) == ("narrow", 2, 9, 8, x)
    assert of(narrow(whole, 5, 4)) == ("narrow", 2, 13, 4, x)
    assert of(narrow(node(b"nn.Sigmoid", whole), 5, 4)) == ("sigmoid", ("narrow", 2, 13, 4, x))
    assert of(narrow(whole, 1, 2, dimension=1)) == ("narrow", 1, 1, 2, ("narrow", 2, 9, 8, x))
    for index, length in ((0, 1), (1, 9), (8, 2), (-1, 2)):
        with pytest.raises(CheckpointError, match="an nn.Narrow of its graph reaches beyond its input"):
            of(narrow(whole, index, length))


def test_equal_parts_are_one_expression():
    expressions = Expressions()
    nodes = [node(b"nn.Tanh", node(b"nn.Sigmoid", X)), node(b"nn.Tanh", node(b"nn.Sigmoid", X)), node(b"nn.Tanh", X)]
    first, second, other = [expressions.of(data) for data in nodes]
    assert first is second
    assert other is not first


@pytest.mark.parametrize(
    "data, words",
    [
        (node(b"nn.Sigmoid", X, node(b"nn.Tanh", X)), "its nn.Sigmoid takes 2 inputs"),
        (node(b"nn.Sigmoid"), "its nn.Sigmoid takes 0 inputs"),
        (node(b"nn.ReLU", X), "its graph holds an nn.ReLU, which no char-rnn model has"),
        (node(b"nn.Dropout", X, p=0.5), "of a version that char-rnn never used"),
        (node(b"nn.Dropout", X, p=0.5, v2=1), "of a version that char-rnn never used"),
        (node(b"nn.Dropout", X, p=1, v2=True), "drops with probability 1, which is not in"),
        (node(b"nn.Dropout", X, p=-0.5, v2=True), "drops with probability -0.5"),
        (node(b"nn.Dropout", X, v2=True), "its nn.Dropout has no p"),
        (node(b"nn.MulConstant", X, constant_scalar=True), "has no constant_scalar"),
        (node(b"nn.SplitTable", X, dimension=2.5), "has 2.5 as its dimension"),
        (node(b"nn.Reshape", X, size=b"x"), "its nn.Reshape has no size"),
        (
            node(b"nn.Reshape", X, size=Storage(b"torch.FloatStorage", np.zeros(2))),
            "has torch.FloatStorage as its size",
        ),
        (Table({b"module": b"x", b"mapindex": Table({1: X})}), "a node of its graph applies a string"),
        (Table({b"selectindex": b"x", b"mapindex": Table({1: X})}), "a node of its graph selects a string"),
        (Table({b"selectindex": 1.5, b"mapindex": Table({1: X})}), "a node of its graph selects a number"),
        (Table({b"mapindex": Table({1: X, 2: X})}), "a node without a module takes 2 inputs"),
        (Table({b"mapindex": Table({1: 5})}), "a node of its graph has inputs that are not nodes"),
    ],
)
def test_nodes_that_char_rnn_never_made(data, words):
    with pytest.raises(CheckpointError, match=words):
        Expressions().of(data)


def test_a_cycle():
    first = node(b"nn.Tanh", X)
    second = node(b"nn.Sigmoid", first)
    join(first, second)
    with pytest.raises(CheckpointError, match="its graph has a cycle"):
        Expressions().of(second)


def test_the_number_of_inputs():
    many = [node(b"nn.Tanh", X) for _ in range(17)]
    data = Table()
    join(data, *many[:16])
    assert node_inputs(data) == many[:16]
    join(data, *many)
    with pytest.raises(CheckpointError, match="a node of its graph has 17 inputs"):
        node_inputs(data)
    assert node_inputs(data, 17) == many
    assert node_inputs(Table()) == []


def test_values_in_words():
    assert describe(Table()) == "an empty table"
    table = Table(dict.fromkeys([b"a", b"\n", 3, b" ", b",", b"'", b"g"]))
    assert describe(table) == "a table with a, '\\n', 3, ' ', ',', \"'\""
    assert describe(TorchObject(b"nn.\x1b")) == r"an nn.\x1b"
    assert describe(None) == "nil"


# -- graphs that are almost char-rnn's ---------------------------------------------------------------------------------


def change_field(graph: Graph, typename: bytes, **fields) -> None:
    for data in graph.of(typename):
        data[b"module"].fields.update({key.encode(): value for key, value in fields.items()})


def without_states(graph: Graph) -> None:
    join(graph.outputs, inputs(graph.outputs)[-1])


def without_a_state(graph: Graph) -> None:
    join(graph.outputs, *inputs(graph.outputs)[1:])


def without_the_last_hidden_state(graph: Graph) -> None:
    c1, h1, c2, _, scores = inputs(graph.outputs)
    join(graph.outputs, c1, h1, c2, scores)


def without_softmax(graph: Graph) -> None:
    *states, scores = inputs(graph.outputs)
    join(graph.outputs, *states, inputs(scores)[0])


def softmax_of_a_state(graph: Graph) -> None:
    *states, scores = inputs(graph.outputs)
    join(scores, states[-1])


def layer_reads_its_state_twice(graph: Graph) -> None:
    i2h, h2h = inputs(graph.of(b"nn.CAddTable")[0])
    join(i2h, *inputs(h2h))


def layer_reads_its_input_twice(graph: Graph) -> None:
    i2h, h2h = inputs(graph.of(b"nn.CAddTable")[0])
    join(h2h, *inputs(i2h))


def characters_come_from_another_input(graph: Graph) -> None:
    _, h2h = inputs(next(d for d in graph.of(b"nn.CAddTable") if graph.of(b"OneHot")[0] in inputs(inputs(d)[0])))
    join(graph.of(b"OneHot")[0], *inputs(h2h))


def gate_parts(graph: Graph) -> list[Table]:
    return [inputs(data)[0] for data in graph.of(b"nn.Sigmoid")]


def two_gates_are_one_part(graph: Graph) -> None:
    gate_parts(graph)[0][b"selectindex"] = gate_parts(graph)[1][b"selectindex"]


def a_gate_is_no_part(graph: Graph) -> None:
    gate_parts(graph)[0][b"selectindex"] = 5


def a_gate_of_another_layer(graph: Graph) -> None:
    *_, last = gate_parts(graph)
    first = gate_parts(graph)[0]
    join(last, *inputs(first))


def products_of_a_cell_state(graph: Graph) -> tuple[Table, Table]:
    """The nodes that compute f*c and i*g."""
    cell_state, *_ = inputs(graph.outputs)
    kept, written = inputs(cell_state)
    return kept, written


def a_cell_state_writes_no_candidate(graph: Graph) -> None:
    kept, written = products_of_a_cell_state(graph)
    join(written, *inputs(kept))


def a_cell_state_keeps_nothing(graph: Graph) -> None:
    kept, written = products_of_a_cell_state(graph)
    join(kept, *inputs(written))


@pytest.mark.parametrize(
    "path, change, words",
    [
        (LSTM, without_states, "it has 1 outputs"),
        (LSTM, without_a_state, "unlike in an lstm, gru or rnn"),
        (LSTM, without_the_last_hidden_state, "an lstm with 3 states"),
        (LSTM, without_softmax, "its last output is not the log-softmax of an nn.Linear"),
        (RNN, softmax_of_a_state, "its last output is not the log-softmax of an nn.Linear"),
        (RNN, layer_reads_its_state_twice, "is not made of the layer's input and its previous hidden state"),
        (RNN, layer_reads_its_input_twice, "is not made of the layer's input and its previous hidden state"),
        (RNN, characters_come_from_another_input, "is not made of the layer's input and its previous hidden state"),
        (LSTM, two_gates_are_one_part, "are not the quarters of their sum"),
        (LSTM, a_gate_is_no_part, "a gate of layer . comes from 'select', unlike in an lstm"),
        (LSTM, a_gate_of_another_layer, "are not parts of one sum"),
        (LSTM, a_cell_state_writes_no_candidate, r"is not f\*c \+ i\*g, unlike in an lstm"),
        (LSTM, a_cell_state_keeps_nothing, r"is not f\*c \+ i\*g, unlike in an lstm"),
        (GRU, lambda g: change_field(g, b"nn.AddConstant", constant_scalar=2), r"is not z\*candidate"),
        (GRU, lambda g: change_field(g, b"nn.MulConstant", constant_scalar=-2), r"is not z\*candidate"),
        (GRU, lambda g: change_field(g, b"nn.AddConstant", constant_scalar=True), "has no constant_scalar"),
        (LSTM, lambda g: change_field(g, b"nn.SplitTable", dimension=1), "unlike in an lstm"),
        (
            LSTM,
            lambda g: change_field(g, b"nn.Reshape", size=Storage(b"torch.LongStorage", np.array([4, 8]))),
            "are not the quarters of their sum",
        ),
        (
            LSTM,
            lambda g: change_field(g, b"nn.Reshape", size=Storage(b"torch.LongStorage", np.array([4, 0]))),
            "are not the quarters of their sum",
        ),
        (
            LSTM,
            lambda g: change_field(g, b"nn.Reshape", size=Storage(b"torch.LongStorage", np.array([4, 16, 1]))),
            "unlike in an lstm",
        ),
    ],
    ids=range(20),
)
def test_almost_a_char_rnn(path, change, words):
    graph = Graph(path)
    change(graph)
    with pytest.raises(CheckpointError, match=words):
        graph.read()


def test_parts_of_an_input_are_no_input():
    x = ("input",)
    assert is_input(("select", 2, x), 2)
    assert not is_input(("select", 1, x), 2)
    assert not is_input(("select", 2, ("splittable", 2, x)), 2)


def test_gates_are_equally_wide():
    graph = Graph(next(GOLDEN.glob("legacy_2015-06-14_lstm/*.t7")))
    last = max((data[b"module"] for data in graph.of(b"nn.Narrow")), key=lambda module: module[b"index"])
    graph.read()
    last.fields[b"length"] -= 1
    with pytest.raises(CheckpointError, match="the gates of layer 1 are not parts of one sum"):
        graph.read()


def test_a_layer_drops_out_the_layer_below():
    graph = Graph(next(GOLDEN.glob("lstm3_dropout/*.t7")))
    graph.read()
    join(graph.of(b"nn.Dropout")[0], inputs(graph.outputs)[0])  # of its cell state
    with pytest.raises(CheckpointError, match="is not made of the layer's input and its previous hidden state"):
        graph.read()


# -- the rest of a checkpoint ------------------------------------------------------------------------------------------


def test_the_first_version_counted_bits():
    table = load_t7(next(GOLDEN.glob("legacy_2015-05-21_lstm/*.t7")))
    found = charrnn.from_table(table)
    assert found.val_loss == table[b"val_bpc"] * math.log(2)
    assert found.train_losses.tolist() == [math.log(2) * x for x in table[b"train_bpcs"].as_list()]


def test_weights_have_the_shapes_of_a_network():
    for name, size in ((b"weight", (20, 21)), (b"weight", (19, 20))):
        graph = Graph(RNN)
        h2h = inputs(graph.of(b"nn.CAddTable")[0])[1][b"module"]
        h2h.fields[name] = Tensor.of_array(np.zeros(size))
        h2h.fields[b"bias"] = Tensor.of_array(np.zeros(size[0]))
        with pytest.raises(CheckpointError, match=r"its h2h_1.(weight|bias) is \(.*\), expected \("):
            graph.read()


def test_what_is_not_recorded():
    table = load_t7(RNN)
    for key in (b"i", b"epoch", b"val_loss", b"val_losses", b"train_losses", b"opt"):
        table.pop(key, None)
    found = charrnn.from_table(table)
    assert (found.i, found.epoch, found.val_loss, found.val_losses, found.train_losses.tolist(), found.opt) == (
        0, 0.0, None, {}, [], {}
    )  # fmt: skip


def test_what_is_written():
    found = charrnn.from_table(load_t7(RNN))
    found.val_loss, found.val_losses = 0.0, {20: 1.0, 10: 2.0}
    table = charrnn.to_table(found)
    assert table[b"val_loss"] == 0.0
    assert list(table[b"val_losses"].items()) == [(10, 2.0), (20, 1.0)]
    linear = next(m for m in table[b"protos"][b"rnn"][b"modules"].values() if m.typename == b"nn.Linear")
    assert not linear[b"gradWeight"].storage.data.any() and linear[b"weight"].storage.data.any()
    found.val_loss = None
    assert b"val_loss" not in charrnn.to_table(found)
