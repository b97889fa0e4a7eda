"""The part of CharRNN that the backends read."""

from __future__ import annotations

from typing import Protocol

import torch


class FlatModel(Protocol):
    """A network's sizes, as the arguments of CharRNN, and its parameters as one flat vector."""

    model: str
    vocab_size: int
    rnn_size: int
    num_layers: int
    dropout: float

    @property
    def flat(self) -> torch.Tensor:
        """All parameters, (P,)."""

    def views(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        """See CharRNN.views."""
