"""The facts of char-rnn's cells, lstm, gru and rnn: gates, states and nn.Linear modules of one layer."""

from __future__ import annotations

from typing import NamedTuple


class CellFacts(NamedTuple):
    """One layer of a model.

    Attributes:
        in_words: the model with its article.
        gates: gates and candidates, in the order of their rows, H each.
        num_direct_gates: the first of them, which multiply h itself by recurrent weights; a GRU's candidate multiplies
            h times the reset gate.
        states: recurrent states, in the order of the module graph.
        linears: the nn.Linear modules in the order of the flat vector, which is that of the graph's forwardnodes.
        input_linears, recurrent_linears: the same for the input and for h, in the order of the gates.
        saved: what the backward pass reads besides gates and states; "" for nothing.
    """

    in_words: str
    gates: tuple[str, ...]
    num_direct_gates: int
    states: tuple[str, ...]
    linears: tuple[str, ...]
    input_linears: tuple[str, ...]
    recurrent_linears: tuple[str, ...]
    saved: str

    @property
    def gates_per_linear(self) -> int:
        """Gates that one nn.Linear computes."""
        return len(self.gates) // len(self.input_linears)


CELLS: dict[str, CellFacts] = {
    "lstm": CellFacts(
        in_words="an lstm",
        gates=("in", "forget", "out", "candidate"),
        num_direct_gates=4,
        states=("c", "h"),
        linears=("i2h", "h2h"),
        input_linears=("i2h",),
        recurrent_linears=("h2h",),
        saved="tanh(c)",
    ),
    "gru": CellFacts(
        in_words="a gru",
        gates=("update", "reset", "candidate"),
        num_direct_gates=2,
        states=("h",),
        linears=("update_i2h", "update_h2h", "candidate_i2h", "reset_i2h", "reset_h2h", "candidate_h2h"),
        input_linears=("update_i2h", "reset_i2h", "candidate_i2h"),
        recurrent_linears=("update_h2h", "reset_h2h", "candidate_h2h"),
        saved="reset*h",
    ),
    "rnn": CellFacts(
        in_words="an rnn",
        gates=("candidate",),
        num_direct_gates=1,
        states=("h",),
        linears=("i2h", "h2h"),
        input_linears=("i2h",),
        recurrent_linears=("h2h",),
        saved="",
    ),
}
MODELS = tuple(CELLS)
