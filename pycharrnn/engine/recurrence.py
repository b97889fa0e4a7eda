"""The three cells, LSTM, GRU and RNN: their loops over time, forward and backward, for any array library.

A cell holds one layer's buffers and works in place. Operations that do not depend on the previous step run for all
steps at once, outside the loop. `ops` has the in-place operations of an array library (operations.py).

Source: model/LSTM.lua, GRU.lua and RNN.lua of char-rnn; the backward passes follow from them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic

from pycharrnn.engine.operations import Allocator, Array, ForwardOperations, Operations


class Cell(ABC, Generic[Array]):
    """One layer's recurrence over T time steps of B texts, with H units, and its buffers.

    Attributes:
        num_gates: number of gates and candidates, n.
        input_linears, recurrent_linears: names of the Linear modules for the input and previous state, n*H rows each.
        gates: (T, B, n*H), H columns for each gate. The caller writes the input's share of the pre-activations with all
            biases; `forward` replaces it by the gates.
        h: (T+1, B, H), the hidden states; index 0 is before the first step.
        states: all recurrent states, each as h.
    """

    num_gates: ClassVar[int]
    input_linears: ClassVar[tuple[str, ...]] = ("i2h",)
    recurrent_linears: ClassVar[tuple[str, ...]] = ("h2h",)
    gates: Array
    h: Array
    states: tuple[Array, ...]

    @abstractmethod
    def __init__(self, empty: Allocator[Array], T: int, B: int, H: int): ...

    @abstractmethod
    def forward(self, ops: ForwardOperations[Array], h2h: Array) -> None:
        """Compute all gates and states from `gates`, the states at index 0 and the recurrent weights h2h (n*H, H)."""

    @abstractmethod
    def make_workspace(self, empty: Allocator[Array]) -> tuple[Array, ...]:
        """Buffers for one backward pass, which layers can share."""

    @abstractmethod
    def backward(
        self,
        ops: Operations[Array],
        h2h: Array,
        dh: Array,
        workspace: tuple[Array, ...],
        d_last: Sequence[Array] | None = None,
    ) -> tuple[Array, tuple[Array, ...]]:
        """After forward: the gradients of the pre-activations (T, B, n*H) and of the states at index 0.

        Args:
            dh: (T, B, H), gradient of h[1:] from above; it is overwritten.
            workspace: from `make_workspace`; the returned gradients lie in it, or in dh.
            d_last: gradients (B, H) of the last `states` from later sequences, or None for zeros.
        """

    def recurrent_inputs(self) -> tuple[tuple[slice, Array], ...]:
        """(rows of h2h, the input (T, B, H) that they multiply)..."""
        return ((slice(None), self.h[:-1]),)

    def saved_for_backward(self) -> Array | None:
        """The buffer (T, B, H) that backward reads besides gates and states, if any."""
        return None


class LSTM(Cell[Array]):
    """c' = f*c + i*g, h' = o*tanh(c'), with the gates i, f, o = sigmoid(...) and the candidate g = tanh(...).

    Source: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000.
    """

    num_gates = 4  # i, f, o, g

    def __init__(self, empty: Allocator[Array], T: int, B: int, H: int):
        self.gates = empty(T, B, 4 * H)
        self.c: Array = empty(T + 1, B, H)
        self.h = empty(T + 1, B, H)
        self.tanh_c: Array = empty(T, B, H)
        self.states = (self.c, self.h)
        self._steps: list[tuple[Array, ...]] = []  # views of each step, made once to save time
        for t in range(T):
            gates = self.gates[t]
            i, f, o, g = (gates[:, k * H : (k + 1) * H] for k in range(4))
            c, h, next_c, next_h, tanh_c = self.c[t], self.h[t], self.c[t + 1], self.h[t + 1], self.tanh_c[t]
            self._steps.append((gates, gates[:, : 3 * H], i, f, o, g, c, h, next_c, next_h, tanh_c))

    def forward(self, ops: ForwardOperations[Array], h2h: Array) -> None:
        h2h = h2h.T
        for gates, ifo, i, f, o, g, c, h, next_c, next_h, tanh_c in self._steps:
            ops.addmm_(gates, h, h2h)
            ops.sigmoid(ifo, out=ifo)
            ops.tanh(g, out=g)
            ops.mul(f, c, out=next_c)
            ops.addcmul_(next_c, i, g)
            ops.tanh(next_c, out=tanh_c)
            ops.mul(o, tanh_c, out=next_h)

    def make_workspace(self, empty: Allocator[Array]) -> tuple[Array, ...]:
        T, B, H = self.tanh_c.shape
        return empty(T, B, 4 * H), empty(T, B, H), empty(B, H)

    def backward(
        self,
        ops: Operations[Array],
        h2h: Array,
        dh: Array,
        workspace: tuple[Array, ...],
        d_last: Sequence[Array] | None = None,
    ) -> tuple[Array, tuple[Array, ...]]:
        d_gates, dc_dh, dc = workspace
        T, B, H = dh.shape
        i, f, o, g = (self.gates[:, :, k * H : (k + 1) * H] for k in range(4))
        d = d_gates.reshape(T, B, 4, H)
        # The derivative of c' (for i, f, g) or h' (for o) by each pre-activation, for all steps. The loop multiplies
        # them by the gradients of c' and h'.
        ops.sigmoid_backward(g, i, out=d[:, :, 0])
        ops.sigmoid_backward(self.c[:T], f, out=d[:, :, 1])
        ops.sigmoid_backward(self.tanh_c, o, out=d[:, :, 2])
        ops.tanh_backward(i, g, out=d[:, :, 3])
        ops.tanh_backward(o, self.tanh_c, out=dc_dh)
        if d_last is None:
            dc[:] = 0
        else:
            dc[:] = d_last[0]
            dh[T - 1] += d_last[1]
        dc_row = dc[:, None]
        for t in range(T - 1, -1, -1):
            dh_t, d_t = dh[t], d[t]
            ops.addcmul_(dc, dh_t, dc_dh[t])
            ops.mul_(d_t[:, :2], dc_row)
            ops.mul_(d_t[:, 2], dh_t)
            ops.mul_(d_t[:, 3], dc)
            ops.mul_(dc, f[t])
            if t:
                ops.addmm_(dh[t - 1], d_gates[t], h2h)
        return d_gates, (dc, d_gates[0] @ h2h)

    def saved_for_backward(self) -> Array:
        return self.tanh_c


class GRU(Cell[Array]):
    """h' = z*candidate + (1-z)*h, with the gates z, r = sigmoid(...) and candidate = tanh(W x + U (r*h)).

    The reset gate r acts before the product with U; that of cuDNN and torch.nn acts after it.
    Source: Chung et al. 2014, arXiv:1412.3555, as char-rnn writes it.
    """

    num_gates = 3  # z (update), r (reset), candidate
    input_linears = ("update_i2h", "reset_i2h", "candidate_i2h")
    recurrent_linears = ("update_h2h", "reset_h2h", "candidate_h2h")

    def __init__(self, empty: Allocator[Array], T: int, B: int, H: int):
        self.gates = empty(T, B, 3 * H)
        self.h = empty(T + 1, B, H)
        self.reset_h: Array = empty(T, B, H)
        self.states = (self.h,)
        self._steps: list[tuple[Array, ...]] = []
        for t in range(T):
            zr, candidate = self.gates[t][:, : 2 * H], self.gates[t][:, 2 * H :]
            step = (zr, candidate, zr[:, :H], zr[:, H:], self.h[t], self.reset_h[t], self.h[t + 1])
            self._steps.append(step)

    def forward(self, ops: ForwardOperations[Array], h2h: Array) -> None:
        H = self.h.shape[2]
        gates_h2h, candidate_h2h = h2h[: 2 * H].T, h2h[2 * H :].T
        for zr, candidate, z, r, h, reset_h, next_h in self._steps:
            ops.addmm_(zr, h, gates_h2h)
            ops.sigmoid(zr, out=zr)
            ops.mul(r, h, out=reset_h)
            ops.addmm_(candidate, reset_h, candidate_h2h)
            ops.tanh(candidate, out=candidate)
            ops.lerp(h, candidate, z, out=next_h)

    def make_workspace(self, empty: Allocator[Array]) -> tuple[Array, ...]:
        T, B, H = self.reset_h.shape
        return empty(T, B, 3 * H), empty(T, B, H), empty(B, H)

    def backward(
        self,
        ops: Operations[Array],
        h2h: Array,
        dh: Array,
        workspace: tuple[Array, ...],
        d_last: Sequence[Array] | None = None,
    ) -> tuple[Array, tuple[Array, ...]]:
        d_gates, not_z, d_reset_h = workspace
        T, B, H = dh.shape
        gates_h2h, candidate_h2h = h2h[: 2 * H], h2h[2 * H :]
        z, r, candidate = (self.gates[:, :, k * H : (k + 1) * H] for k in range(3))
        d_z, d_r, d_candidate = (d_gates[:, :, k * H : (k + 1) * H] for k in range(3))
        # The derivative of h' (for z, candidate) or r*h (for r) by each pre-activation, for all steps. The loop
        # multiplies them by the gradients of h' and r*h.
        ops.sub(candidate, self.h[:T], out=not_z)
        ops.sigmoid_backward(not_z, z, out=d_z)
        ops.sigmoid_backward(self.h[:T], r, out=d_r)
        ops.tanh_backward(z, candidate, out=d_candidate)
        ops.sub(1, z, out=not_z)
        if d_last is not None:
            dh[T - 1] += d_last[0]
        for t in range(T - 1, -1, -1):
            dh_t = dh[t]
            ops.mul_(d_z[t], dh_t)
            ops.mul_(d_candidate[t], dh_t)
            ops.mm(d_candidate[t], candidate_h2h, out=d_reset_h)
            ops.mul_(d_r[t], d_reset_h)
            ops.mul_(dh_t, not_z[t])  # from here on the gradient of the previous h
            ops.addcmul_(dh_t, d_reset_h, r[t])
            ops.addmm_(dh_t, d_gates[t][:, : 2 * H], gates_h2h)
            if t:
                dh[t - 1] += dh_t
        return d_gates, (dh[0],)

    def recurrent_inputs(self) -> tuple[tuple[slice, Array], ...]:
        H = self.h.shape[2]
        return (slice(0, 2 * H), self.h[:-1]), (slice(2 * H, 3 * H), self.reset_h)

    def saved_for_backward(self) -> Array:
        return self.reset_h


class RNN(Cell[Array]):
    """h' = tanh(W x + U h). Source: Elman 1990."""

    num_gates = 1

    def __init__(self, empty: Allocator[Array], T: int, B: int, H: int):
        self.gates = empty(T, B, H)
        self.h = empty(T + 1, B, H)
        self.states = (self.h,)
        self._steps: list[tuple[Array, ...]] = [(self.gates[t], self.h[t], self.h[t + 1]) for t in range(T)]

    def forward(self, ops: ForwardOperations[Array], h2h: Array) -> None:
        """`gates` stay the pre-activations."""
        h2h = h2h.T
        for gates, h, next_h in self._steps:
            ops.addmm_(gates, h, h2h)
            ops.tanh(gates, out=next_h)

    def make_workspace(self, empty: Allocator[Array]) -> tuple[Array, ...]:
        return (empty(*self.gates.shape),)

    def backward(
        self,
        ops: Operations[Array],
        h2h: Array,
        dh: Array,
        workspace: tuple[Array, ...],
        d_last: Sequence[Array] | None = None,
    ) -> tuple[Array, tuple[Array, ...]]:
        (d_gates,) = workspace
        T = len(dh)
        if d_last is not None:
            dh[T - 1] += d_last[0]
        for t in range(T - 1, -1, -1):
            ops.tanh_backward(dh[t], self.h[t + 1], out=d_gates[t])
            if t:
                ops.addmm_(dh[t - 1], d_gates[t], h2h)
        return d_gates, (d_gates[0] @ h2h,)


CELLS: dict[str, type[Cell[Any]]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
