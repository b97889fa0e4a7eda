"""How likely a model finds given characters, and how many it reads at once."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from pycharrnn.sampling.kernel_predictor import KernelPredictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from compat.graph_match import Network
    from pycharrnn.sampling.predictor import Predictor

MAX_NUMBERS = 1 << 24  # that a model's buffers hold while it reads, roughly: 128 MiB in double precision


def numbers_in_a_step(network: Network, B: int) -> int:
    """How many numbers a predictor's buffers hold for each step of B texts, roughly: gates, states and scores."""
    return B * (8 * network.num_layers * network.rnn_size + 4 * network.vocab_size)


def steps_at_once(T: int, numbers_in_a_step: int) -> int:
    """The largest divisor of T so that the buffers of that many steps stay below MAX_NUMBERS; at least 1."""
    most = max(MAX_NUMBERS // numbers_in_a_step, 1)
    return next(steps for steps in range(min(T, most), 0, -1) if T % steps == 0)


def log_likelihoods(
    predictor: Predictor,
    characters: npt.NDArray[np.integer[Any]],
    following: npt.NDArray[np.integer[Any]],
    threads: int = 1,
) -> npt.NDArray[np.float64]:
    """Read T characters in each stream of a predictor: log-probabilities of those that follow, in nats, (T, B).

    Args:
        characters: whole numbers (T, B), numbered from 0; T and B as the predictor was made for.
        following: what comes after each, (T, B).
        threads: how many share the streams, where the predictor is the kernel's.
    """
    if isinstance(predictor, KernelPredictor):
        return of_streams(predictor, range(characters.shape[1]), characters, following, threads)
    chosen: npt.NDArray[np.float64] = np.take_along_axis(predictor.read(characters), following[..., None], -1)[..., 0]
    return chosen


def of_streams(
    predictor: KernelPredictor,
    streams: Sequence[int],
    characters: npt.NDArray[np.integer[Any]],
    following: npt.NDArray[np.integer[Any]],
    threads: int = 1,
) -> npt.NDArray[np.float64]:
    """The same in some of the streams, M of them, which read any number of characters: (T, M)."""
    parts = min(threads, len(streams))
    if parts == 1:
        return predictor.log_likelihoods(streams, characters, following)
    bounds = [len(streams) * k // parts for k in range(parts + 1)]

    def of_part(first: int, last: int) -> npt.NDArray[np.float64]:
        return predictor.log_likelihoods(streams[first:last], characters[:, first:last], following[:, first:last])

    return np.concatenate(list(_pool(threads).map(of_part, bounds[:-1], bounds[1:])), 1)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that wait for work until the program ends."""
    return ThreadPoolExecutor(threads, "pycharrnn")
