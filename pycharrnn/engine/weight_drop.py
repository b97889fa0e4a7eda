"""Recurrent weights that are left out at random, batch by batch, so that a model learns less by heart.

Source: Merity, Keskar & Socher 2018, "Regularizing and optimizing LSTM language models", after Wan et al. 2013.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


class WeightDrop:
    """Leaves each weight from a hidden state to the next one out of a batch with the same probability.

    All steps of a batch go without the same weights, unlike with dropout. Those that stay are divided by the
    probability of staying, so that a sum over them is on average what it is with all.

    Args:
        flat: (P,), the parameters, which are changed for the time of a batch.
        views: makes of a vector (P,) in the order of CharRNN.flat a dictionary from names to views of it.
        from_canonical: puts a vector in that order into the order of `flat`.
        probability: of leaving a weight out.
    """

    def __init__(
        self,
        flat: torch.Tensor,
        views: Callable[[torch.Tensor], dict[str, torch.Tensor]],
        from_canonical: Callable[[torch.Tensor], torch.Tensor],
        probability: float,
    ):
        self._flat, self._whole = flat, torch.empty_like(flat)
        self._from_canonical, self._keep = from_canonical, 1 - probability
        self._mask = torch.ones_like(flat)
        self._recurrent = [part for name, part in views(self._mask).items() if _is_recurrent(name)]

    @contextmanager
    def left_out(self, gradient: torch.Tensor, generator: torch.Generator) -> Iterator[None]:
        """Leave weights out of what is done in this context, which writes the gradient.

        Args:
            gradient: (P,), laid out as `flat`; afterwards that of the whole weights.
            generator: draws which, on the device of `flat`.
        """
        for part in self._recurrent:
            kept = torch.rand(part.shape, generator=generator, device=part.device) < self._keep
            torch.div(kept, self._keep, out=part)
        mask = self._from_canonical(self._mask)
        self._whole.copy_(self._flat)
        self._flat.mul_(mask)
        try:
            yield
        finally:
            self._flat.copy_(self._whole)
        gradient.mul_(mask)


def _is_recurrent(name: str) -> bool:
    """Whether a parameter, named as in compat.nngraph.parameter_shapes, is weights from a hidden state to the next."""
    return "h2h" in name and name.endswith(".weight")
