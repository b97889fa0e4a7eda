"""The distribution of the next character: temperature, -topk, -topp, and the choice from it. Source: sample.lua.

All is computed in double precision, so that a predictor with char-rnn's log-probabilities gives char-rnn's bytes. This
is the definition in NumPy, one step at a time; kernel_sample.h computes many steps at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compat.lua_random import multinomial
from pycharrnn.common.errors import UserError, flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from pycharrnn.engine.kernel_streams import SamplingParams
    from pycharrnn.engine.passage_index import CopyLimit


# A sum reaches -topp if it is less by no more than this fraction of it. Otherwise rounding would decide how many of
# equally likely characters are kept, and NumPy, the kernel and a page round their sums differently.
TOPP_SLACK = 1e-9


def softmax(
    log_probs: npt.NDArray[np.float64], temperature: npt.NDArray[np.float64] | float
) -> npt.NDArray[np.float64]:
    """exp(log_probs / temperature), each row summing to 1. Shape (M, V); temperature: one, or (M, 1)."""
    with np.errstate(over="ignore", invalid="ignore"):  # `choose` finds infinity and NaN
        probs = np.exp(log_probs / temperature)
        probs /= np.add.reduce(probs, -1, keepdims=True)  # as sum(), without its overhead
    return probs


def choose(
    log_probs: npt.NDArray[np.float64], params: SamplingParams, step: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Sample one character in each of M streams, at a step of `params`. log_probs: (M, V).

    Returns: token ids (M,), -1 where params.limits leaves no character; and the probabilities that they were sampled
        from, (M, V).

    Errors: ValueError if these are NaN.
    """
    if params.limits is not None:
        return _choose_within(params.limits, log_probs, params, step)
    return _choose(log_probs, params, step)


def _choose(
    log_probs: npt.NDArray[np.float64], params: SamplingParams, step: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    temperatures, greedy = params.temperatures[step][:, None], params.greedy.tolist()
    probs = softmax(log_probs, temperatures)
    if any(greedy) and (underflown := params.greedy & np.isnan(probs[:, 0])).any():
        # The most probable character is defined all the same, and so is its probability.
        shifted = log_probs[underflown] - log_probs[underflown].max(-1, keepdims=True)
        probs[underflown] = softmax(shifted, temperatures[underflown])
    if any(params.topk.tolist()) or min(params.topp.tolist()) < 1:
        probs = _truncate(probs, params.topk[:, None], params.topp[:, None])
    if all(greedy):
        return _argmax(log_probs), probs
    token_ids = multinomial(probs.astype(np.float32), params.random_numbers[step])
    return np.where(params.greedy, _argmax(log_probs), token_ids) if any(greedy) else token_ids, probs


def _choose_within(
    limits: Sequence[CopyLimit | None], log_probs: npt.NDArray[np.float64], params: SamplingParams, step: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """As `choose`, without the characters that `limits` forbid: the others are scaled up first, then truncated."""
    log_probs, ended = log_probs.copy(), np.zeros(len(log_probs), bool)
    for m, limit in enumerate(limits):
        if limit is None or not limit.forbid(log_probs[m]):
            continue
        top = log_probs[m].max()
        ended[m] = top == -np.inf
        log_probs[m] -= 0 if ended[m] else top
    log_probs[ended] = 0
    token_ids, probs = _choose(log_probs, params, step)
    for m, limit in enumerate(limits):
        if log_probs[m, token_ids[m]] == -np.inf:  # by a random number of 0, of which multinomial makes the first
            token_ids[m] = np.argmax(probs[m].astype(np.float32) > 0)
        if limit is not None and not ended[m]:
            limit.append(token_ids[m : m + 1])
    token_ids[ended], probs[ended] = -1, 0
    return token_ids, probs


def _truncate(
    probs: npt.NDArray[np.float64], topk: npt.NDArray[np.int64], topp: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Set to 0 what -topk and -topp, (M, 1), exclude, and scale each row to sum to 1 again. Shape (M, V)."""
    by_rank = np.argsort(-probs, -1, kind="stable")
    ranked = np.take_along_axis(probs, by_rank, -1)
    reached = np.cumsum(ranked, -1) - ranked >= topp * (1 - TOPP_SLACK)
    excluded = reached & (topp < 1)  # by rounding, the sum may reach 1 early
    excluded |= (np.arange(probs.shape[-1]) >= topk) & (topk > 0)
    np.put_along_axis(probs, by_rank, np.where(excluded, 0, ranked), -1)
    kept: npt.NDArray[np.float64] = probs / probs.sum(-1, keepdims=True)
    return kept


def _argmax(log_probs: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The index of each row's maximum, the first of equal ones, (M,). Errors: ValueError for a row with NaN."""
    token_ids: npt.NDArray[np.int64] = log_probs.argmax(-1)  # the position of NaN in a row that has one
    if np.isnan(np.take_along_axis(log_probs, token_ids[:, None], -1)).any():
        raise ValueError("the log-probabilities hold NaN")
    return token_ids


def nan_error(temperatures: npt.NDArray[np.float64] | float) -> UserError:
    """The error for a model that predicts NaN; it names the one of these temperatures that is farthest from 1."""
    farthest = float(max(np.ravel(temperatures), key=lambda temperature: abs(temperature - 1)))
    given = "" if farthest == 1 else f" at {flag('temperature', farthest)}"
    way_out = f"try a {flag('temperature')} nearer to 1; if that does not help, " if given else ""
    return UserError(
        f"the model's probabilities{given} are NaN: {way_out}the checkpoint holds a model whose training failed."
    )
