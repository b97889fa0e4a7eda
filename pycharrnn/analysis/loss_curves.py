"""The training and validation losses of a run as the points of a curve, from a checkpoint or a -log file."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.checkpoints import checkpoint_facts
from pycharrnn.common.errors import UserError, flag
from pycharrnn.training import log_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from compat.charrnn import Checkpoint

    _Floats = npt.NDArray[np.float64]
    _Points = tuple[Sequence[float], Sequence[float]]  # iterations and losses

_MAX_UNSMOOTHED = 200  # training losses; more are smoothed
_POINTS = 400  # of a smoothed curve: more than an image can show
_LARGEST = 1e15  # iteration or loss to plot; no training has larger ones, and no axis can show them


@dataclass(frozen=True)
class Curve:
    """The losses of a run, in nats per character.

    Attributes:
        train, val: iterations and losses, (n,) each; training losses of a long run are smoothed.
        epochs_per_iteration: 0 if unknown.
        window: number of training losses averaged in each point; 1 without smoothing.
    """

    label: str
    train: tuple[_Floats, _Floats]
    val: tuple[_Floats, _Floats]
    epochs_per_iteration: float
    window: int

    @property
    def best(self) -> tuple[float, float] | None:
        """Iteration and value of the lowest validation loss, or None."""
        if not len(self.val[0]):
            return None
        lowest = int(self.val[1].argmin())
        return float(self.val[0][lowest]), float(self.val[1][lowest])


def loss_curve(loaded: Checkpoint, name: str, path: str = "") -> Curve:
    """The losses in a checkpoint. `path`: of its file, for the message. Errors: UserError if it has none."""
    network = loaded.network
    train = range(1, len(loaded.train_losses) + 1), loaded.train_losses
    validations = checkpoint_facts.validations(loaded)
    val = sorted(validations), [validations[i] for i in sorted(validations)]
    per_iteration = loaded.epoch / loaded.i if loaded.i > 0 else 0.0
    label = f"{name}: {network.model}, {network.num_layers} x {network.rnn_size}"
    return curve(path or name, label, train, val, per_iteration)


def log_curve(path: str, name: str) -> Curve:
    """The losses in a -log file, which a run may still be writing. Errors: UserError, also if it has none."""
    train, val = ((array("d"), array("d")) for _ in range(2))
    per_iteration = 0.0
    for row, _ in log_rows.rows(path):
        (x, y), loss = (train, row.train_loss) if row.kind == "train" else (val, row.val_loss)
        x.append(row.iteration)
        y.append(math.nan if loss is None else loss)
        per_iteration = row.epoch / row.iteration
    return curve(path, name, train, val, per_iteration)


def curve(source: str, label: str, train: _Points, val: _Points, per_iteration: float) -> Curve:
    """A curve of the points that can be plotted. Errors: UserError if there are none, which names their `source`."""
    train_points, val_points = _drawable(*train), _drawable(*val)
    if not len(train_points[0]) and not len(val_points[0]):
        raise UserError(
            f"{source} has no losses to plot: choose a checkpoint or a {flag('log')} file that `pycharrnn train` has"
            " written after its first loss."
        )
    smoothed, window = smooth(*train_points)
    if not 1 / _LARGEST < per_iteration < _LARGEST:
        per_iteration = 0.0
    return Curve(label, smoothed, val_points, per_iteration, window)


def _drawable(iterations: Sequence[float], losses: Sequence[float]) -> tuple[_Floats, _Floats]:
    """The points without NaN, infinity and values too large for an axis."""
    x, y = (np.array(values, dtype=float) for values in (iterations, losses))
    keep = (np.abs(x) <= _LARGEST) & (np.abs(y) <= _LARGEST)
    return x[keep], y[keep]


def smooth(x: _Floats, y: _Floats) -> tuple[tuple[_Floats, _Floats], int]:
    """Reduce more than 200 points to at most 400, each the mean of the 1% of `y` around it.

    Returns: ((x, y), number of values in each mean; 1 without smoothing).
    """
    if len(y) <= _MAX_UNSMOOTHED:
        return (x, y), 1
    half = max(1, len(y) // 200)
    at = np.unique(np.linspace(0, len(y) - 1, _POINTS).astype(int))
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, len(y))
    sums = np.concatenate([[0.0], np.cumsum(y)])
    return (x[at], (sums[last] - sums[first]) / (last - first)), 2 * half + 1
