"""What a run tells the program that started it: its steps and validations while it goes on, its outcome at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pycharrnn.training.history import History
from pycharrnn.training.options import TrainOptions


@dataclass(frozen=True)
class TrainStep:
    """An iteration whose loss is printed.

    Attributes:
        iteration: its number, from 1, of so many `iterations`; epoch: the same in passes through the training split.
        train_loss: nats per character of its batch.
        norm_ratio: norm of the gradient by that of the parameters.
        learning_rate: of the next iteration.
        seconds: that it took.
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
    """A validation, once its checkpoint has been written.

    Attributes:
        iteration, iterations, epoch: after which it came, as in TrainStep.
        val_loss: nats per character of the validation split.
        path: of the checkpoint.
        is_best: whether no validation before had as low a loss.
    """

    iteration: int
    iterations: int
    epoch: float
    val_loss: float
    path: str
    is_best: bool


@dataclass(frozen=True)
class RunResult:
    """What there is of a run at its end, also one that came before its time.

    Attributes:
        options: the values that held.
        history: its losses.
        ntrain: iterations in an epoch.
        best: path of the checkpoint with the lowest validation loss; None where there is none.
        last: path of the newest one in which all numbers are finite; None where there is none.
    """

    options: TrainOptions
    history: History
    ntrain: int
    best: str | None
    last: str | None


def _ignore(report: object) -> None:
    pass


@dataclass(frozen=True)
class Callbacks:
    """What a program does at each loss that is printed, and at each validation."""

    on_print: Callable[[TrainStep], object] = _ignore
    on_validation: Callable[[Validation], object] = _ignore
