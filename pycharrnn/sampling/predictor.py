"""The interface of a model in use for sampling and scoring, and sampling for the implementations that only read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.engine.kernel_streams import SampleOutput
from pycharrnn.sampling.distribution import choose

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from compat.graph_match import Network
    from pycharrnn.engine.kernel_streams import SamplingParams

_MAX_STEPS = 16  # per call of `sample`: enough to share its overhead
_MULTIPLICATIONS = 12_000_000  # of a stream in one call of `sample`: one or two milliseconds


def steps_per_call(multiplications: int, most: int = _MAX_STEPS) -> int:
    """How many characters to sample in one call, for a model of so many multiplications per character."""
    return max(1, min(most, _MULTIPLICATIONS // multiplications))


class Predictor(ABC):
    """A model with B streams. Hidden states are zeros at first, and carry over from call to call.

    Attributes:
        vocab_size: V.
        num_streams: B.
        steps_per_call: how many characters to sample in one call so that it takes a few milliseconds.
    """

    vocab_size: int
    num_streams: int
    steps_per_call: int = _MAX_STEPS

    @abstractmethod
    def read(self, token_ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """Read T characters in each stream, (T, B): log-probabilities of the next after each, in nats, (T, B, V).

        Errors: TypeError, ValueError for an array of another type or shape; IndexError for an unknown id.
        """

    @abstractmethod
    def select_streams(self, sources: npt.NDArray[np.integer[Any]]) -> None:
        """Give stream k a copy of the hidden state of stream sources[k], (B,), for all k at once.

        Errors: TypeError, ValueError for an array of another type or shape; IndexError for a stream outside [0, B).
        """

    def step(self, token_id: int) -> npt.NDArray[np.float64]:
        """`read` for one character, one stream and one step; (V,)."""
        log_probs: npt.NDArray[np.float64] = self.read(np.array([[token_id]]))[0, 0]
        return log_probs

    def sample(
        self,
        streams: Sequence[int],
        last_ids: npt.NDArray[np.integer[Any]],
        log_probs: npt.NDArray[np.float64] | None,
        params: SamplingParams,
        with_probs: bool,
    ) -> SampleOutput:
        """Sample characters in M streams until a pause, and read all but the last. For predictors of one step.

        The hidden states of the other streams are undefined afterwards.

        Args:
            streams: their indices, each once.
            last_ids: the last character of each, sampled but not read, (M,).
            log_probs: sample the first characters from these, (M, V), without reading `last_ids`; None: read it first.
        """
        (N, M), V = params.temperatures.shape, self.vocab_size
        token_ids, token_probs = np.empty((N, M), np.int64), np.empty((N, M))
        all_probs = np.empty((N, M, V)) if with_probs else None
        pending = np.zeros((1, self.num_streams), np.int64)
        pending[0, streams] = last_ids
        n, failed, rows = 0, False, np.arange(M)
        while n < N:
            if n or log_probs is None:
                log_probs = self.read(pending)[0]
                log_probs = log_probs if self.num_streams == M else log_probs[streams]
            try:
                ids, probs = choose(log_probs, params, n)
            except ValueError:
                failed = True
                break
            pending[0, streams] = token_ids[n] = ids
            token_probs[n] = probs[rows, ids]  # 0 where the id is -1
            if all_probs is not None:
                all_probs[n] = probs
            n += 1
            if params.pause_after is not None and params.pause_after[ids].any():
                break
            if params.limits is not None and (ids < 0).any():
                break
        return SampleOutput(token_ids[:n], token_probs[:n], None if all_probs is None else all_probs[:n], failed)


class LocalPredictor(Predictor):
    """A predictor whose network runs in this process, on the CPU."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Size of the weights in memory, without buffers."""

    @abstractmethod
    def activations(self) -> npt.NDArray[np.float64]:
        """Activations of the units after each character of the last `read`: tanh(c) of an lstm, else h; (L, T, B, H).

        After `sample` in all streams: those after the last character read, T = 1.
        """

    @abstractmethod
    def fresh(self, *, streams: int = 1, steps: int = 1) -> LocalPredictor:
        """A predictor of T steps and B streams that shares this one's weights, with hidden states of zeros."""

    @abstractmethod
    def with_network(self, network: Network) -> LocalPredictor:
        """A predictor of a network of the same sizes with other weights, and with copies of these hidden states."""
