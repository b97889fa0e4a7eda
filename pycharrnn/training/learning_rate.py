"""Learning rate schedules: char-rnn's decay by epochs; a linear fall (-anneal, -anneal_to) and rise (-warmup)."""

from __future__ import annotations

import math

from pycharrnn.training import length_changes
from pycharrnn.training.settings import OptimisationSettings

_MOST_EPOCHS = 10**9 + 1  # more than any checkpoint has iterations
_EXACT_DECAYS = 10**6  # more epochs than any run has
_LOWEST = 0.01  # fraction of -learning_rate at the end of -anneal


def first(optimisation: OptimisationSettings) -> float:
    """The learning rate of the first iteration."""
    return optimisation.learning_rate * _warmed_up(optimisation, 0)


def decays_after(optimisation: OptimisationSettings, i: int, ntrain: int) -> bool:
    """Whether char-rnn's rule lowers the learning rate after iteration `i`. Source: train.lua."""
    return (
        i % ntrain == 0
        and optimisation.learning_rate_decay < 1
        and i / ntrain >= optimisation.learning_rate_decay_after
    )


def after(optimisation: OptimisationSettings, i: int, ntrain: int, iterations: int) -> float:
    """The learning rate after iteration `i` of a run of `iterations`, `ntrain` in an epoch."""
    rate = _annealed(optimisation, i, iterations) if optimisation.anneal else _decayed(optimisation, i, ntrain)
    return rate * _warmed_up(optimisation, i)


def _warmed_up(optimisation: OptimisationSettings, i: int) -> float:
    """The fraction of the learning rate that -warmup allows after iteration `i`."""
    return min(1, (i + 1) / optimisation.warmup) if optimisation.warmup else 1


def _annealed(optimisation: OptimisationSettings, i: int, iterations: int) -> float:
    """The learning rate after iteration `i` with -anneal: a line to the end, with a bend at each change of -anneal_to.

    Up to the first change it does not depend on later ones, so a run that changes its length goes on exactly. A
    change at the end of a run (N:N), where the rate is nearly zero, begins anew: the rate is then that of a run of the
    new length.
    """
    changes = length_changes.parse(optimisation.anneal_to) or []
    ends = [*(length for length, _ in changes), max(iterations, 1)]  # a resumed run may have none left
    left, start, is_first = 1.0, 0, True  # at iteration `start`
    for end, stop in zip(ends, [*(at for _, at in changes), iterations], strict=True):
        at = min(i, stop)
        if is_first:
            left = (end - at) / (end * optimisation.anneal)
        elif at > start:
            left *= (end - at) / (end - start)
        if i <= stop:
            break
        start, is_first = stop, stop == end
    return optimisation.learning_rate * min(1, max(left, _LOWEST))


def _decayed(optimisation: OptimisationSettings, i: int, ntrain: int) -> float:
    """The learning rate after iteration i by train.lua's rule: one product an epoch, with its rounding."""
    rate, decay = optimisation.learning_rate, optimisation.learning_rate_decay
    if decay < 1:
        first = math.ceil(min(max(optimisation.learning_rate_decay_after, 1), _MOST_EPOCHS))
        times = max(i // ntrain - first + 1, 0)
        for _ in range(min(times, _EXACT_DECAYS)):
            rate *= decay
        rate *= decay ** max(times - _EXACT_DECAYS, 0)
    return rate
