"""Backpropagation through time over one batch, in buffers that are allocated once.

T time steps, B texts side by side, H units, V characters. Products that need no time loop are one large product each:
the input's share of all gates, the gradients of all weights, and the decoder.
"""

from __future__ import annotations

import torch

from pycharrnn.recurrence import CELLS


class torch_ops:
    """In-place operations on PyTorch tensors, any device."""

    multiply = staticmethod(torch.mul)
    subtract = staticmethod(torch.sub)
    product = staticmethod(torch.mm)
    tanh = staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)

    @staticmethod
    def add_product(out, a, b):
        """out += a @ b"""
        out.addmm_(a, b)

    @staticmethod
    def add_multiplied(out, a, b):
        """out += a * b"""
        out.addcmul_(a, b)

    @staticmethod
    def mix(share, a, b, out):
        """share*a + (1-share)*b"""
        torch.lerp(b, a, share, out=out)

    @staticmethod
    def sigmoid_backward(d, y, out):
        """d * y * (1-y)"""
        torch.ops.aten.sigmoid_backward(d, y, grad_input=out)

    @staticmethod
    def tanh_backward(d, y, out):
        """d * (1 - y*y)"""
        torch.ops.aten.tanh_backward(d, y, grad_input=out)


class BPTT:
    """Forward and backward passes of a network over batches of one shape.

    Attributes:
        cells: one recurrence cell a layer; their `states` hold the hidden states, index 0 before the batch.
        log_probs: (T*B, V) after forward.
    """

    def __init__(self, model: str, weights: dict[str, torch.Tensor], num_layers: int, T: int, B: int):
        """`weights`: name -> view of the flat parameter vector, as CharRNN.weights."""
        self._cell_class = CELLS[model]
        self.weights, self.num_layers, self.T, self.B = weights, num_layers, T, B
        decoder = weights["decoder.weight"]
        self.V, self.H = decoder.shape
        self._empty = lambda *shape: torch.empty(shape, dtype=decoder.dtype, device=decoder.device)
        self.cells = [self._cell_class(self._empty, T, B, self.H) for _ in range(num_layers)]
        self._logits = self._empty(T * B, self.V)
        self._inputs: list[torch.Tensor] = []
        self._backward_buffers = None

    def states(self, t: int) -> list[torch.Tensor]:
        """The states of all layers at index t (0 before the batch, -1 after it): c, h of layer 1, c, h of layer 2..."""
        return [state[t] for cell in self.cells for state in cell.states]

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        """Log-probabilities (T*B, V) of the next character, from the states at index 0.

        Args:
            x: (T, B), int64, characters numbered from 0.
            masks: (num_layers, T, B, H), what dropout multiplies the inputs of layers 2, 3, ..., decoder with.
        """
        self._x, self._masks = x.reshape(-1), masks
        self._inputs = []
        self._packed = [self._pack(layer) for layer in range(1, self.num_layers + 1)]
        for layer, cell in enumerate(self.cells):
            weight, bias, h2h = self._packed[layer]
            gates = cell.gates.view(self.T * self.B, -1)
            if layer == 0:  # a one-hot input picks a column of the weights
                torch.index_select(weight.t() + bias, 0, self._x, out=gates)
            else:
                torch.addmm(bias, self._input_above(layer - 1), weight.t(), out=gates)
            cell.forward(torch_ops, h2h)
        top = self._input_above(self.num_layers - 1)
        weights = self.weights
        torch.addmm(weights["decoder.bias"], top, weights["decoder.weight"].t(), out=self._logits)
        self.log_probs = torch.log_softmax(self._logits, 1)
        return self.log_probs

    def _input_above(self, layer: int) -> torch.Tensor:
        """What the layer above `layer` (from 0) reads: (T*B, H)."""
        h = self.cells[layer].h[1:]
        if self._masks is not None:
            h = h * self._masks[layer]
        self._inputs.append(h.reshape(self.T * self.B, self.H))
        return self._inputs[-1]

    def _pack(self, layer: int):
        """(input weight (n*H, D), sum of both biases (n*H,), recurrent weight (n*H, H)) with the cell's n gates."""
        parts = [
            self._linears(layer, names)
            for names in (self._cell_class.input_linears, self._cell_class.recurrent_linears)
        ]
        (weight, i_bias), (h2h, h_bias) = (
            (_cat([w for w, _ in linears]), _cat([b for _, b in linears])) for linears in parts
        )
        return weight, i_bias + h_bias, h2h

    def _linears(self, layer: int, names: tuple[str, ...], of=None) -> list[tuple[torch.Tensor, torch.Tensor]]:
        of = self.weights if of is None else of
        return [(of[f"{name}_{layer}.weight"], of[f"{name}_{layer}.bias"]) for name in names]

    def nll(self, y: torch.Tensor) -> torch.Tensor:
        """Sum over time of the mean negative log-likelihood over the batch, in nats. `y`: (T, B), int64, from 0."""
        self._y = y.reshape(-1, 1)
        return self.log_probs.gather(1, self._y).sum().neg() / self.B

    def d_nll(self) -> torch.Tensor:
        """Gradient of nll for the decoder's output: (T*B, V)."""
        d = self.log_probs.exp()
        d.scatter_add_(1, self._y, d.new_full((), -1).expand(self._y.shape))
        return d.div_(self.B)

    def backward(self, d_logits: torch.Tensor, gradients: dict[str, torch.Tensor], d_last=None) -> list[torch.Tensor]:
        """Write the gradients of all weights; the gradients of the states at index 0.

        Args:
            d_logits: (T*B, V), gradient of the decoder's output.
            gradients: name -> tensor to fill, as `weights`.
            d_last: gradients of the states after the batch, in the order of states(), or None for zeros.
        """
        if self._backward_buffers is None:
            self._backward_buffers = self._empty(self.T, self.B, self.H), self.cells[0].scratch(self._empty)
        dh, scratch = self._backward_buffers
        flat_dh = dh.view(self.T * self.B, self.H)
        torch.mm(d_logits.t(), self._inputs[-1], out=gradients["decoder.weight"])
        torch.sum(d_logits, 0, out=gradients["decoder.bias"])
        torch.mm(d_logits, self.weights["decoder.weight"], out=flat_dh)
        d_first: list[torch.Tensor] = []
        for layer in range(self.num_layers - 1, -1, -1):
            if self._masks is not None:
                dh.mul_(self._masks[layer])
            cell, (weight, _, h2h) = self.cells[layer], self._packed[layer]
            n = len(cell.states)
            last = None if d_last is None else d_last[layer * n : (layer + 1) * n]
            d_gates, first = cell.backward(torch_ops, h2h, dh, scratch, last)
            d_first = [d.clone() for d in first] + d_first
            d_gates = d_gates.view(self.T * self.B, -1)
            self._weight_gradients(layer, cell, d_gates, gradients)
            if layer:
                torch.mm(d_gates, weight, out=flat_dh)
        return d_first

    def _weight_gradients(self, layer: int, cell, d_gates: torch.Tensor, gradients: dict[str, torch.Tensor]) -> None:
        inputs = self._linears(layer + 1, cell.input_linears, gradients)
        recurrent = self._linears(layer + 1, cell.recurrent_linears, gradients)
        with _whole([w for w, _ in inputs]) as d_weight:
            if layer == 0:
                by_character = d_gates.new_zeros(self.V, d_gates.shape[1]).index_add_(0, self._x, d_gates)
                d_weight.copy_(by_character.t())
            else:
                torch.mm(d_gates.t(), self._inputs[layer - 1], out=d_weight)
        with _whole([w for w, _ in recurrent]) as d_h2h:
            for rows, h in cell.recurrent_inputs():
                torch.mm(d_gates[:, rows].t(), h.reshape(self.T * self.B, self.H), out=d_h2h[rows])
        with _whole([b for _, b in inputs]) as d_bias:
            torch.sum(d_gates, 0, out=d_bias)
            for (_, bias), part in zip(recurrent, d_bias.chunk(len(recurrent)), strict=True):
                bias.copy_(part)


def _cat(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class _whole:
    """The tensors `parts` as one, rows below rows: itself where there is one, else a copy that is split at the end."""

    def __init__(self, parts: list[torch.Tensor]):
        self.parts = parts

    def __enter__(self) -> torch.Tensor:
        self.tensor = self.parts[0] if len(self.parts) == 1 else torch.empty_like(torch.cat(self.parts))
        return self.tensor

    def __exit__(self, *exception) -> None:
        if len(self.parts) > 1:
            for part, rows in zip(self.parts, self.tensor.split([len(p) for p in self.parts]), strict=True):
                part.copy_(rows)
