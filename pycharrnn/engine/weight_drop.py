"""DropConnect: zeroes random recurrent weights for each batch, which reduces overfitting.

Source: Merity, Keskar & Socher 2018, "Regularizing and optimizing LSTM language models", after Wan et al. 2013.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


class WeightDrop:
    """Zeroes each recurrent weight with the same probability for a whole batch: unlike dropout, the same in all steps.

    The others are divided by the probability of keeping them, so that the expected sums stay the same.

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
        self._from_canonical, self._keep = from_canonical, 1 - probability
        self._mask = torch.ones_like(flat)
        self._recurrent = [part for name, part in views(self._mask).items() if _is_recurrent(name)]

    @contextmanager
    def left_out(self, gradient: torch.Tensor, generator: torch.Generator) -> Iterator[None]:
        """A context without some recurrent weights, in which `gradient` (P,), laid out as `flat`, is written."""
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
    return "h2h" in name and name.endswith(".weight")
