"""The predictor on the C kernel: on the CPU, in double precision, without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.engine import indices
from pycharrnn.engine.kernel_network import PackedNetwork
from pycharrnn.engine.kernel_streams import SampleOutput, SampleRequest, SamplingParams, Streams
from pycharrnn.sampling.predictor import LocalPredictor, steps_per_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from compat.graph_match import Network

    State = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]  # h and, of an lstm, c; (L, H) each

_MAX_STEPS = 64  # per call of `sample`


class KernelPredictor(LocalPredictor):
    """Runs a packed network with B streams and T steps, and samples many characters per call.

    The results of a stream do not depend on the other streams, on the number of steps per call, or on threads.

    Attributes:
        rows_per_step: how many streams the kernel takes through a step at once.
        multiplications: of one step in one stream.

    Errors: ValueError for streams or steps below 1.
    """

    def __init__(self, network: PackedNetwork, streams: int = 1, steps: int = 1) -> None:
        self._network, self._steps = network, steps
        self._streams = Streams(network, streams, steps)
        self.vocab_size, self.num_streams = network.structure.V, streams
        self.rows_per_step, self.multiplications = network.rows_per_step, network.multiplications
        self.steps_per_call = steps_per_call(network.multiplications, _MAX_STEPS)

    def read(self, token_ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """See Predictor.read."""
        return self._streams.read(token_ids)

    def log_likelihoods(
        self,
        streams: Sequence[int],
        token_ids: npt.NDArray[np.integer[Any]],
        targets: npt.NDArray[np.integer[Any]],
    ) -> npt.NDArray[np.float64]:
        """See kernel_streams.Streams.log_likelihoods."""
        return self._streams.log_likelihoods(np.asarray(streams), token_ids, targets)

    def reset_state(self, stream: int) -> None:
        """Set the hidden state of a stream to zeros."""
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
        """See Predictor.sample and, for `request`, kernel_streams.Streams.sample. Other streams stay as they are."""
        return self._streams.sample(np.asarray(streams), last_ids, log_probs, params, with_probs, request)

    def states(self) -> list[State]:
        """A copy of the hidden state of each stream, for `set_states` of another predictor of this network."""
        h, c = self._streams.h, self._streams.c
        return [(h[b].copy(), c[b].copy() if c.size else None) for b in range(len(h))]

    def set_states(self, states: Sequence[State]) -> None:
        """Set the hidden states of all streams. Errors: ValueError for those of another network."""
        for b, state in enumerate(states):
            self.set_state(b, state)

    def set_state(self, stream: int, state: State) -> None:
        """Set the hidden state of one stream. Errors: ValueError for one of another network."""
        h, c = state
        self._streams.h[stream] = h
        if c is not None:
            self._streams.c[stream] = c

    def select_streams(self, sources: npt.NDArray[np.integer[Any]]) -> None:
        """See Predictor.select_streams."""
        sources = indices.check_indices("the streams", sources, (self.num_streams,), self.num_streams)
        for state in (self._streams.c, self._streams.h):
            if state.size:
                state[:] = state[sources]

    def activations(self) -> npt.NDArray[np.float64]:
        """See LocalPredictor.activations."""
        return self._streams.activations

    @property
    def nbytes(self) -> int:
        """See LocalPredictor.nbytes."""
        return self._network.nbytes

    def fresh(self, *, streams: int = 1, steps: int = 1) -> KernelPredictor:
        """See LocalPredictor.fresh."""
        return KernelPredictor(self._network, streams, steps)

    def with_network(self, network: Network) -> KernelPredictor:
        """See LocalPredictor.with_network."""
        other = KernelPredictor(PackedNetwork(self._network.library, network), self.num_streams, self._steps)
        other.set_states(self.states())
        return other
