"""The line of a step, as train.lua prints it."""

from __future__ import annotations

import math

import pytest

from pycharrnn.training import step_line


@pytest.mark.parametrize(
    ("loss", "norm", "words"),
    [
        (3.25, 0.5, "train_loss = 3.25000000, grad/param norm = 5.0000e-01"),
        (math.nan, math.nan, "train_loss =    nan, grad/param norm =    nan"),
        (math.inf, -math.inf, "train_loss =    inf, grad/param norm =   -inf"),
    ],
)
def test_a_number_takes_six_characters_at_least(loss, norm, words):
    line = step_line.printed(2, 38, 2 / 38, loss, norm, 0.01234)
    assert line == f"2/38 (epoch 0.053), {words}, time/batch = 0.0123s"
