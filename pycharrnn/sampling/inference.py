"""A trained network that reads characters and predicts the next one, for sampling and scoring.

On the CPU it runs on the C kernel or in NumPy, in double precision, so that it starts at once and gives char-rnn's
very numbers; on a GPU it runs in PyTorch. Any number of texts (streams) go side by side, each with a hidden state of
its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pycharrnn.engine import indices, kernel_library
from pycharrnn.engine.kernel_network import PackedNetwork
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.numpy_predictor import NumpyPredictor

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from compat.graph_match import Network
    from pycharrnn.engine.model import CharRNN


class Predictor(Protocol):
    """A model with B streams; their hidden states are zeros at first, and carry over from call to call."""

    vocab_size: int

    def read(self, characters: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """Read T characters in each stream.

        Args:
            characters: whole numbers (T, B), numbered from 0; T and B as the predictor was made for.

        Returns: log-probabilities of the next character after each one read, in nats, float64, shape (T, B, V).

        Errors: TypeError, ValueError for an array of another type or shape; IndexError for a character that the
            vocabulary lacks.
        """

    def step(self, index: int) -> npt.NDArray[np.float64]:
        """Read one character in the only stream, for a predictor of one stream that reads one step at a time.

        Returns: log-probabilities of the next character, in nats, shape (V,).

        Errors: as read's.
        """

    def select_streams(self, sources: npt.NDArray[np.integer[Any]]) -> None:
        """Give stream k a copy of the hidden state of stream sources[k], for all k at once.

        Args:
            sources: whole numbers from 0 below B, (B,).

        Errors: TypeError, ValueError for an array of another type or shape; IndexError for a stream that is not there.
        """


class LocalPredictor(Predictor, Protocol):
    """A predictor whose network runs in this process, on the CPU: KernelPredictor or NumpyPredictor."""

    @property
    def nbytes(self) -> int:
        """What the weights take in memory, buffers left out."""

    def activations(self) -> npt.NDArray[np.float64]:
        """What the units held after each character of the last `read`, in [-1, 1]: tanh(c) of an lstm, else h.

        Shape (L, T, B, H).
        """

    def fresh(self, steps: int = 1, streams: int = 1) -> LocalPredictor:
        """A predictor that shares this one's weights, with hidden states of zeros, for T steps of B streams."""


def make_predictor(loaded: Checkpoint, device: str = "cpu", streams: int = 1, steps: int = 1) -> Predictor:
    """A predictor for a loaded checkpoint.

    Args:
        device: PyTorch's name of it.
        streams: texts side by side, B.
        steps: characters that `read` takes at once, T.
    """
    if device == "cpu":
        return on_cpu(loaded.network, streams, steps)
    from pycharrnn.engine.model import CharRNN  # here, since PyTorch takes a second to load and the CPU does without it

    return TorchPredictor(CharRNN.from_checkpoint(loaded, device=device), streams, steps)


def on_cpu(network: Network, streams: int = 1, steps: int = 1) -> LocalPredictor:
    """A predictor on the CPU: on the C kernel where that has been compiled, else in NumPy.

    Args:
        streams: texts side by side, B.
        steps: characters that `read` takes at once, T.

    Errors: UserError for a PYCHARRNN_KERNEL that there is not.
    """
    library = kernel_library.library()
    if library is None:
        return NumpyPredictor(network, streams, steps)
    return KernelPredictor(PackedNetwork(library, network), streams, steps)


class TorchPredictor:
    """Runs a CharRNN on its device, in its precision.

    Args:
        streams: texts side by side, B.
        steps: characters that `read` takes at once, T.

    Errors: ValueError for streams or steps below 1.
    """

    def __init__(self, model: CharRNN, streams: int = 1, steps: int = 1) -> None:
        self.vocab_size = model.vocab_size
        self._device = model.flat.device
        self._shape = steps, streams
        self._bptt = model.bptt(steps, streams)
        for state in self._bptt.states(-1):
            state.zero_()

    def step(self, index: int) -> npt.NDArray[np.float64]:
        """See Predictor.step."""
        log_probs: npt.NDArray[np.float64] = self.read(np.array([[index]]))[0, 0]
        return log_probs

    def read(self, characters: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """See Predictor.read."""
        import torch

        characters = indices.check_indices("the characters", characters, self._shape, self.vocab_size)
        for first, last in zip(self._bptt.states(0), self._bptt.states(-1), strict=True):
            first.copy_(last)
        log_probs = self._bptt.forward(torch.tensor(characters, device=self._device))
        # A copy even on the CPU, where the next call would overwrite the buffer under the caller's array. It becomes
        # double only there: MPS has no such numbers.
        in_numpy: npt.NDArray[np.float64] = log_probs.cpu().to(torch.float64, copy=True).numpy()
        return in_numpy.reshape(*characters.shape, -1)

    def select_streams(self, sources: npt.NDArray[np.integer[Any]]) -> None:
        """See Predictor.select_streams."""
        sources = indices.check_indices("the streams", sources, self._shape[1:], self._shape[1])
        for state in self._bptt.states(-1):
            state.copy_(state[sources.tolist()])
