"""Log-probabilities of given characters under a model, and the block size to read them in."""

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

MAX_DOUBLES = 1 << 24  # in a predictor's buffers, about: 128 MiB
STEPS = 256  # characters of a text to read at once


def doubles_per_step(network: Network, B: int) -> int:
    """The size of a predictor's buffers for each step of B streams, about: gates, states and logits."""
    return B * (8 * network.num_layers * network.rnn_size + 4 * network.vocab_size)


def block_size(T: int, doubles_per_step: int) -> int:
    """The largest divisor of T for which the buffers of that many steps stay below MAX_DOUBLES; at least 1."""
    most = max(MAX_DOUBLES // doubles_per_step, 1)
    return next(steps for steps in range(min(T, most), 0, -1) if T % steps == 0)


def steps_at_once(network: Network) -> int:
    """How many characters of one text to read at once: STEPS, or fewer of a large network."""
    return block_size(STEPS, doubles_per_step(network, 1))


def log_likelihoods(
    predictor: Predictor,
    token_ids: npt.NDArray[np.integer[Any]],
    targets: npt.NDArray[np.integer[Any]],
    threads: int = 1,
) -> npt.NDArray[np.float64]:
    """Read T characters in each stream, (T, B): the log-probabilities of `targets`, which follow them, in nats, (T, B).

    With the C kernel `threads` share the streams.
    """
    if isinstance(predictor, KernelPredictor):
        return of_streams(predictor, range(token_ids.shape[1]), token_ids, targets, threads)
    found: npt.NDArray[np.float64] = np.take_along_axis(predictor.read(token_ids), targets[..., None], -1)[..., 0]
    return found


def of_streams(
    predictor: KernelPredictor,
    streams: Sequence[int],
    token_ids: npt.NDArray[np.integer[Any]],
    targets: npt.NDArray[np.integer[Any]],
    threads: int = 1,
) -> npt.NDArray[np.float64]:
    """The same in M of the streams, for any number of characters: (T, M)."""
    parts = min(threads, len(streams))
    if parts == 1:
        return predictor.log_likelihoods(streams, token_ids, targets)
    bounds = [len(streams) * k // parts for k in range(parts + 1)]

    def of_part(first: int, last: int) -> npt.NDArray[np.float64]:
        return predictor.log_likelihoods(streams[first:last], token_ids[:, first:last], targets[:, first:last])

    return np.concatenate(list(_pool(threads).map(of_part, bounds[:-1], bounds[1:])), 1)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """A pool that lives until the program ends."""
    return ThreadPoolExecutor(threads, "pycharrnn")
