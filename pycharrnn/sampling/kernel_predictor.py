"""A predictor on the C kernel: a network on the CPU in double precision, without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.engine import indices
from pycharrnn.engine.kernel_network import PackedNetwork
from pycharrnn.engine.kernel_streams import SampleOutput, SampleRequest, SamplingParams, Streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    State = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]  # h and, of an lstm, c; (L, H) each

_DRAW_AT_ONCE = 12_000_000  # multiplications of a stream, which take a millisecond or two


class KernelPredictor:
    """Runs a packed network, as inference.NumpyPredictor does, and draws from it without a return to Python.

    A stream's numbers do not depend on the streams beside it, on the number of steps at once, or on threads.

    Args:
        streams: texts side by side, B.
        steps: characters that `read` takes at once, T.

    Attributes:
        draws_at_once: how many characters to draw in one call, so that it takes some milliseconds.
        together: in how many streams a step costs little more than in one.
        multiplications: of one step in one stream.

    Errors: ValueError for streams or steps below 1.
    """

    def __init__(self, network: PackedNetwork, streams: int = 1, steps: int = 1) -> None:
        self._network = network
        self._streams = Streams(network, streams, steps)
        self._shape = steps, streams
        self.vocab_size: int = network.structure.V
        self.together, self.multiplications = network.together, network.multiplications
        self.draws_at_once = max(1, min(64, _DRAW_AT_ONCE // network.multiplications))

    def step(self, index: int) -> npt.NDArray[np.float64]:
        """See inference.Predictor.step."""
        log_probs: npt.NDArray[np.float64] = self.read(np.array([[index]]))[0, 0]
        return log_probs

    def read(self, characters: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """See inference.Predictor.read."""
        return self._streams.read(characters)

    def log_likelihoods(
        self,
        streams: Sequence[int],
        characters: npt.NDArray[np.integer[Any]],
        targets: npt.NDArray[np.integer[Any]],
    ) -> npt.NDArray[np.float64]:
        """See kernel_streams.Streams.log_likelihoods."""
        return self._streams.log_likelihoods(np.asarray(streams), characters, targets)

    def reset_state(self, stream: int) -> None:
        """Make the hidden state of a stream zeros."""
        self._streams.reset_state(stream)

    def sample(
        self,
        streams: Sequence[int],
        last_ids: npt.NDArray[np.integer[Any]],
        log_probs: npt.NDArray[np.float64] | None,
        params: SamplingParams,
        with_probs: bool,
        request: SampleRequest | None = None,
    ) -> SampleOutput:
        """See kernel_streams.Streams.draw."""
        return self._streams.sample(np.asarray(streams), last_ids, log_probs, params, with_probs, request)

    def states(self) -> list[State]:
        """A copy of the hidden state of each stream, with which another predictor of this network can go on."""
        h, c = self._streams.h, self._streams.c
        return [(h[b].copy(), c[b].copy() if c.size else None) for b in range(len(h))]

    def go_on_from(self, states: Sequence[State]) -> None:
        """Take over the hidden states of as many streams. Errors: ValueError for those of another network."""
        for b, (h, c) in enumerate(states):
            self._streams.h[b] = h
            if c is not None:
                self._streams.c[b] = c

    def select_streams(self, sources: npt.NDArray[np.integer[Any]]) -> None:
        """See inference.Predictor.select_streams."""
        sources = indices.check_indices("the streams", sources, self._shape[1:], self._shape[1])
        for state in (self._streams.c, self._streams.h):
            if state.size:
                state[:] = state[sources]

    def activations(self) -> npt.NDArray[np.float64]:
        """What the units held after each character of the last `read`, in [-1, 1]: tanh(c) of an lstm, else h.

        Shape (L, T, B, H). After `draw`, these are those after the last character that it has read.
        """
        return self._streams.activations

    @property
    def nbytes(self) -> int:
        """What the weights take in memory, buffers left out."""
        return self._network.nbytes

    def fresh(self, steps: int = 1, streams: int = 1) -> KernelPredictor:
        """A predictor that shares this one's weights, with hidden states of zeros.

        Args:
            steps: characters that its `read` takes at once, T.
            streams: texts side by side, B.
        """
        return KernelPredictor(self._network, streams, steps)
