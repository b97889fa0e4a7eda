"""The loss of a batch and its gradient, from log-probabilities."""

from __future__ import annotations

import torch

from pycharrnn.engine import kernel, validation


class NLLHead:
    """Negative log-likelihood, summed over time, averaged over `batch_size` texts. like: a tensor like log_probs."""

    def __init__(self, batch_size: int, like: torch.Tensor):
        self._batch_size, self._uses_kernel = batch_size, kernel.usable(like)
        self._d_logits: torch.Tensor | None = None

    def nll(self, log_probs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The loss in nats of log-probabilities (rows, V), given the next token ids, (rows,) int64."""
        self._y = y.clone()
        if self._uses_kernel:
            loss = -kernel.likelihood(log_probs, self._y) / self._batch_size
            return torch.tensor(loss, dtype=log_probs.dtype)
        try:
            likelihoods = log_probs.gather(1, self._y[:, None])
        except RuntimeError:
            validation.in_range("y", self._y, log_probs.shape[1])
            raise
        return likelihoods.sum().neg() / self._batch_size

    def d_nll(self, log_probs: torch.Tensor) -> torch.Tensor:
        """After nll: its gradient with respect to the logits, (rows, V), in one buffer for all calls."""
        if self._d_logits is None:
            self._d_logits = torch.empty_like(log_probs)
        if self._uses_kernel:
            return kernel.loss_gradient(log_probs, self._y, self._batch_size, self._d_logits)
        d = torch.exp(log_probs, out=self._d_logits)
        d.scatter_add_(1, self._y[:, None], d.new_full((), -1).expand(len(self._y), 1))
        return d.div_(self._batch_size)
