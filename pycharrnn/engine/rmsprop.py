"""RMSprop as Torch7's optim package writes it. Source: optim/rmsprop.lua; Tieleman & Hinton 2012, lecture 6.5."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from pycharrnn.engine import kernel


class RMSprop:
    """m = alpha*m + (1-alpha)*g*g; w -= lr * g / (sqrt(m) + 1e-8).

    PyTorch's RMSprop agrees up to rounding. This one keeps the original's order of operations; steps allocate nothing.

    Args:
        parameters: (P,), changed in place; `mean_square`, (P,), is m.
        learning_rate: lr; it may be changed between steps. alpha: the option -decay_rate.
        multiples: (P,), of the learning rate, for each parameter; equal for whole matrices. None: 1 for all.
        initial_mean: all m before the first step.
    """

    epsilon = 1e-8

    def __init__(
        self,
        parameters: torch.Tensor,
        learning_rate: float,
        alpha: float,
        multiples: torch.Tensor | None = None,
        initial_mean: float = 0,
    ):
        self.parameters, self.learning_rate, self.alpha = parameters, learning_rate, alpha
        self._parts = [(slice(None), 1.0)] if multiples is None else list(_equal_parts(multiples))
        self.mean_square = torch.full_like(parameters, initial_mean)
        self._root = torch.empty_like(parameters)
        self._squared_norms: list[float] | None = None
        self._uses_kernel = kernel.usable(parameters)

    def step(self, gradient: torch.Tensor, clip: float) -> None:
        """Clip `gradient` (P,) to [-clip, clip] in place, and update the parameters."""
        if self._uses_kernel:
            sums = [self._update_in_kernel(gradient, clip, part, multiple) for part, multiple in self._parts]
            self._squared_norms = [sum(of_parts) for of_parts in zip(*sums, strict=True)]
            return
        largest = torch.finfo(gradient.dtype).max  # PyTorch refuses larger numbers; the kernel computes with infinity
        clip = min(clip, largest)
        gradient.clamp_(-clip, clip)
        self.mean_square.mul_(self.alpha).addcmul_(gradient, gradient, value=1.0 - self.alpha)
        torch.sqrt(self.mean_square, out=self._root).add_(self.epsilon)
        for part, multiple in self._parts:
            rate = min(self.learning_rate * multiple, largest)
            self.parameters[part].addcdiv_(gradient[part], self._root[part], value=-rate)

    def _update_in_kernel(self, gradient: torch.Tensor, clip: float, part: slice, multiple: float) -> list[float]:
        vectors = self.parameters[part], gradient[part], self.mean_square[part]
        return kernel.rmsprop(*vectors, clip, self.alpha, self.learning_rate * multiple, self.epsilon)

    def norm_ratio(self, gradient: torch.Tensor) -> float:
        """After step: the norm of the clipped gradient over that of the updated parameters."""
        if self._squared_norms is None:
            return float(gradient.norm() / self.parameters.norm())
        of_gradient, of_parameters = self._squared_norms
        return math.sqrt(of_gradient / of_parameters) if of_parameters else math.nan


def _equal_parts(vector: torch.Tensor) -> Iterator[tuple[slice, float]]:
    """The runs of equal values in a vector: where each is, and its value."""
    values, counts = torch.unique_consecutive(vector, return_counts=True)
    start = 0
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        yield slice(start, start + count), value
        start += count
