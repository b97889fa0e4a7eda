"""How the learning rate falls in the course of a run: by char-rnn's rule, epoch by epoch, or along a line."""

from __future__ import annotations

import math

from pycharrnn.training.settings import OptimisationSettings

_MOST_EPOCHS = 10**9 + 1  # more than a checkpoint may count iterations
_EXACT_DECAYS = 10**6  # more epochs than any run has, and no time at all
_LOWEST = 0.01  # of -learning_rate, with -anneal: the last iterations still do something


def decays_after(opt: OptimisationSettings, i: int, ntrain: int) -> bool:
    """Whether char-rnn's rule lowers the learning rate after iteration `i`. Source: train.lua."""
    return i % ntrain == 0 and opt.learning_rate_decay < 1 and i / ntrain >= opt.learning_rate_decay_after


def after(opt: OptimisationSettings, i: int, ntrain: int, iterations: int) -> float:
    """The learning rate after iteration `i`, had it always gone by `opt`.

    Args:
        ntrain: iterations of an epoch.
        iterations: of the whole run.
    """
    return annealed(opt, i, iterations) if opt.anneal else _decayed(opt, i, ntrain)


def annealed(opt: OptimisationSettings, i: int, iterations: int) -> float:
    """The learning rate after iteration `i` with -anneal: a line over the last part of the run."""
    left = (iterations - i) / (iterations * opt.anneal)
    return opt.learning_rate * min(1, max(left, _LOWEST))


def _decayed(opt: OptimisationSettings, i: int, ntrain: int) -> float:
    """The learning rate after iteration i, by train.lua's rule: a product after each epoch, whose rounding counts."""
    rate, decay = opt.learning_rate, opt.learning_rate_decay
    if decay < 1:
        first = math.ceil(min(max(opt.learning_rate_decay_after, 1), _MOST_EPOCHS))
        times = max(i // ntrain - first + 1, 0)
        for _ in range(min(times, _EXACT_DECAYS)):
            rate *= decay
        rate *= decay ** max(times - _EXACT_DECAYS, 0)
    return rate
