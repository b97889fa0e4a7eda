"""LogSoftMax with the approximate exponential that Torch7 used on a CPU until 27 April 2016.

It changes losses by about 1e-4. Source: THExpMinusApprox in lib/TH/THLogAdd.c of torch7; nn's LogSoftMax.c of then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_SERIES = (1.0172526e-5, 0.00032552083, 0.0078125, 0.125, 1.0)  # (1/8)**k / k! for k = 4, 3, 2, 1, 0
_NOTHING_FROM = 13.0  # exp(-x) is 0 from here on


def exp_minus(x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """About exp(-x) for x >= 0.

    Example:
        >>> round(float(exp_minus(np.array(2.0))), 6)  # exp(-2) is 0.135335
        0.135342
    """
    y = np.polyval(_SERIES, x)
    for _ in range(3):
        y *= y
    return np.where(x < _NOTHING_FROM, 1 / y, 0.0)


def log_softmax(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log-probabilities over the last axis, in nats."""
    highest = scores.max(-1, keepdims=True)
    log_probabilities: npt.NDArray[np.float64]
    log_probabilities = scores - (highest + np.log(exp_minus(highest - scores).sum(-1, keepdims=True)))
    return log_probabilities
