"""The loss of a batch and its gradient, from log-probabilities."""

from __future__ import annotations

import torch

from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import kernel, validation


class NLLHead:
    """Negative log-likelihood, summed over time, averaged over `batch_size` texts. like: a tensor like log_probs.

    `may_ignore`: whether targets may be IGNORED, which have neither loss nor gradient; on the C kernel they always may.
    """

    def __init__(self, batch_size: int, like: torch.Tensor, may_ignore: bool = False):
        self._batch_size, self._uses_kernel, self._may_ignore = batch_size, kernel.usable(like), may_ignore
        self._y: torch.Tensor | None = None
        self._d_logits: torch.Tensor | None = None
        self._ignored: torch.Tensor | None = None

    def nll(self, log_probs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The loss in nats of log-probabilities (rows, V), given the next token ids, (rows,) int64."""
        self._y = y.clone()
        if not self._uses_kernel and self._may_ignore:
            self._ignored = self._y == IGNORED
            self._y.masked_fill_(self._ignored, 0)
        return self.nll_at(log_probs, 1)

    @property
    def _targets(self) -> torch.Tensor:
        if self._y is None:
            raise RuntimeError("nll comes first, with the targets of the batch")
        return self._y

    def nll_at(self, log_probs: torch.Tensor, temperature: float) -> torch.Tensor:
        """After nll: the loss of the same targets in nats, of softmax(log_probs / temperature).

        Without a loss it is 0.0, as in the original, rather than -0.0, which the log would print with its sign.

        Errors: ValueError unless temperature > 0; RuntimeError before nll.
        """
        y = self._targets
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        if self._uses_kernel:
            loss = (0.0 - kernel.likelihood(log_probs, y, temperature)) / self._batch_size
            return log_probs.new_tensor(loss)
        if temperature != 1:
            log_probs = torch.log_softmax(log_probs / temperature, 1)
        try:
            likelihoods = log_probs.gather(1, y[:, None])
        except RuntimeError:
            validation.in_range("y", y, log_probs.shape[1])
            raise
        if self._ignored is not None:
            likelihoods = likelihoods.masked_fill(self._ignored[:, None], 0)
        return (0.0 - likelihoods.sum()) / self._batch_size

    def d_nll(self, log_probs: torch.Tensor) -> torch.Tensor:
        """After nll: its gradient with respect to the logits, (rows, V), in one buffer for all calls.

        Errors: RuntimeError before nll.
        """
        y = self._targets
        if self._d_logits is None:
            self._d_logits = torch.empty_like(log_probs)
        if self._uses_kernel:
            return kernel.loss_gradient(log_probs, y, self._batch_size, self._d_logits)
        d = torch.exp(log_probs, out=self._d_logits)
        d.scatter_add_(1, y[:, None], d.new_full((), -1).expand(len(y), 1))
        d.div_(self._batch_size)
        return d if self._ignored is None else d.masked_fill_(self._ignored[:, None], 0)
