"""A graph that computes something else than char-rnn's is refused, however alike it looks."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import GOLDEN

from compat import CheckpointError, Table, charrnn, load_t7

LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
GRU = GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7"
RNN = GOLDEN / "rnn3" / "lm_rnn3_epoch1.00_3.0075.t7"


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
