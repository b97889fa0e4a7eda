"""The temperature by which -calibrate divides the logits at the end of a run.

A network is more confident than its predictions are good, the more so the longer it has learned from a short text.
Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2: temperature scaling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_STEP = 0.1
TEMPERATURES = tuple(round(0.8 + _STEP * k, 1) for k in range(9))  # at which the validation loss is computed


def best_temperature(losses: Sequence[float]) -> float:
    """The temperature of the lowest loss, to two decimals, by the parabola through the lowest of `losses` and those
    beside it. losses: at each of TEMPERATURES. 1 if they are not numbers.
    """
    if not all(map(math.isfinite, losses)):
        return 1.0
    k = min(range(len(losses)), key=lambda k: (losses[k], abs(TEMPERATURES[k] - 1)))
    if k in (0, len(losses) - 1):
        return TEMPERATURES[k]
    before, lowest, after = losses[k - 1 : k + 2]
    curvature = before - 2 * lowest + after
    vertex = (before - after) / (2 * curvature) if curvature > 0 else 0.0
    return round(TEMPERATURES[k] + _STEP * vertex, 2)
