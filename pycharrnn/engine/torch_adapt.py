"""The learner of adapt.py in PyTorch, for machines without the C kernel. The tests compare the kernel with it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pycharrnn.common.targets import IGNORED
from pycharrnn.engine.adapt_options import Adaptation
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.learner import ALPHA, EPSILON, Learner, checked
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.torch_backend import TorchBackend

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.graph_match import Network


class TorchLearner(Learner):
    """See Learner. Errors: KeyError, ValueError for missing weights or other shapes."""

    def __init__(self, network: Network, how: Adaptation) -> None:
        self.how, self._network = how, network
        n = network
        sizes = n.vocab_size, n.rnn_size, n.num_layers
        self._model = CharRNN(n.model, *sizes, device="cpu", end_id=n.end_id, initialize=False)
        self._model.load_weights(n.weights)
        self._parameters = self._model.flat.detach()
        self._trained, self._gradient = self._parameters.clone(), torch.empty_like(self._parameters)
        self._mean_square = torch.zeros_like(self._parameters)
        self._passes: dict[int, BPTT] = {}  # by the length of a segment
        self._states = self._model.initial_state(1)

    def read(
        self, token_ids: npt.NDArray[np.integer[Any]], targets: npt.NDArray[np.integer[Any]], share: float = 1
    ) -> npt.NDArray[np.float64]:
        """See Learner."""
        x, y = map(torch.from_numpy, checked(token_ids, targets, self._network.vocab_size))
        found: list[npt.NDArray[np.float64]] = []
        for start in range(0, len(x), self.how.length):
            segment = slice(start, start + self.how.length)
            found.append(self._learn(x[segment, None], y[segment, None], share * self.how.rate))
        return np.concatenate([np.empty(0), *found])

    def _learn(self, x: torch.Tensor, y: torch.Tensor, rate: float) -> npt.NDArray[np.float64]:
        """Read a segment (T, 1) and learn from it: log-probabilities of y, (T,)."""
        T = len(x)
        if T not in self._passes:
            self._passes[T] = BPTT(TorchBackend(self._model, T, 1), batch_size=T, end_id=self._network.end_id)
        passes = self._passes[T]
        for first, state in zip(passes.states(0), self._states, strict=True):
            first.copy_(state)
        ignored = y == IGNORED
        log_probs = passes.forward(x).gather(1, y.masked_fill(ignored, 0)).masked_fill(ignored, 0)
        found: npt.NDArray[np.float64] = log_probs[:, 0].numpy().astype(np.float64)
        passes.nll(y)
        passes.backward(passes.d_nll(), passes.views(self._gradient))
        self._states = [state.clone() for state in passes.states(-1)]
        self._mean_square.mul_(ALPHA).addcmul_(self._gradient, self._gradient, value=1 - ALPHA)
        self._parameters.addcdiv_(self._gradient, self._mean_square.sqrt().add_(EPSILON), value=-rate)
        self._parameters.lerp_(self._trained, self.how.pull)
        return found

    def network(self) -> Network:
        """See Learner."""
        weights = {name: view.clone().numpy() for name, view in self._model.weights.items()}
        return dataclasses.replace(self._network, weights=weights, tensor_type="torch.FloatTensor")
