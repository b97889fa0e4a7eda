"""The temperature by which -calibrate divides the logits at the end of a run.

A network gives its predictions too much probability, the more so the longer it has learned from a short text.
Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2: temperature scaling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

# At which the validation loss is computed; a run that has overfitted for long is far too confident.
TEMPERATURES = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.5, 3.0)
_NEAR_1 = 0.015  # a temperature so close to 1 lowers the loss by less than the parabola's error


class Calibration(NamedTuple):
    """The temperature that divides the logits, and the validation loss before, in nats per character."""

    temperature: float
    loss_before: float


def best_temperature(losses: Sequence[float]) -> float:
    """The temperature of the lowest loss, to two decimals, by the parabola through the lowest of `losses` and those
    beside it. losses: at each of TEMPERATURES. 1 if they are not numbers, or if the temperature is within 0.01 of 1.
    """
    if not all(map(math.isfinite, losses)):
        return 1.0
    k = min(range(len(losses)), key=lambda k: (losses[k], abs(TEMPERATURES[k] - 1)))
    if k in (0, len(losses) - 1):
        return TEMPERATURES[k]
    x = TEMPERATURES[k]
    before, after = x - TEMPERATURES[k - 1], TEMPERATURES[k + 1] - x
    falls, rises = losses[k - 1] - losses[k], losses[k + 1] - losses[k]  # neither is negative
    if not falls + rises:
        return x
    found = round(x + (after * after * falls - before * before * rises) / (2 * (after * falls + before * rises)), 2)
    return 1.0 if abs(found - 1) < _NEAR_1 else found
