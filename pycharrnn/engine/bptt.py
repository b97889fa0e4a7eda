"""Backpropagation through time over one batch, in buffers that are allocated once.

T time steps, B texts side by side, H units, V characters. Products that need no time loop are one large product each:
the input's share of all gates, the gradients of all weights, and the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pycharrnn.engine import contract, kernel
from pycharrnn.engine.recurrence import CELLS


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


class LoopLayer:
    """One layer over batches of T steps and B texts, on any device: the cell's loops and large products.

    Args:
        cell: with the layer's buffers, see recurrence.py.
        inputs, recurrent: one (weight, bias) a Linear, in the cell's order: of the input, and of the state before.
        reads_characters: whether the input is characters, not the layer below.
        scratch: from make_scratch; layers may share it.
    """

    def __init__(self, cell, inputs, recurrent, reads_characters: bool, scratch):
        self._cell, self._inputs, self._recurrent, self._scratch = cell, inputs, recurrent, scratch
        self._reads_characters = reads_characters

    @staticmethod
    def make_scratch(cell, V: int):
        """Buffers that one pass needs and all layers can share; V: number of characters."""
        return cell.scratch(lambda *shape: cell.h.new_empty(shape))

    def forward(self, x: torch.Tensor) -> None:
        """From the states at index 0 to those after.

        Args:
            x: (T*B,) int64 characters, or (T*B, H) inputs; to stay as they are until the gradients are made.

        Errors: on the CPU IndexError for a character that the vocabulary lacks.
        """
        if self._reads_characters and x.device == contract.CPU:
            contract.in_range("x", x, self._inputs[0][0].shape[1])
        self._x = x
        self._weight, i_bias = (_cat([linear[part] for linear in self._inputs]) for part in (0, 1))
        self._h2h, h_bias = (_cat([linear[part] for linear in self._recurrent]) for part in (0, 1))
        gates = self._cell.gates.flatten(0, 1)
        if self._reads_characters:  # a one-hot input picks a column of the weights
            torch.index_select(self._weight.t() + (i_bias + h_bias), 0, x, out=gates)
        else:
            torch.addmm(i_bias + h_bias, x, self._weight.t(), out=gates)
        self._cell.forward(torch_ops, self._h2h)

    def backward(self, dh: torch.Tensor, d_last=None) -> tuple[torch.Tensor, ...]:
        """Gradient of the first states. `dh` (T, B, H) becomes the gradient of the input, if that is no characters.

        Args:
            dh: gradient of h[1:] that comes from above.
            d_last: gradients (B, H) of the last states from beyond this sequence, or None for zeros.
        """
        d_gates, d_first = self._cell.backward(torch_ops, self._h2h, dh, self._scratch, d_last)
        self._d_gates = d_gates.flatten(0, 1)
        d_first = tuple(d.clone() for d in d_first)  # some lie in dh, some in what layers share
        if not self._reads_characters:
            torch.mm(self._d_gates, self._weight, out=dh.flatten(0, 1))
        return d_first

    def gradients(self, inputs, recurrent) -> None:
        """After backward: write the gradients of all weights and biases, laid out as the weights.

        Errors: TypeError, ValueError.
        """
        for linear, gradient in zip((*self._inputs, *self._recurrent), (*inputs, *recurrent), strict=True):
            for weight, d_weight in zip(linear, gradient, strict=True):
                contract.tensor("a gradient", d_weight, weight.dtype, weight.device, weight.shape)
        d_gates = self._d_gates
        with _whole([w for w, _ in inputs]) as d_weight:
            if self._reads_characters:
                by_character = d_gates.new_zeros(d_weight.shape[1], d_gates.shape[1]).index_add_(0, self._x, d_gates)
                d_weight.copy_(by_character.t())
            else:
                torch.mm(d_gates.t(), self._x, out=d_weight)
        with _whole([w for w, _ in recurrent]) as d_h2h:
            for rows, h in self._cell.recurrent_inputs():
                torch.mm(d_gates[:, rows].t(), h.flatten(0, 1), out=d_h2h[rows])
        with _whole([b for _, b in inputs]) as d_bias:
            torch.sum(d_gates, 0, out=d_bias)
            for (_, bias), part in zip(recurrent, d_bias.chunk(len(recurrent)), strict=True):
                bias.copy_(part)


class Likelihood:
    """The loss of batches and its gradient, from `log_probs` (T*B, V); a mean over `_batch_size` texts."""

    T: int
    B: int
    V: int
    flat: torch.Tensor
    log_probs: torch.Tensor
    _batch_size: int
    _d_logits: torch.Tensor | None = None

    def _characters(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Characters (T, B) as int64, not yet known to be in range. Errors: TypeError, ValueError."""
        contract.characters(name, value, self.flat.device, (self.T, self.B))
        return value.long()

    def nll(self, y: torch.Tensor) -> torch.Tensor:
        """Sum over time of the mean negative log-likelihood over the batch, in nats.

        Args:
            y: (T, B), whole numbers, characters numbered from 0.

        Errors: as those of forward.
        """
        self._y = self._characters("y", y).reshape(-1, 1)
        try:
            likelihoods = self.log_probs.gather(1, self._y)
        except RuntimeError:
            contract.in_range("y", self._y, self.V)
            raise
        return likelihoods.sum().neg() / self._batch_size

    def d_nll(self) -> torch.Tensor:
        """Gradient of nll for the decoder's output: (T*B, V)."""
        if self._d_logits is None:
            self._d_logits = torch.empty_like(self.log_probs)
        d = torch.exp(self.log_probs, out=self._d_logits)
        d.scatter_add_(1, self._y, d.new_full((), -1).expand(self._y.shape))
        return d.div_(self._batch_size)


class BPTT(Likelihood):
    """Forward and backward passes of a network over batches of one shape.

    Attributes:
        flat: (P,), the parameters, in the order of CharRNN.flat.
        cells: one recurrence cell a layer; their `states` hold the hidden states, index 0 before the batch.
        log_probs: (T*B, V) after forward.
    """

    def __init__(self, model, flat: torch.Tensor, T: int, B: int, batch_size: int | None = None):
        """As CharRNN.bptt, which makes it from a CharRNN and its parameters `flat` (P,)."""
        for name, value in (("T", T), ("B", B), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self._cell_class, self.num_layers = CELLS[model.model], model.num_layers
        self.flat, self.views, self.weights = flat, model.views, model.views(flat)
        self.T, self.B, self._batch_size = T, B, batch_size or B
        weights, num_layers = self.weights, model.num_layers
        decoder = weights["decoder.weight"]
        self.V, self.H = decoder.shape
        self._empty = lambda *shape: torch.empty(shape, dtype=decoder.dtype, device=decoder.device)
        self.cells = [self._cell_class(self._empty, T, B, self.H) for _ in range(num_layers)]
        layer_class = kernel.KernelLayer if kernel.usable(flat) else LoopLayer
        scratch = layer_class.make_scratch(self.cells[0], self.V)
        self._layers = [
            layer_class(cell, *self._linears(weights, layer), layer == 0, scratch)
            for layer, cell in enumerate(self.cells)
        ]
        self._logits, self.log_probs = (self._empty(T * B, self.V) for _ in range(2))
        self._dh = self._empty(T, B, self.H)
        self._masked: list[torch.Tensor] = []

    def _linears(self, of: dict[str, torch.Tensor], layer: int):
        """((weight, bias) of each Linear of the input), (the same of the state before); `layer` from 0."""
        return (
            [(of[f"{name}_{layer + 1}.weight"], of[f"{name}_{layer + 1}.bias"]) for name in names]
            for names in (self._cell_class.input_linears, self._cell_class.recurrent_linears)
        )

    def canonical(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector laid out as `flat`, in the order of CharRNN.flat: the same."""
        return vector

    from_canonical = canonical

    def states(self, t: int) -> list[torch.Tensor]:
        """The states of all layers at index t (0 before the batch, -1 after it): c, h of layer 1, c, h of layer 2..."""
        return [state[t] for cell in self.cells for state in cell.states]

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        """Log-probabilities (T*B, V) of the next character, from the states at index 0.

        Args:
            x: (T, B), whole numbers, characters numbered from 0.
            masks: (num_layers, T, B, H), what dropout multiplies the inputs of layers 2, 3, ..., decoder with.

        Errors: TypeError, ValueError; on the CPU IndexError for a character that the vocabulary lacks.
        """
        above = self._characters("x", x).flatten().clone()  # so that nobody writes to it before the backward pass
        self._masks = masks
        if masks is not None:
            contract.tensor("masks", masks, None, self.flat.device, (self.num_layers, self.T, self.B, self.H))
            self._masked = self._masked or [self._empty(self.T, self.B, self.H) for _ in self.cells]
        for index, (cell, layer) in enumerate(zip(self.cells, self._layers, strict=True)):
            layer.forward(above)
            above = cell.h[1:]
            if masks is not None:
                above = torch.mul(above, masks[index], out=self._masked[index])
            above = above.flatten(0, 1)
        self._top = above
        weight, bias = self.weights["decoder.weight"], self.weights["decoder.bias"]
        torch.addmm(bias, above, weight.t(), out=self._logits)
        return torch.log_softmax(self._logits, 1, out=self.log_probs)

    def backward(self, d_logits: torch.Tensor, gradients: dict[str, torch.Tensor], d_last=None) -> list[torch.Tensor]:
        """Write the gradients of all weights; the gradients of the states at index 0.

        Args:
            d_logits: (T*B, V), gradient of the decoder's output.
            gradients: name -> tensor to fill, as `weights`.
            d_last: gradients of the states after the batch, in the order of states(), or None for zeros.

        Errors: TypeError, ValueError.
        """
        self._check("d_logits", d_logits, self.log_probs.shape)
        for name in ("decoder.weight", "decoder.bias"):  # the layers look at theirs
            self._check(f"the gradient of {name}", gradients[name], self.weights[name].shape)
        if d_last is not None:
            d_last = contract.states("d_last", d_last, len(self.states(-1)), self.flat, (self.B, self.H))
        torch.mm(d_logits.t(), self._top, out=gradients["decoder.weight"])
        torch.sum(d_logits, 0, out=gradients["decoder.bias"])
        torch.mm(d_logits, self.weights["decoder.weight"], out=self._dh.flatten(0, 1))
        d_first: list[torch.Tensor] = []
        for index in range(self.num_layers - 1, -1, -1):
            if self._masks is not None:
                self._dh.mul_(self._masks[index])
            n = len(self.cells[index].states)
            last = None if d_last is None else d_last[index * n : (index + 1) * n]
            first = self._layers[index].backward(self._dh, last)
            d_first = [*first, *d_first]
            self._layers[index].gradients(*self._linears(gradients, index))
        return d_first

    def _check(self, name: str, value: torch.Tensor, shape: Sequence[int]) -> None:
        contract.tensor(name, value, self.flat.dtype, self.flat.device, shape)


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
