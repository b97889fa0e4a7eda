"""The time loops: each cell once, forward and backward, for any array library.

A cell object holds one layer's buffers for a sequence of T time steps, B texts side by side, H units, and works in
place. What does not depend on the step before is done for all steps at once, outside the loop. Pre-activations lie in
`gates` (T, B, n*H), one block of H columns a gate; the caller fills them with the input's share and the biases.

`ops` names the few in-place operations that differ between libraries: numpy_ops below lets sampling do without
PyTorch, bptt.torch_ops serves training on any device. Everything else is written so that both understand it.

Source: model/LSTM.lua, GRU.lua and RNN.lua of char-rnn; the backward passes follow from them.
"""

from __future__ import annotations

import numpy as np


class numpy_ops:
    """In-place operations on NumPy arrays: what the forward loops need."""

    multiply = staticmethod(np.multiply)
    tanh = staticmethod(np.tanh)

    @staticmethod
    def add_product(out, a, b):
        """out += a @ b"""
        out += a @ b

    @staticmethod
    def add_multiplied(out, a, b):
        """out += a * b"""
        out += a * b

    @staticmethod
    def sigmoid(x, out):
        """1 / (1 + exp(-x)); an exp that overflows is a gate that is shut."""
        exp = np.negative(x)  # all in one piece, where `out` is a few columns of each row: twice as fast
        with np.errstate(over="ignore"):
            np.exp(exp, out=exp)
        exp += 1
        np.reciprocal(exp, out=out)

    @staticmethod
    def mix(share, a, b, out):
        """share*a + (1-share)*b"""
        np.subtract(a, b, out=out)
        out *= share
        out += b


class LSTM:
    """c' = f*c + i*g, h' = o*tanh(c'), with the gates i, f, o = sigmoid(...) and the candidate g = tanh(...).

    Source: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000.
    """

    blocks = 4  # i, f, o, g
    input_linears = ("i2h",)
    recurrent_linears = ("h2h",)
    kept = "tanh_c"  # what backward needs besides gates and states

    def __init__(self, empty, T: int, B: int, H: int):
        """`empty(*shape)` makes an uninitialised array."""
        self.gates = empty(T, B, 4 * H)
        self.c, self.h = empty(T + 1, B, H), empty(T + 1, B, H)  # index 0: before the first step
        self.tanh_c = empty(T, B, H)
        self.states = (self.c, self.h)
        self._steps = []
        for t in range(T):
            gates = self.gates[t]
            i, f, o, g = (gates[:, k * H : (k + 1) * H] for k in range(4))
            step = (gates, gates[:, : 3 * H], i, f, o, g, self.c[t], self.h[t], self.c[t + 1], self.h[t + 1])
            self._steps.append((*step, self.tanh_c[t]))

    def forward(self, ops, h2h) -> None:
        """From gates, c[0], h[0] to c, h. `h2h`: (4H, H)."""
        h2h = h2h.T
        for gates, ifo, i, f, o, g, c, h, next_c, next_h, tanh_c in self._steps:
            ops.add_product(gates, h, h2h)
            ops.sigmoid(ifo, out=ifo)
            ops.tanh(g, out=g)
            ops.multiply(f, c, out=next_c)
            ops.add_multiplied(next_c, i, g)
            ops.tanh(next_c, out=tanh_c)
            ops.multiply(o, tanh_c, out=next_h)

    def scratch(self, empty):
        """Buffers that one backward pass needs and all layers can share."""
        T, B, H = self.tanh_c.shape
        return empty(T, B, 4 * H), empty(T, B, H), empty(B, H)

    def backward(self, ops, h2h, dh, scratch, d_last=None):
        """Gradient of the pre-activations (T, B, 4H), in scratch, and of the first states c[0], h[0].

        Args:
            dh: (T, B, H), gradient of h[1:] that comes from above; changed.
            d_last: gradients (B, H) of the last c and h from beyond this sequence, or None for zeros.
        """
        d_gates, dc_dh, dc = scratch
        T, B, H = dh.shape
        i, f, o, g = (self.gates[:, :, k * H : (k + 1) * H] for k in range(4))
        d = d_gates.reshape(T, B, 4, H)
        # How each pre-activation moves c' (i, f, g) or h' (o), for all steps; the loop multiplies by dc and dh.
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
            ops.add_multiplied(dc, dh_t, dc_dh[t])
            d_t[:, :2] *= dc_row
            d_t[:, 2] *= dh_t
            d_t[:, 3] *= dc
            dc *= f[t]
            if t:
                ops.add_product(dh[t - 1], d_gates[t], h2h)
        return d_gates, (dc, d_gates[0] @ h2h)

    def recurrent_inputs(self):
        """(rows of h2h, what they were multiplied with (T, B, H))."""
        return ((slice(None), self.h[:-1]),)


class GRU:
    """h' = z*candidate + (1-z)*h, candidate = tanh(W x + U (r*h)): the reset gate acts before the product.

    Source: Chung et al. 2014, arXiv:1412.3555, as char-rnn writes it.
    """

    blocks = 3  # z (update), r (reset), candidate
    input_linears = ("update_i2h", "reset_i2h", "candidate_i2h")
    recurrent_linears = ("update_h2h", "reset_h2h", "candidate_h2h")
    kept = "reset_h"

    def __init__(self, empty, T: int, B: int, H: int):
        """`empty(*shape)` makes an uninitialised array."""
        self.gates = empty(T, B, 3 * H)
        self.h = empty(T + 1, B, H)  # index 0: before the first step
        self.reset_h = empty(T, B, H)
        self.states = (self.h,)
        self._steps = []
        for t in range(T):
            zr, candidate = self.gates[t][:, : 2 * H], self.gates[t][:, 2 * H :]
            step = (zr, candidate, zr[:, :H], zr[:, H:], self.h[t], self.reset_h[t], self.h[t + 1])
            self._steps.append(step)

    def forward(self, ops, h2h) -> None:
        """From gates and h[0] to h. `h2h`: (3H, H), rows z, r, candidate."""
        H = self.h.shape[2]
        gates_h2h, candidate_h2h = h2h[: 2 * H].T, h2h[2 * H :].T
        for zr, candidate, z, r, h, reset_h, next_h in self._steps:
            ops.add_product(zr, h, gates_h2h)
            ops.sigmoid(zr, out=zr)
            ops.multiply(r, h, out=reset_h)
            ops.add_product(candidate, reset_h, candidate_h2h)
            ops.tanh(candidate, out=candidate)
            ops.mix(z, candidate, h, out=next_h)

    def scratch(self, empty):
        """Buffers that one backward pass needs and all layers can share."""
        T, B, H = self.reset_h.shape
        return empty(T, B, 3 * H), empty(T, B, H), empty(B, H)

    def backward(self, ops, h2h, dh, scratch, d_last=None):
        """Gradient of the pre-activations (T, B, 3H), in scratch, and of the first state h[0].

        Args:
            dh: (T, B, H), gradient of h[1:] that comes from above; changed.
            d_last: gradient (B, H) of the last h from beyond this sequence, in a tuple, or None for zeros.
        """
        d_gates, kept, d_reset_h = scratch
        T, B, H = dh.shape
        gates_h2h, candidate_h2h = h2h[: 2 * H], h2h[2 * H :]
        z, r, candidate = (self.gates[:, :, k * H : (k + 1) * H] for k in range(3))
        d_z, d_r, d_candidate = (d_gates[:, :, k * H : (k + 1) * H] for k in range(3))
        # How each pre-activation moves h' (z, candidate) or r*h (r), for all steps; the loop multiplies by the rest.
        ops.subtract(candidate, self.h[:T], out=kept)
        ops.sigmoid_backward(kept, z, out=d_z)
        ops.sigmoid_backward(self.h[:T], r, out=d_r)
        ops.tanh_backward(z, candidate, out=d_candidate)
        ops.subtract(1, z, out=kept)
        if d_last is not None:
            dh[T - 1] += d_last[0]
        for t in range(T - 1, -1, -1):
            dh_t = dh[t]
            d_z[t] *= dh_t
            d_candidate[t] *= dh_t
            ops.product(d_candidate[t], candidate_h2h, out=d_reset_h)
            d_r[t] *= d_reset_h
            dh_t *= kept[t]  # from here on: the gradient of the h before
            ops.add_multiplied(dh_t, d_reset_h, r[t])
            ops.add_product(dh_t, d_gates[t][:, : 2 * H], gates_h2h)
            if t:
                dh[t - 1] += dh_t
        return d_gates, (dh[0],)

    def recurrent_inputs(self):
        """(rows of h2h, what they were multiplied with (T, B, H))."""
        H = self.h.shape[2]
        return (slice(0, 2 * H), self.h[:-1]), (slice(2 * H, 3 * H), self.reset_h)


class RNN:
    """h' = tanh(W x + U h). Source: Elman 1990."""

    blocks = 1
    input_linears = ("i2h",)
    recurrent_linears = ("h2h",)
    kept = ""

    def __init__(self, empty, T: int, B: int, H: int):
        """`empty(*shape)` makes an uninitialised array."""
        self.gates = empty(T, B, H)
        self.h = empty(T + 1, B, H)  # index 0: before the first step
        self.states = (self.h,)
        self._steps = [(self.gates[t], self.h[t], self.h[t + 1]) for t in range(T)]

    def forward(self, ops, h2h) -> None:
        """From gates and h[0] to h. `h2h`: (H, H)."""
        h2h = h2h.T
        for gates, h, next_h in self._steps:
            ops.add_product(gates, h, h2h)
            ops.tanh(gates, out=next_h)

    def scratch(self, empty):
        """Buffers that one backward pass needs and all layers can share."""
        return (empty(*self.gates.shape),)

    def backward(self, ops, h2h, dh, scratch, d_last=None):
        """Gradient of the pre-activations (T, B, H), in scratch, and of the first state h[0].

        Args:
            dh: (T, B, H), gradient of h[1:] that comes from above; changed.
            d_last: gradient (B, H) of the last h from beyond this sequence, in a tuple, or None for zeros.
        """
        (d_gates,) = scratch
        T = len(dh)
        if d_last is not None:
            dh[T - 1] += d_last[0]
        for t in range(T - 1, -1, -1):
            ops.tanh_backward(dh[t], self.h[t + 1], out=d_gates[t])
            if t:
                ops.add_product(dh[t - 1], d_gates[t], h2h)
        return d_gates, (d_gates[0] @ h2h,)

    def recurrent_inputs(self):
        """(rows of h2h, what they were multiplied with (T, B, H))."""
        return ((slice(None), self.h[:-1]),)


CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
