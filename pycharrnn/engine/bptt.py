"""Backpropagation through time over one batch, on any backend, in buffers that are allocated once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from pycharrnn.engine import validation
from pycharrnn.engine.nll_head import NLLHead

if TYPE_CHECKING:
    from pycharrnn.engine.backends import Backend


class BPTT:
    """Passes of a network over batches of T time steps and B texts, for one thread at a time. CharRNN.bptt makes it.

    Args:
        batch_size: number of texts that the loss is averaged over; by default B.
        reason: the backend's name and why it was chosen, in a line.
        end_id: see CharRNN. Where x holds it, states are zero before it is read, and no gradient goes to earlier steps.
    """

    def __init__(self, backend: Backend, batch_size: int | None = None, reason: str = "", end_id: int | None = None):
        self.backend, self.reason, self._end_id = backend, reason, end_id
        self._head = NLLHead(batch_size or backend.B, backend.flat, may_ignore=end_id is not None)
        self._lock = threading.Lock()

    @property
    def flat(self) -> torch.Tensor:
        return self.backend.flat

    @property
    def log_probs(self) -> torch.Tensor:
        return self.backend.log_probs

    def views(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.backend.views(vector)

    def canonical(self, vector: torch.Tensor) -> torch.Tensor:
        return self.backend.canonical(vector)

    def from_canonical(self, vector: torch.Tensor) -> torch.Tensor:
        return self.backend.from_canonical(vector)

    def states(self, t: int) -> list[torch.Tensor]:
        return self.backend.states(t)

    def forward(self, x: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        """Log-probabilities (T*B, V) of the next characters in nats, from states(0).

        Args:
            x: (T, B), token ids from 0, of any integer type.
            masks: (num_layers, T, B, H), dropout's factors for the inputs of layers 2, 3, ..., decoder; or None.

        Errors: TypeError, ValueError; on the CPU IndexError for an invalid token id. RuntimeError if CharRNN.flat has
            been replaced or another thread is in a pass.
        """
        ours = self.backend
        with self._exclusive():
            x = self._token_ids("x", x).clone(memory_format=torch.contiguous_format)  # kept until the backward pass
            if masks is not None:
                shape = ours.num_layers, ours.T, ours.B, ours.H
                validation.tensor("masks", masks, None, ours.flat.device, shape)
                masks = masks.to(ours.flat.dtype)
            ours.forward(x, masks, self._begins(x))
            return ours.log_probs

    def nll(self, y: torch.Tensor) -> torch.Tensor:
        """The loss of the targets y (T, B) in nats: summed over time, averaged over the texts. Errors: as forward.

        In a model of items a target may be IGNORED: it has neither loss nor gradient.
        """
        with self._exclusive():
            return self._head.nll(self.backend.log_probs, self._token_ids("y", y).flatten())

    def nll_at(self, temperature: float) -> torch.Tensor:
        """After nll: the loss of the same targets in nats, of softmax(logits / temperature).

        Errors: ValueError unless temperature > 0; RuntimeError before nll.
        """
        with self._exclusive():
            return self._head.nll_at(self.backend.log_probs, temperature)

    def d_nll(self) -> torch.Tensor:
        """After nll: its gradient with respect to the logits, (T*B, V), in one buffer for all batches.

        Errors: RuntimeError before nll.
        """
        with self._exclusive():
            return self._head.d_nll(self.backend.log_probs)

    def backward(
        self,
        d_logits: torch.Tensor,
        gradients: dict[str, torch.Tensor],
        d_last: Iterable[torch.Tensor] | None = None,
    ) -> list[torch.Tensor]:
        """After forward: write the gradients of all parameters. Returns: the gradients of states(0), in new tensors.

        Args:
            d_logits: (T*B, V), gradient of the logits. gradients: name -> tensor to write to, as from `views`.
            d_last: gradients of states(-1) from later batches, or None for zeros.

        Errors: TypeError, ValueError; RuntimeError without a forward pass or if another thread is in a pass.
        """
        ours = self.backend
        with self._exclusive():
            validation.tensor("d_logits", d_logits, ours.flat.dtype, ours.flat.device, (ours.T * ours.B, ours.V))
            last = None
            if d_last is not None:
                last = validation.states("d_last", d_last, len(ours.states(-1)), ours.flat, (ours.B, ours.H))
            return ours.backward(d_logits, gradients, last)

    def _begins(self, x: torch.Tensor) -> torch.Tensor | None:
        """Where items begin, (T, B) bool; None if nowhere. A GPU is not waited for: there, all may be False."""
        if self._end_id is None:
            return None
        begins = x == self._end_id
        return begins if x.device != validation.CPU or begins.any() else None

    def _token_ids(self, name: str, value: torch.Tensor) -> torch.Tensor:
        validation.characters(name, value, self.backend.flat.device, (self.backend.T, self.backend.B))
        return value.long()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("another thread is using these passes: call model.bptt() once for each thread")
        try:
            yield
        finally:
            self._lock.release()
