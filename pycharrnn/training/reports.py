"""The values that train() passes to its callbacks and returns: TrainStep, Validation, Sample, RunResult."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pycharrnn.training.history import History
from pycharrnn.training.options import TrainOptions


@dataclass(frozen=True)
class TrainStep:
    """An iteration whose loss is printed.

    Attributes:
        iteration: number from 1, of `iterations`. epoch: passes through the training split.
        train_loss: nats per character of its batch.
        norm_ratio: norm of the clipped gradient divided by that of the parameters.
        learning_rate: of the next iteration. seconds: duration.
    """

    iteration: int
    iterations: int
    epoch: float
    train_loss: float
    norm_ratio: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Validation:
    """A validation, after its checkpoint has been written.

    Attributes:
        iteration, iterations, epoch: of the last training step, as in TrainStep.
        val_loss: nats per character of the validation split.
        path: of the checkpoint; None if it could not be written.
        is_best: whether all validations before had higher losses.
    """

    iteration: int
    iterations: int
    epoch: float
    val_loss: float
    path: str | None
    is_best: bool


@dataclass(frozen=True)
class RunResult:
    """A run at its end, which may be early.

    Attributes:
        options: the final values. history: the losses. ntrain: iterations of an epoch.
        best: path of the checkpoint with the lowest validation loss, or None.
        last: path of the newest checkpoint with finite weights, or None.
    """

    options: TrainOptions
    history: History
    ntrain: int
    best: str | None
    last: str | None


@dataclass(frozen=True)
class Sample:
    """A sample of -show.

    Attributes:
        iteration, epoch: of the last training step, as in TrainStep.
        text: without characters that a terminal would obey.
    """

    iteration: int
    epoch: float
    text: str


def _ignore(report: object) -> None:
    pass


@dataclass(frozen=True)
class Callbacks:
    """Functions that train() calls.

    Attributes:
        on_print: after each printed loss. on_validation: after each validation.
        on_length: with the number of iterations of the whole run, when they begin and when -minutes changes it.
        on_sample: shows a sample; None: it is printed on stderr.
        on_save: with the reason why the run could not be saved, once until it is saved; then with "".
        on_patience: with the -patience that ends the run.
    """

    on_print: Callable[[TrainStep], object] = _ignore
    on_validation: Callable[[Validation], object] = _ignore
    on_length: Callable[[int], object] = _ignore
    on_sample: Callable[[Sample], object] | None = None
    on_save: Callable[[str], object] = _ignore
    on_patience: Callable[[int], object] = _ignore
