"""The time that the rest of a run takes, from the times of its parts.

The status line, -minutes and the estimates of the studio share this formula. Each has its own times of the parts: the
status line expects the latest validation again, -minutes the longest one, and an estimate has only timed steps. Two
computations are not this formula: time_plan.options_for solves for the length of a run, and the studio's page divides
by the mean speed in the -log of another process, which does not have the times of the parts.
"""

from __future__ import annotations

from dataclasses import dataclass

_VALIDATION_STEPS = 1 / 3  # time of a batch in validation: it has no backward pass
_CALIBRATION = 2  # times as long as a validation, about: -calibrate computes many losses of each batch


@dataclass(frozen=True)
class PartTimes:
    """The seconds of an iteration, of a validation with its checkpoint, and of computing the loss of a validation."""

    iteration: float
    validation: float
    evaluation: float


def validation_steps(batches: float) -> float:
    """The time of a validation of so many batches without its checkpoint, in iterations."""
    return batches * _VALIDATION_STEPS


def seconds_left(
    times: PartTimes, iterations: int, every: int, calibrates: bool, done: int, validated: int | None = None
) -> float:
    """The seconds from iteration `done` to the end of a run of `iterations`, and its last checkpoint.

    Args:
        every: -eval_val_every. calibrates: whether the run ends with -calibrate.
        validated: the last iteration whose validation, if it has one, is over; None: `done`.
    """
    validations = _validations_left(every, iterations, done if validated is None else validated)
    calibrating = calibrates * _CALIBRATION * times.evaluation
    return (iterations - done) * times.iteration + validations * times.validation + calibrating


def _validations_left(every: int, iterations: int, validated: int) -> int:
    """How many iterations after `validated` are validated: each multiple of `every`, and the last one."""
    return -(-iterations // every) - validated // every if validated < iterations else 0
