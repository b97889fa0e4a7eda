"""Makes the predictor of a checkpoint, for sampling and scoring.

On the CPU a predictor runs on the C kernel or in NumPy, in double precision: it needs no PyTorch, and its digits are
char-rnn's. On a GPU it runs in PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.engine import indices, kernel_library
from pycharrnn.engine.kernel_network import PackedNetwork
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.predictor import LocalPredictor, Predictor

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from compat.graph_match import Network
    from pycharrnn.engine.model import CharRNN


def make_predictor(loaded: Checkpoint, device: str = "cpu", streams: int = 1, steps: int = 1) -> Predictor:
    """A predictor of B streams and T steps for a loaded checkpoint, on a device of PyTorch's name."""
    if device == "cpu":
        return on_cpu(loaded.network, streams, steps)
    from pycharrnn.engine.model import CharRNN  # imports PyTorch, which the CPU does not need

    return TorchPredictor(CharRNN.from_checkpoint(loaded, device=device), streams, steps)


def on_cpu(network: Network, streams: int = 1, steps: int = 1) -> LocalPredictor:
    """A predictor of B streams and T steps on the CPU: on the C kernel if it is compiled, else in NumPy.

    Errors: UserError if PYCHARRNN_KERNEL is not a known level.
    """
    library = kernel_library.library()
    if library is None:
        return NumpyPredictor(network, streams, steps)
    return KernelPredictor(PackedNetwork(library, network), streams, steps)


class TorchPredictor(Predictor):
    """Runs a CharRNN on its device, in its precision, with B streams and T steps.

    Errors: ValueError for streams or steps below 1.
    """

    def __init__(self, model: CharRNN, streams: int = 1, steps: int = 1) -> None:
        self.vocab_size = model.vocab_size
        self._steps, self.num_streams, self._device = steps, streams, model.flat.device
        self._bptt = model.bptt(steps, streams)
        for state in self._bptt.states(-1):
            state.zero_()

    def read(self, token_ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """See Predictor.read."""
        import torch

        token_ids = indices.check_indices("the characters", token_ids, (self._steps, self.num_streams), self.vocab_size)
        for first, last in zip(self._bptt.states(0), self._bptt.states(-1), strict=True):
            first.copy_(last)
        log_probs = self._bptt.forward(torch.tensor(token_ids, device=self._device))
        # A copy also on the CPU, where the next call would overwrite the array. Converted there: MPS lacks float64.
        in_numpy: npt.NDArray[np.float64] = log_probs.cpu().to(torch.float64, copy=True).numpy()
        return in_numpy.reshape(*token_ids.shape, -1)

    def select_streams(self, sources: npt.NDArray[np.integer[Any]]) -> None:
        """See Predictor.select_streams."""
        sources = indices.check_indices("the streams", sources, (self.num_streams,), self.num_streams)
        for state in self._bptt.states(-1):
            state.copy_(state[sources.tolist()])
