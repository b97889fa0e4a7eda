"""One layer of a network in PyTorch: the loops of recurrence.py, and the large products before and after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import torch

from pycharrnn.engine import validation
from pycharrnn.engine.linears import joined

if TYPE_CHECKING:
    from pycharrnn.engine.linears import Linears
    from pycharrnn.engine.operations import Operations
    from pycharrnn.engine.recurrence import Cell


class torch_ops:
    mul = staticmethod(torch.mul)
    sub = staticmethod(torch.sub)
    mm = staticmethod(torch.mm)
    tanh = staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)

    @staticmethod
    def addmm_(out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
        out.addmm_(a, b)

    @staticmethod
    def addcmul_(out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
        out.addcmul_(a, b)

    @staticmethod
    def lerp(start: torch.Tensor, end: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
        torch.lerp(start, end, weight, out=out)

    @staticmethod
    def sigmoid_backward(d: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> None:
        torch.ops.aten.sigmoid_backward(d, y, grad_input=out)

    @staticmethod
    def tanh_backward(d: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> None:
        torch.ops.aten.tanh_backward(d, y, grad_input=out)

    @staticmethod
    def mul_(out: torch.Tensor, by: torch.Tensor) -> None:
        out.mul_(by)


def _copied(function: Callable[..., torch.Tensor]) -> staticmethod[..., torch.Tensor]:
    """A function of tensors with an `out` that its result is copied to."""
    return staticmethod(lambda *tensors, out: out.copy_(function(*tensors)))


class mps_ops:
    """operations.Operations on MPS: each result is computed in a new tensor, then copied.

    Some functions of some versions of PyTorch silently lost results written to a non-contiguous part of a tensor, or
    wrote them beside it (pytorch/pytorch, issues 104832 and 118115).
    """

    mul = _copied(torch.mul)
    sub = _copied(torch.sub)
    mm = _copied(torch.mm)
    tanh = _copied(torch.tanh)
    sigmoid = _copied(torch.sigmoid)
    lerp = _copied(torch.lerp)
    sigmoid_backward = _copied(torch.ops.aten.sigmoid_backward)
    tanh_backward = _copied(torch.ops.aten.tanh_backward)

    @staticmethod
    def addmm_(out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
        out.copy_(torch.addmm(out, a, b))

    @staticmethod
    def addcmul_(out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
        out.copy_(torch.addcmul(out, a, b))

    @staticmethod
    def mul_(out: torch.Tensor, by: torch.Tensor) -> None:
        out.copy_(out * by)


def _operations(device: torch.device) -> Operations[torch.Tensor]:
    if device.type == "mps":
        return mps_ops
    return torch_ops


class LoopLayer:
    """One layer over batches of T steps and B texts, on any device: the cell's loops and large products.

    Args:
        inputs, recurrent: the Linear modules that multiply the layer's input and its previous state.
        reads_characters: whether the input is token ids, not the output of the layer below.
        workspace: from make_workspace; layers may share it.
    """

    def __init__(
        self,
        cell: Cell[torch.Tensor],
        inputs: Linears,
        recurrent: Linears,
        reads_characters: bool,
        workspace: tuple[torch.Tensor, ...],
    ):
        self._cell, self._inputs, self._recurrent, self._workspace = cell, inputs, recurrent, workspace
        self._reads_characters = reads_characters
        self._ops = _operations(cell.h.device)

    @staticmethod
    def make_workspace(cell: Cell[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return cell.make_workspace(lambda *shape: cell.h.new_empty(shape))

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None) -> None:
        """Compute the states from x: token ids (T*B,), or the output of the layer below, (T*B, H). keep: as Cell's.

        x must not change until the gradients are computed. Errors: on the CPU IndexError for an invalid id.
        """
        if self._reads_characters and x.device == validation.CPU:
            validation.in_range("x", x, self._inputs[0][0].shape[1])
        self._x, self._keep = x, keep
        self._weight, i_bias = joined(self._inputs, torch.cat)
        self._h2h, h_bias = joined(self._recurrent, torch.cat)
        gates = self._cell.gates.flatten(0, 1)
        if self._reads_characters:  # a one-hot input picks a column of the weights
            torch.index_select(self._weight.t() + (i_bias + h_bias), 0, x, out=gates)
        else:
            torch.addmm(i_bias + h_bias, x, self._weight.t(), out=gates)
        self._cell.forward(self._ops, self._h2h, keep)

    def backward(self, dh: torch.Tensor, d_last: Sequence[torch.Tensor] | None = None) -> tuple[torch.Tensor, ...]:
        """After forward: the gradients (B, H) of the states at index 0.

        Args:
            dh: (T, B, H), gradient of h[1:] from above; it becomes the gradient of x, unless x is token ids.
            d_last: gradients (B, H) of the last states from later sequences, or None for zeros.
        """
        d_gates, d_first = self._cell.backward(self._ops, self._h2h, dh, self._workspace, d_last, self._keep)
        self._d_gates = d_gates.flatten(0, 1)
        d_first = tuple(d.clone() for d in d_first)  # some lie in dh, some in the workspace that layers share
        if not self._reads_characters:
            torch.mm(self._d_gates, self._weight, out=dh.flatten(0, 1))
        return d_first

    def gradients(self, inputs: Linears, recurrent: Linears) -> None:
        """After backward: write the gradients of all weights and biases."""
        d_gates = self._d_gates
        with _written_as_one([w for w, _ in inputs]) as d_weight:
            if self._reads_characters:
                by_character = d_gates.new_zeros(d_weight.shape[1], d_gates.shape[1]).index_add_(0, self._x, d_gates)
                d_weight.copy_(by_character.t())
            else:
                torch.mm(d_gates.t(), self._x, out=d_weight)
        with _written_as_one([w for w, _ in recurrent]) as d_h2h:
            for rows, h in self._cell.recurrent_inputs():
                torch.mm(d_gates[:, rows].t(), h.flatten(0, 1), out=d_h2h[rows])
        with _written_as_one([b for _, b in inputs]) as d_bias:
            torch.sum(d_gates, 0, out=d_bias)
            for (_, bias), part in zip(recurrent, d_bias.chunk(len(recurrent)), strict=True):
                bias.copy_(part)


class _written_as_one:
    """Context of a tensor for the rows of all `parts`; it copies them to the parts at the end."""

    def __init__(self, parts: list[torch.Tensor]):
        self.parts = parts

    def __enter__(self) -> torch.Tensor:
        self.tensor = self.parts[0] if len(self.parts) == 1 else torch.empty_like(torch.cat(self.parts))
        return self.tensor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if len(self.parts) > 1:
            for part, rows in zip(self.parts, torch.split(self.tensor, [len(p) for p in self.parts]), strict=True):
                part.copy_(rows)
