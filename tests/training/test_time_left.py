"""The time that the rest of a run takes, from the times of its parts."""

from __future__ import annotations

import pytest

from pycharrnn.training.time_left import PartTimes, seconds_left, validation_steps

TIMES = PartTimes(iteration=2, validation=50, evaluation=40)


@pytest.mark.parametrize(
    ("iterations", "done", "validations"),
    [(100, 0, 10), (100, 9, 10), (100, 10, 9), (105, 10, 10), (105, 104, 1), (105, 105, 0), (5, 1, 1)],
)
@pytest.mark.parametrize("calibrates", [False, True])
def test_iterations_validations_and_calibration(iterations, done, validations, calibrates):
    expected = 2 * (iterations - done) + 50 * validations + 2 * 40 * calibrates
    assert seconds_left(TIMES, iterations, 10, calibrates, done) == expected


@pytest.mark.parametrize(("done", "validations"), [(9, 10), (10, 10), (100, 1)])
def test_an_iteration_that_is_not_validated_yet(done, validations):
    assert seconds_left(TIMES, 100, 10, False, done, validated=done - 1) == 2 * (100 - done) + 50 * validations


def test_a_batch_is_validated_in_a_third_of_its_training():
    assert validation_steps(6) == 2
