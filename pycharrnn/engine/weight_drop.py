"""DropConnect: zeroes random recurrent weights for each batch, which reduces overfitting.

Source: Merity, Keskar & Socher 2018, "Regularizing and optimizing LSTM language models", after Wan et al. 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from pycharrnn.common.splitmix64 import draws_of_32_bits
from pycharrnn.engine import kernel, validation


class WeightDrop:
    """Zeroes each recurrent weight with the same probability for a whole batch: unlike dropout, the same in all steps.

    The others are divided by the probability of keeping them, so that the expected sums stay the same. On a CPU the
    draws are those of SplitMix64, the same on every machine, with and without the kernel; on a GPU those of PyTorch.

    Args:
        flat: (P,), the parameters, changed for the duration of a batch. views: see CharRNN.views.
        from_canonical: reorders a vector from the order of CharRNN.flat to that of `flat`.
        probability: of zeroing a weight.
    """

    def __init__(
        self,
        flat: torch.Tensor,
        views: Callable[[torch.Tensor], dict[str, torch.Tensor]],
        from_canonical: Callable[[torch.Tensor], torch.Tensor],
        probability: float,
    ):
        self._flat, self._whole = flat, torch.empty_like(flat)
        self._views, self._from_canonical, self._keep = views, from_canonical, 1 - probability
        self._limit = math.ceil(self._keep * 2**32)  # weights with lower draws are kept
        self._uses_kernel = kernel.usable(flat) and from_canonical(flat) is flat
        if self._uses_kernel:
            self._parts, self._whole_parts = self._recurrent(flat), self._recurrent(self._whole)

    @contextmanager
    def left_out(self, gradient: torch.Tensor, seed: int) -> Iterator[None]:
        """A context without some recurrent weights, in which `gradient` (P,), laid out as `flat`, is written."""
        if self._uses_kernel:
            self._drop_in_kernel(seed, None)
            try:
                yield
            finally:
                self._drop_in_kernel(seed, gradient)
            return
        mask = self._mask(seed)
        self._whole.copy_(self._flat)
        self._flat.mul_(mask)
        try:
            yield
        finally:
            self._flat.copy_(self._whole)
            gradient.mul_(mask)

    def _drop_in_kernel(self, seed: int, gradient: torch.Tensor | None) -> None:
        """Zero weights; or, with the gradient, put them back and zero the gradient of those that were left out."""
        first = 0
        gradients = [None] * len(self._parts) if gradient is None else self._recurrent(gradient)
        for weights, whole, of_weights in zip(self._parts, self._whole_parts, gradients, strict=True):
            kernel.drop(weights, whole, of_weights, first, seed, self._limit, 1 / self._keep)
            first += weights.numel()

    def _mask(self, seed: int) -> torch.Tensor:
        """(P,), laid out as `flat`: 0 for a weight that is left out, else what it is multiplied by."""
        mask = torch.ones_like(self._flat)
        parts = self._recurrent(mask)
        count = sum(part.numel() for part in parts)
        if mask.device == validation.CPU:
            kept = torch.from_numpy(draws_of_32_bits(seed, count) < self._limit)
        else:
            generator = torch.Generator(mask.device).manual_seed(seed)
            kept = torch.rand(count, generator=generator, device=mask.device) < self._keep
        for part, of_part in zip(parts, torch.split(kept, [part.numel() for part in parts]), strict=True):
            part.copy_(of_part).mul_(1 / self._keep)
        return self._from_canonical(mask)

    def _recurrent(self, vector: torch.Tensor) -> list[torch.Tensor]:
        """The recurrent weights of a vector in the order of CharRNN.flat, those of each matrix in one dimension."""
        named = self._views(vector).items()
        return [part.view(-1) for name, part in named if "h2h" in name and name.endswith(".weight")]
