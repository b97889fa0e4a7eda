"""Choosing the next characters among those that a predictor predicts. Source: sample.lua.

The draws are made from double-precision log-probabilities. A predictor that gives char-rnn's very numbers therefore
gives char-rnn's very bytes. Here NumPy says how that goes, one step at a time; kernel_draw.h does many at a time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from compat.lua_random import LuaRandom, multinomial
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from pycharrnn.engine.kernel_streams import SamplingParams
    from pycharrnn.sampling.options import SampleOptions

_RANDOM_NUMBERS = 1024  # of each stream at a time; one call for each would cost more than the numbers


class RandomNumbers:
    """Torch7's random numbers for B streams.

    Args:
        delays: for each stream, after how many others, zeros, its first one comes.
    """

    def __init__(self, seeds: Sequence[int], delays: Sequence[int]) -> None:
        self._generators = [LuaRandom(seed) for seed in seeds]
        self._delays = list(delays)
        self._numbers = np.empty((0, len(seeds)))

    def next(self, count: int) -> npt.NDArray[np.float64]:
        """The next ones in [0, 1), (count, B), which stay the next ones until `skip`."""
        while len(self._numbers) < count:
            more = np.zeros((_RANDOM_NUMBERS, len(self._generators)))
            for b, generator in enumerate(self._generators):
                delay = min(self._delays[b], _RANDOM_NUMBERS)
                more[delay:, b] = generator.random(_RANDOM_NUMBERS - delay)
                self._delays[b] -= delay
            self._numbers = np.concatenate([self._numbers, more])
        return self._numbers[:count]

    def skip(self, count: int) -> None:
        """Go on to the ones after so many."""
        self._numbers = self._numbers[count:]


def softmax(scores: npt.NDArray[np.float64], temperature: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    """exp(scores / temperature), each row summing to 1. Shape (B, V); temperature: of all, or (B, 1)."""
    with np.errstate(over="ignore", invalid="ignore"):  # `choose` finds infinity and NaN
        probabilities = np.exp(scores / temperature)
        probabilities /= np.add.reduce(probabilities, -1, keepdims=True)  # as sum(), without its overhead
    return probabilities


def choose(
    scores: npt.NDArray[np.float64], opt: SampleOptions, choice: SamplingParams
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """What M streams draw in one step: numbers in the vocabulary, (M,), and the probabilities they come from, (M, V).

    Args:
        scores: (M, V).
        choice: of one step, as `opt` has it.

    Errors: UserError for a row with NaN.
    """
    temperature = choice.temperatures[0]
    probabilities = softmax(scores, temperature[:, None])
    if opt.topk or opt.topp < 1:
        probabilities = _keep_likeliest(probabilities, opt.topk, opt.topp)
    if not opt.sample:
        return _largest_indices(scores, temperature), probabilities
    try:
        return multinomial(probabilities.astype(np.float32), choice.random_numbers[0]), probabilities
    except ValueError:
        raise nan_error(temperature) from None


def _keep_likeliest(probabilities: npt.NDArray[np.float64], topk: int, topp: float) -> npt.NDArray[np.float64]:
    """Each row with 0 in place of what -topk and -topp leave out, summing to 1 again. Shape (B, V).

    Args:
        topk: how many of the largest to keep; 0 for all.
        topp: keep the fewest of the largest whose sum reaches this.
    """
    by_rank = np.argsort(-probabilities, -1, kind="stable")
    ranked = np.take_along_axis(probabilities, by_rank, -1)
    left_out = (np.cumsum(ranked, -1) - ranked >= topp) & (topp < 1)  # whose sum may reach 1 by rounding
    if topk:
        left_out[:, topk:] = True
    left_out[:, 0] = False
    np.put_along_axis(probabilities, by_rank, np.where(left_out, 0, ranked), -1)
    kept: npt.NDArray[np.float64] = probabilities / probabilities.sum(-1, keepdims=True)
    return kept


def _largest_indices(scores: npt.NDArray[np.float64], temperature: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The index of each row's largest score, (B,). Errors: UserError for a row with NaN, which argmax would take."""
    indices: npt.NDArray[np.int64] = scores.argmax(-1)
    for row, index in enumerate(indices.tolist()):
        if math.isnan(scores.item(row, index)):
            raise nan_error(temperature)
    return indices


def nan_error(temperature: npt.NDArray[np.float64] | float) -> UserError:
    """The exception to raise when a model predicts NaN at this temperature, the highest of several."""
    return UserError(
        f"the model's probabilities at -temperature {np.max(temperature):g} are no numbers: try a -temperature nearer"
        " to 1; if that does not help, the checkpoint holds a model whose training failed."
    )
