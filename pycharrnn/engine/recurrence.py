"""The three cells, LSTM, GRU and RNN: their loops over time, forward and backward, for any array library.

A cell holds one layer's buffers and works in place. Operations that do not depend on the previous step run for all
steps at once, outside the loop. `ops` has the in-place operations of an array library (operations.py).

Where an item begins, a step reads zeros instead of the states before it, and no gradient goes to them: `keep` (T, B, 1)
is 0 there and 1 elsewhere, or None if no item begins.

Source: model/LSTM.lua, GRU.lua and RNN.lua of char-rnn; the backward passes follow from them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic

from compat.cells import CELLS, CellFacts
from pycharrnn.engine.operations import Allocator, Array, ForwardOperations, Operations


class Cell(ABC, Generic[Array]):
    """One layer's recurrence over T time steps of B texts, with H units, and its buffers.

    Attributes:
        facts: its n gates and candidates, and the Linear modules for the input and previous state, n*H rows each.
        gates: (T, B, n*H), H columns for each gate. The caller writes the input's share of the pre-activations with all
            biases; `forward` replaces it by the gates.
        h: (T+1, B, H), the hidden states; index 0 is before the first step.
        states: all recurrent states, each as h.
        read: those that the steps of the last `forward` read, (T, B, H) each: states[:-1], or zeros where items begin.
    """

    facts: ClassVar[CellFacts]
    gates: Array
    h: Array
    states: tuple[Array, ...]
    read: tuple[Array, ...]

    @abstractmethod
    def __init__(self, empty: Allocator[Array], T: int, B: int, H: int): ...

    def _add_states(self, empty: Allocator[Array], *states: Array) -> None:
        self.states = states
        self._all_kept: tuple[Array, ...] = tuple(state[:-1] for state in states)
        self._kept: tuple[Array, ...] = ()
        self._empty: Allocator[Array] = empty
        self.read = self._all_kept

    def _begin(self, keep: Array | None) -> None:
        """Set `read`: without items that begin, views of the states, else buffers that each step fills."""
        if keep is not None and not self._kept:
            self._kept = tuple(self._empty(*state.shape) for state in self._all_kept)
        self.read = self._all_kept if keep is None else self._kept

    def _states_at(self, ops: ForwardOperations[Array], t: int, keep: Array) -> tuple[Array, ...]:
        """The states that step t reads."""
        found = tuple(read[t] for read in self.read)
        for state, to in zip(self.states, found, strict=True):
            ops.mul(state[t], keep[t], out=to)
        return found

    def _begin_backward(self, ops: ForwardOperations[Array], keep: Array | None) -> None:
        """Take over the states at index 0, which the caller may have changed since `forward`."""
        if keep is not None:
            self._states_at(ops, 0, keep)

    @abstractmethod
    def forward(self, ops: ForwardOperations[Array], h2h: Array, keep: Array | None = None) -> None:
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
        keep: Array | None = None,
    ) -> tuple[Array, tuple[Array, ...]]:
        """After forward: the gradients of the pre-activations (T, B, n*H) and of the states at index 0.

        Args:
            dh: (T, B, H), gradient of h[1:] from above; it is overwritten.
            workspace: from `make_workspace`; the returned gradients lie in it, or in dh.
            d_last: gradients (B, H) of the last `states` from later sequences, or None for zeros.
            keep: that of `forward`.
        """

    def recurrent_inputs(self) -> tuple[tuple[slice, Array], ...]:
        """(rows of h2h, the input (T, B, H) that they multiply)..."""
        return ((slice(None), self.read[-1]),)

    def saved_for_backward(self) -> Array | None:
        """The buffer (T, B, H) that backward reads besides gates and states, if any."""
        return None


class LSTM(Cell[Array]):
    """c' = f*c + i*g, h' = o*tanh(c'), with the gates i, f, o = sigmoid(...) and the candidate g = tanh(...).

    Source: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000.
    """

    facts = CELLS["lstm"]

    def __init__(self, empty: Allocator[Array], T: int, B: int, H: int):
        self.gates = empty(T, B, 4 * H)
        self.c: Array = empty(T + 1, B, H)
        self.h = empty(T + 1, B, H)
        self.tanh_c: Array = empty(T, B, H)
        self._add_states(empty, self.c, self.h)
        self._steps: list[tuple[Array, ...]] = []  # views of each step, made once to save time
        for t in range(T):
            gates = self.gates[t]
            i, f, o, g = (gates[:, k * H : (k + 1) * H] for k in range(4))
            c, h, next_c, next_h, tanh_c = self.c[t], self.h[t], self.c[t + 1], self.h[t + 1], self.tanh_c[t]
            self._steps.append((gates, gates[:, : 3 * H], i, f, o, g, c, h, next_c, next_h, tanh_c))

    def forward(self, ops: ForwardOperations[Array], h2h: Array, keep: Array | None = None) -> None:
        h2h = h2h.T
        self._begin(keep)
        for t, (gates, ifo, i, f, o, g, c, h, next_c, next_h, tanh_c) in enumerate(self._steps):
            if keep is not None:
                c, h = self._states_at(ops, t, keep)
            ops.addmm_(gates, h, h2h)
            ops.sigmoid(ifo, out=ifo)
            ops.tanh(g, out=g)
            ops.mul(f, c, out=next_c)
            ops.addcmul_(next_c, i, g)
            ops.tanh(next_c, out=tanh_c)
            ops.mul(o, tanh_c, out=next_h)

    def make_workspace(self, empty: Allocator[Array]) -> tuple[Array, ...]:
        T, B, H = self.tanh_c.shape
        return empty(T, B, 4 * H), empty(T, B, H), empty(B, H), empty(B, 4 * H)

    def backward(
        self,
        ops: Operations[Array],
        h2h: Array,
        dh: Array,
        workspace: tuple[Array, ...],
        d_last: Sequence[Array] | None = None,
        keep: Array | None = None,
    ) -> tuple[Array, tuple[Array, ...]]:
        self._begin_backward(ops, keep)
        d_gates, dc_dh, dc, kept = workspace
        T, B, H = dh.shape
        i, f, o, g = (self.gates[:, :, k * H : (k + 1) * H] for k in range(4))
        d = d_gates.reshape(T, B, 4, H)
        # The derivative of c' (for i, f, g) or h' (for o) by each pre-activation, for all steps. The loop multiplies
        # them by the gradients of c' and h'.
        ops.sigmoid_backward(g, i, out=d[:, :, 0])
        ops.sigmoid_backward(self.read[0], f, out=d[:, :, 1])
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
            to_h = d_gates[t]
            if keep is not None:
                ops.mul_(dc, keep[t])
                ops.mul(to_h, keep[t], out=kept)
                to_h = kept
            if t:
                ops.addmm_(dh[t - 1], to_h, h2h)
        return d_gates, (dc, to_h @ h2h)

    def saved_for_backward(self) -> Array:
        return self.tanh_c


class GRU(Cell[Array]):
    """h' = z*candidate + (1-z)*h, with the gates z, r = sigmoid(...) and candidate = tanh(W x + U (r*h)).

    The reset gate r acts before the product with U; that of cuDNN and torch.nn acts after it.
    Source: Chung et al. 2014, arXiv:1412.3555, as char-rnn writes it.
    """

    facts = CELLS["gru"]

    def __init__(self, empty: Allocator[Array], T: int, B: int, H: int):
        self.gates = empty(T, B, 3 * H)
        self.h = empty(T + 1, B, H)
        self.reset_h: Array = empty(T, B, H)
        self._add_states(empty, self.h)
        self._steps: list[tuple[Array, ...]] = []
        for t in range(T):
            zr, candidate = self.gates[t][:, : 2 * H], self.gates[t][:, 2 * H :]
            step = (zr, candidate, zr[:, :H], zr[:, H:], self.h[t], self.reset_h[t], self.h[t + 1])
            self._steps.append(step)

    def forward(self, ops: ForwardOperations[Array], h2h: Array, keep: Array | None = None) -> None:
        H = self.h.shape[2]
        gates_h2h, candidate_h2h = h2h[: 2 * H].T, h2h[2 * H :].T
        self._begin(keep)
        for t, (zr, candidate, z, r, h, reset_h, next_h) in enumerate(self._steps):
            if keep is not None:
                (h,) = self._states_at(ops, t, keep)
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
        keep: Array | None = None,
    ) -> tuple[Array, tuple[Array, ...]]:
        self._begin_backward(ops, keep)
        d_gates, not_z, d_reset_h = workspace
        T, B, H = dh.shape
        gates_h2h, candidate_h2h = h2h[: 2 * H], h2h[2 * H :]
        z, r, candidate = (self.gates[:, :, k * H : (k + 1) * H] for k in range(3))
        d_z, d_r, d_candidate = (d_gates[:, :, k * H : (k + 1) * H] for k in range(3))
        # The derivative of h' (for z, candidate) or r*h (for r) by each pre-activation, for all steps. The loop
        # multiplies them by the gradients of h' and r*h.
        (h,) = self.read
        ops.sub(candidate, h, out=not_z)
        ops.sigmoid_backward(not_z, z, out=d_z)
        ops.sigmoid_backward(h, r, out=d_r)
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
            if keep is not None:
                ops.mul_(dh_t, keep[t])
            if t:
                dh[t - 1] += dh_t
        return d_gates, (dh[0],)

    def recurrent_inputs(self) -> tuple[tuple[slice, Array], ...]:
        H = self.h.shape[2]
        return (slice(0, 2 * H), self.read[0]), (slice(2 * H, 3 * H), self.reset_h)

    def saved_for_backward(self) -> Array:
        return self.reset_h


class RNN(Cell[Array]):
    """h' = tanh(W x + U h). Source: Elman 1990."""

    facts = CELLS["rnn"]

    def __init__(self, empty: Allocator[Array], T: int, B: int, H: int):
        self.gates = empty(T, B, H)
        self.h = empty(T + 1, B, H)
        self._add_states(empty, self.h)
        self._steps: list[tuple[Array, ...]] = [(self.gates[t], self.h[t], self.h[t + 1]) for t in range(T)]

    def forward(self, ops: ForwardOperations[Array], h2h: Array, keep: Array | None = None) -> None:
        """`gates` stay the pre-activations."""
        h2h = h2h.T
        self._begin(keep)
        for t, (gates, h, next_h) in enumerate(self._steps):
            if keep is not None:
                (h,) = self._states_at(ops, t, keep)
            ops.addmm_(gates, h, h2h)
            ops.tanh(gates, out=next_h)

    def make_workspace(self, empty: Allocator[Array]) -> tuple[Array, ...]:
        T, B, H = self.gates.shape
        return empty(T, B, H), empty(B, H)

    def backward(
        self,
        ops: Operations[Array],
        h2h: Array,
        dh: Array,
        workspace: tuple[Array, ...],
        d_last: Sequence[Array] | None = None,
        keep: Array | None = None,
    ) -> tuple[Array, tuple[Array, ...]]:
        self._begin_backward(ops, keep)
        d_gates, kept = workspace
        T = len(dh)
        if d_last is not None:
            dh[T - 1] += d_last[0]
        for t in range(T - 1, -1, -1):
            ops.tanh_backward(dh[t], self.h[t + 1], out=d_gates[t])
            to_h = d_gates[t]
            if keep is not None:
                ops.mul(to_h, keep[t], out=kept)
                to_h = kept
            if t:
                ops.addmm_(dh[t - 1], to_h, h2h)
        return d_gates, (to_h @ h2h,)


CELL_CLASSES: dict[str, type[Cell[Any]]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
